"""The layers of Qwen3 over packed questions, at the cost of what these may see.

Behind one picture stand many questions, none of which sees another. In one square of scores most would be masked. Here the
picture and the questions are laid out as a prefix and blocks of a few whole questions each: the prefix attends to itself in
stripes, each row of a block to the prefix and to its block. Weights are those of transformers' modules, and so is what
comes out, but for the order of sums.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .attention import Listener
from .packing import Batch

BLOCK, PREFIX_STEP = 128, 32
"""Places in a block, or more where a question is longer; the prefix is rounded up to a multiple, so that few shapes occur."""
_STRIPE = 288
_NEVER = -1e9


@dataclass(frozen=True)
class Blocks:
    """A packed batch laid out as a prefix and blocks.

    Attributes:
        prefix, block: places in the prefix, and in a block.
        source: `[batch, places]`, the place in the batch that stands here, and 0 where nothing does.
        target: `[batch, length]`, where each place of the batch stands, and 0 where it is padding.
        seen: `[batch, 1, 1, prefix]`, what is added to the scores of the prefix's places.
        own: `[batch, 1, blocks, block, block]`, the same for the places of a block.
    """

    prefix: int
    block: int
    source: torch.Tensor
    target: torch.Tensor
    seen: torch.Tensor
    own: torch.Tensor


def lay_out(batch: Batch) -> Blocks:
    """Whole questions, in order, into as few blocks as they fill."""
    segments = batch.segments.cpu().numpy()
    lengths = [np.bincount(row[row >= 0]) for row in segments]
    prefix = -(-max(int(row[0]) for row in lengths) // PREFIX_STEP) * PREFIX_STEP
    longest = max((int(row[1:].max()) for row in lengths if len(row) > 1), default=1)
    block = -(-max(BLOCK, longest) // 64) * 64
    begins: list[list[tuple[int, int]]] = []  # block and place in it, for every question
    for row in lengths:
        mine: list[tuple[int, int]] = []
        number = filled = 0
        for length in row[1:]:
            if filled + length > block:
                number, filled = number + 1, 0
            mine.append((number, filled))
            filled += int(length)
        begins.append(mine)
    blocks = 1 + max((mine[-1][0] for mine in begins if mine), default=0)
    source = np.zeros((len(segments), prefix + blocks * block), np.int64)
    target = np.zeros(segments.shape, np.int64)
    whose = np.full((len(segments), blocks * block), -1)
    seen = np.full((len(segments), prefix), _NEVER, np.float32)
    for k, (row, mine) in enumerate(zip(lengths, begins, strict=True)):
        seen[k, : row[0]] = 0
        places = [np.arange(row[0])]
        for question, (number, filled) in enumerate(mine, start=1):
            first = number * block + filled
            whose[k, first : first + row[question]] = question
            places.append(prefix + first + np.arange(row[question]))
        moved = np.concatenate(places)
        target[k, : len(moved)], source[k, moved] = moved, np.arange(len(moved))
    inside = whose.reshape(len(segments), blocks, block)
    visible = (inside[..., :, None] == inside[..., None, :]) & np.tril(np.ones((block, block), bool))
    device = batch.tokens.device
    own = torch.from_numpy(visible).to(device)[:, None]
    return Blocks(
        prefix,
        block,
        torch.from_numpy(source).to(device),
        torch.from_numpy(target).to(device),
        torch.from_numpy(seen).to(device)[:, None, None],
        torch.zeros(own.shape, device=device).masked_fill_(~own, _NEVER),
    )


def _norm(hidden: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    hidden = hidden.float()
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + norm.variance_epsilon) * norm.weight


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, -1)
    return states * cos + torch.cat([-second, first], -1) * sin


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor, own: torch.Tensor
) -> torch.Tensor:
    """All `[batch, heads, places, d]` in one precision, queries scaled; masks as in `Blocks`."""
    prefix, (blocks, block) = seen.shape[-1], own.shape[2:4]
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    shown, told = key[:, :, :prefix], value[:, :, :prefix]
    found = []
    for first in range(0, prefix, _STRIPE):
        last = min(first + _STRIPE, prefix)
        scores = query[:, :, first:last] @ shown[:, :, :last].transpose(-1, -2)
        rows = torch.arange(first, last, device=query.device)[:, None]
        scores = scores.masked_fill(torch.arange(last, device=query.device) > rows, _NEVER)
        found.append(scores.softmax(-1) @ told[:, :, :last])
    asking = query[:, :, prefix:]
    before = asking @ shown.transpose(-1, -2) + seen.to(query.dtype)
    asks, keys, values = (part[:, :, prefix:].unflatten(2, (blocks, block)) for part in (query, key, value))
    beside = (asks @ keys.transpose(-1, -2) + own.to(query.dtype)).flatten(2, 3)
    weights = torch.cat([before, beside], -1).softmax(-1)
    within = (weights[..., prefix:].unflatten(2, (blocks, block)) @ values).flatten(2, 3)
    found.append(weights[..., :prefix] @ told + within)
    return torch.cat(found, 2)


def _ask(layer: nn.Module, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Queries (scaled), keys and values of a layer."""
    attention = layer.self_attn
    shape = (*hidden.shape[:-1], -1, attention.head_dim)
    normed = _norm(hidden, layer.input_layernorm)
    query = _norm(attention.q_proj(normed).view(shape), attention.q_norm).transpose(1, 2)
    key = _norm(attention.k_proj(normed).view(shape), attention.k_norm).transpose(1, 2)
    value = attention.v_proj(normed).view(shape).transpose(1, 2)
    query = (_rotated(query, cos, sin) * attention.scaling).to(value.dtype)
    return query, _rotated(key, cos, sin).to(value.dtype), value


def _go_on(layer: nn.Module, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """The layer's states, from what its attention has gathered."""
    hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
    normed, mlp = _norm(hidden, layer.post_attention_layernorm), layer.mlp
    return hidden + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))


@cache
def _compiled(part: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(part, dynamic=True)


def answer_states(
    language_model: nn.Module, embedded: torch.Tensor, batch: Batch, grounding: Listener | None = None
) -> torch.Tensor:
    """The last states `[batch, length, width]` of `embedded[batch, length, width]`; those of padding mean nothing.

    A `grounding` hears of every layer's queries and keys, as they stand in the blocks.
    """
    laid = lay_out(batch)
    hidden = embedded.gather(1, laid.source[..., None].expand(-1, -1, embedded.shape[-1]))
    cos, sin = language_model.rotary_emb(hidden, batch.positions.gather(1, laid.source))
    cos, sin = cos[:, None].float(), sin[:, None].float()
    for number, layer in enumerate(language_model.layers):
        ask, go_on = _ask, _go_on
        if layer._compiled_call_impl is not None:
            # Attention gains nothing by it, and its stripes are other code for every length.
            ask, go_on = _compiled(_ask), _compiled(_go_on)
        query, key, value = ask(layer, hidden, cos, sin)
        with torch.autocast(hidden.device.type, enabled=False):
            mixed = _attend(query, key, value, laid.seen, laid.own)
        hidden = go_on(layer, hidden, mixed)
        if grounding is not None:
            grounding.hear(number, query, key, laid.target)
    hidden = _norm(hidden, language_model.norm)
    return hidden.gather(1, laid.target[..., None].expand(-1, -1, hidden.shape[-1]))
