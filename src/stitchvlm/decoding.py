"""An answer in the making: what every layer's cache holds of a batch whose rows may be at different places of their answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import Cache

from stitchvlm.attention import Tap, visible_mask, weighted_mask
from stitchvlm.families.base import Decoder, Prompt, pad_left
from stitchvlm.reduction import TokenStream
from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class LayerSpan:
    """A stretch of layers whose caches hold the same tokens.

    Attributes:
        index: places of the tokens in the unpruned prompt and the answer behind it, -1 on padding.
        padded: whether any place is padding.
        n_visual: per row how many of them are visual.
        size: how many tokens each of the first ones stands for; None where all stand for themselves.
    """

    layers: range
    index: Int[Tensor, "batch keys"]
    padded: bool
    n_visual: tuple[int, ...]
    size: Float[Tensor, "batch some_keys"] | None = None


class Decoding:
    """Feeds tokens of answers to the layers behind a prompt, and takes them back where they turn out to be wrong.

    Rows may be fed different numbers of tokens at a time. Places in the caches that a row does not use are padding to it, which
    its queries do not see.

    Attributes:
        tokens: per row those of its answer that the caches hold.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Prompt,
        cache: Cache,
        spans: Sequence[LayerSpan],
        tokens: Sequence[Sequence[int]],
    ):
        self._decoder, self._prompt, self._cache = decoder, prompt, cache
        self._spans = list(spans)
        self.tokens = [list(row) for row in tokens]

    def feed(self, tokens: Sequence[Sequence[int]], tap: Tap | None = None) -> Float[Tensor, "batch width vocabulary"]:
        """Logits of what follows each of some further tokens; rows with fewer of them end at the last column all the same."""
        stream = answer_stream(self._decoder, self._prompt, tokens, list(map(len, self.tokens)))
        self.tokens = [[*before, *row] for before, row in zip(self.tokens, tokens, strict=True)]
        n_longest = max(
            layout.n_tokens + len(row) for layout, row in zip(self._prompt.layouts, self.tokens, strict=True)
        )
        for number, span in enumerate(self._spans):
            index = torch.cat([span.index, stream.index], dim=1)
            span = LayerSpan(span.layers, index, span.padded or stream.padded, span.n_visual, span.size)
            # Without a mask SDPA takes several queries for the first tokens of all, not for those behind a cache.
            hides = span.padded or stream.index.shape[1] > 1
            masks = span_masks(self._decoder, span, hides, n_longest, stream.index)
            stream = stream.with_hidden(self._decoder.run(stream, self._cache, span.layers, masks, tap))
            self._spans[number] = span
        return self._decoder.logits(stream.hidden)

    def rows(self, rows: Sequence[int], prompt: Prompt) -> "Decoding":
        """What the caches hold of some rows, whose ``prompt`` it is; other rows are forgotten."""
        place = torch.tensor(rows)
        self._cache.batch_select_indices(place)
        spans = [
            replace(
                span,
                index=span.index[place],
                n_visual=tuple(span.n_visual[row] for row in rows),
                size=None if span.size is None else span.size[place],
            )
            for span in self._spans
        ]
        return Decoding(self._decoder, prompt, self._cache, spans, [self.tokens[row] for row in rows])

    def take_back(self, n_tokens: Sequence[int]) -> None:
        """Forget the last tokens of every row. What no row holds any more leaves the caches."""
        if not any(n_tokens):
            return
        self.tokens = [row[: len(row) - n] for row, n in zip(self.tokens, n_tokens, strict=True)]
        taken = torch.tensor(n_tokens, device=self._spans[0].index.device)[:, None]
        blank = [_without_last(span.index, taken) for span in self._spans]
        n_empty = int((blank[0] >= 0).any(0).flip(0).long().argmax())  # the same everywhere: answers lie at the end
        for number, (span, index) in enumerate(zip(self._spans, blank, strict=True)):
            n_used = index.shape[1] - n_empty
            size = None if span.size is None else span.size[:, :n_used]
            padded = span.padded or len(set(n_tokens)) > 1
            self._spans[number] = LayerSpan(span.layers, index[:, :n_used], padded, span.n_visual, size)
            for layer in span.layers:
                self._cache.layers[layer].crop(-n_empty)


def _without_last(index: Int[Tensor, "batch keys"], n_tokens: Int[Tensor, "batch 1"]) -> Int[Tensor, "batch keys"]:
    """The places without those of every row's last tokens."""
    real = index >= 0
    return index.masked_fill(real & (real.flip(1).cumsum(1).flip(1) <= n_tokens), -1)


def answer_stream(
    decoder: Decoder, prompt: Prompt, tokens: Sequence[Sequence[int]], n_before: Sequence[int]
) -> TokenStream:
    """Some tokens of every row's answer, ``n_before`` others being before them; shorter rows are padded on the left."""
    device = prompt.token_ids.device
    ids = pad_left([torch.tensor(row, dtype=torch.long) for row in tokens], value=0).to(device)
    lengths = tuple(map(len, tokens))
    steps = torch.arange(ids.shape[1], device=device) - (ids.shape[1] - torch.tensor(lengths, device=device)[:, None])
    places = steps + torch.tensor(n_before, device=device)[:, None]
    positions = prompt.next_position[:, None] + places
    ends = torch.tensor([layout.n_tokens for layout in prompt.layouts], device=device)[:, None]
    return TokenStream(
        hidden=decoder.embedding(ids),
        positions=positions.expand(*prompt.stream.positions.shape[:-1], ids.shape[1]),
        index=(ends + places).masked_fill(steps < 0, -1),
        ordinal=torch.full_like(ids, -1),
        lengths=lengths,
    )


def span_masks(
    decoder: Decoder, span: LayerSpan, hides: bool, n_longest: int, query_index: Int[Tensor, "batch queries"]
) -> dict[int | None, Bool[Tensor, "batch 1 queries keys"] | Float[Tensor, "batch 1 queries keys"] | None]:
    """One mask per window in use, None where it would hide nothing, which lets SDPA take its causal flash kernels.

    Where tokens stand for several, the masks are added to the logits and weigh the keys by it.

    Args:
        hides: whether some key must be hidden from some query whatever the windows say.
        n_longest: the longest row before any reduction.
    """
    masks: dict[int | None, Tensor | None] = {
        window: visible_mask(query_index, span.index, window)
        if hides or span.size is not None or _cuts(window, n_longest)
        else None
        for window in {decoder.windows[layer] for layer in span.layers}
    }
    if span.size is None:
        return masks
    dtype: torch.dtype = decoder.norm.weight.dtype  # type: ignore[assignment]
    return {window: weighted_mask(mask, span.size).to(dtype) for window, mask in masks.items() if mask is not None}


def _cuts(window: int | None, n_tokens: int) -> bool:
    """Whether a sliding window hides anything in a sequence of that many tokens."""
    return window is not None and window < n_tokens
