"""Teaches attention heads where to look: at what the answer is read from.

A young language model is slow to discover that a question is about one place in the picture, and heads that never need to
discover it look everywhere. The generator knows the place, so training can say it: wherever the whole question has been
read, the share of a head's visual attention that falls on the place is driven up.
"""

from collections.abc import Sequence

import torch

from .packing import Batch, Packed

FIRST_LAYER = 1
"""The layer before it cannot know yet what was asked."""


class Grounding:
    """Hears the queries and keys of a forward pass and says how far the heads look beside the asked places.

    Only shares within the picture count, not how much a head looks at the picture: what it needs of the text it may take.
    """

    def __init__(self, rows: Sequence[Packed], places: Sequence[Sequence[Sequence[int]]], batch: Batch) -> None:
        """`places[row][question]` numbers the visual tokens, among those present, that the answer is read from."""
        found = [
            [(at, region) for span, region in zip(row.asked, regions, strict=True) if region for at in span]
            for row, regions in zip(rows, places, strict=True)
        ]
        most = max(1, *map(len, found))
        at = torch.zeros(len(rows), most, dtype=torch.long)
        counted = torch.zeros(len(rows), most, dtype=torch.bool)
        self._end = max(row.visual.stop for row in rows)
        region = torch.zeros(len(rows), most, self._end, dtype=torch.bool)
        for k, (row, entries) in enumerate(zip(rows, found, strict=True)):
            for j, (place, tokens) in enumerate(entries):
                at[k, j], counted[k, j] = place, True
                region[k, j, torch.tensor(tokens) + row.visual.start] = True
        device = batch.visual.device
        self._at, self._counted, self._region = at.to(device), counted.to(device), region.to(device)
        self._visual = batch.visual[:, None, : self._end]
        self._heard: list[torch.Tensor] = []

    def hear(self, layer: int, query: torch.Tensor, key: torch.Tensor) -> None:
        """`query[b, heads, n, d]`, scaled, and `key[b, kv heads, n, d]` of one layer."""
        if layer < FIRST_LAYER:
            return
        query = query.gather(2, self._at[:, None, :, None].expand(-1, query.shape[1], -1, query.shape[3]))
        key = key[:, :, : self._end]
        scores = (query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).transpose(-1, -2)).float()
        seen = scores.masked_fill(~self._visual[:, None], -torch.inf).logsumexp(-1)
        hit = scores.masked_fill(~self._region[:, None], -torch.inf).logsumexp(-1)
        beside = (seen - hit).transpose(1, 2)[self._counted]
        self._heard.append(beside.sum() / max(1, beside.numel()))

    def loss(self) -> torch.Tensor:
        """Mean over layers, heads and places of minus the logarithm of the share that falls on the asked place."""
        return torch.stack(self._heard).mean()
