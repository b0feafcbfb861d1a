"""Uniform pruning: an even spatial stride, whatever the picture shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import ReductionView, TokenReducer
from stitchvlm.reduction import Reduction
from stitchvlm.shapes import Int


@dataclass(frozen=True)
class Uniform(TokenReducer):
    """Keep visual tokens at even distances: every view (picture, tile, overview) gets its share, spread over its grid.

    Tokens are put in the order of a golden-ratio sweep over their own grid, in which every beginning is spread evenly, and
    each view keeps the beginning of its order.
    """

    name = "uniform"
    paper = "baseline, no paper"

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept = []
        for layout, present, count in zip(view.layouts, view.present, n_keep, strict=True):
            order = _spread(layout)[present.cpu()].argsort(stable=True)[:count]
            kept.append(present.cpu()[order.sort().values])
        return Reduction(tuple(kept))


def _spread(layout: VisualLayout) -> Int[torch.Tensor, " n_visual"]:
    """Per token when it is taken: ranks of a low-discrepancy sequence over the rows and columns of each tile."""
    centre = (layout.box[:, :2] + layout.box[:, 2:]) / 2
    rank = torch.empty(layout.n_visual)
    for image, tile in {(int(i), int(t)) for i, t in zip(layout.image, layout.tile, strict=True)}:
        own = ((layout.image == image) & (layout.tile == tile)).nonzero()[:, 0]
        free, taken = torch.ones(len(own), dtype=torch.bool), []
        place = centre[own] - centre[own].min(0).values
        place = place / place.max(0).values.clamp(min=1e-9)
        for k in range(len(own)):
            wanted = torch.tensor([0.5 + k * 0.7548776662466927, 0.5 + k * 0.5698402909980532]) % 1
            distance = (place - wanted).square().sum(1).masked_fill(~free, torch.inf)
            best = int(distance.argmin())
            free[best] = False
            taken.append(best)
        rank[own[torch.tensor(taken)]] = torch.arange(len(own)) / len(own)
    return rank
