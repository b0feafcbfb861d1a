"""Tokens that follow a prompt, as a stream: given ones all at once, generated ones step by step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from stitchvlm.families.base import Decoder, Prompt, pad_left
from stitchvlm.reduction import TokenStream
from stitchvlm.shapes import Int


def continued(decoder: Decoder, prompt: Prompt, answers: Sequence[Sequence[int]]) -> TokenStream:
    """The prompt's stream with given tokens behind every row; rows may get a different number of them, and none."""
    if not any(map(len, answers)):
        return prompt.stream
    device = prompt.token_ids.device
    ids = pad_left([torch.tensor(answer, dtype=torch.long, device=device) for answer in answers], value=0)
    lengths = tuple(map(len, answers))
    n_padding = ids.shape[1] - torch.tensor(lengths, device=device)[:, None]
    steps = torch.arange(ids.shape[1], device=device) - n_padding
    given = TokenStream(
        hidden=decoder.embedding(ids),
        positions=_positions(prompt, 0, ids.shape[1]) - n_padding,
        index=(_ends(prompt) + steps).masked_fill(steps < 0, -1),
        ordinal=torch.full_like(ids, -1),
        lengths=lengths,
    )
    return prompt.stream.append(given)


def next_token(decoder: Decoder, prompt: Prompt, tokens: Int[Tensor, " batch"], step: int) -> TokenStream:
    """The ``step``-th generated token of every row, to follow those before it, which are in the cache."""
    return TokenStream(
        hidden=decoder.embedding(tokens[:, None]),
        positions=_positions(prompt, step, 1),
        index=generated_places(prompt, step + 1)[:, -1:],
        ordinal=torch.full_like(tokens[:, None], -1),
        lengths=(1,) * len(tokens),
    )


def generated_places(prompt: Prompt, n_tokens: int) -> Int[Tensor, "batch n_tokens"]:
    """Where the first generated tokens stand, counted on from each unpruned prompt."""
    return _ends(prompt) + torch.arange(n_tokens, device=prompt.token_ids.device)


def _ends(prompt: Prompt) -> Int[Tensor, "batch 1"]:
    return torch.tensor(prompt.stream.lengths, device=prompt.token_ids.device)[:, None]


def _positions(prompt: Prompt, first: int, count: int) -> Int[Tensor, "*axes batch count"]:
    """Position ids of generated tokens ``first``, ``first + 1``, …; all axes of a multimodal rotary embedding agree on them."""
    steps = torch.arange(first, first + count, device=prompt.next_position.device)
    positions = prompt.next_position[:, None] + steps
    return positions.expand(*prompt.stream.positions.shape[:-1], count)
