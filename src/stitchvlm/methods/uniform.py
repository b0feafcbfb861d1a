"""Uniform pruning: an even spatial stride, whatever the picture shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import ReductionView, TokenScorer
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True)
class Uniform(TokenScorer):
    """Keep visual tokens at even distances in every view of the picture.

    Tokens of a tile are taken in the order of an ordered dither, of which every beginning is spread evenly over the grid, and all
    tiles and pictures keep the same share of theirs.

    A baseline from no paper.
    """

    name = "uniform"
    paper = "baseline, no paper"
    minds_places = True

    def score(self, view: ReductionView) -> Sequence[Float[torch.Tensor, " _n_visual"]]:
        return [-_turn(layout) for layout in view.layouts]


def _turn(layout: VisualLayout) -> Float[torch.Tensor, " n_visual"]:
    """When each token is taken, from 0 to 1 within its own tile; those that show nothing come last."""
    column, row = _cells(layout).T
    rank = torch.zeros_like(column)
    for bit in range(8):
        rank = rank * 4 + ((column ^ row) >> bit & 1) * 2 + (row >> bit & 1)
    turn = torch.empty(layout.n_visual)
    for image, tile in torch.stack([layout.image, layout.tile], 1).unique(dim=0):
        own = ((layout.image == image) & (layout.tile == tile)).nonzero()[:, 0]
        turn[own[rank[own].argsort(stable=True)]] = torch.arange(len(own)) / len(own)
    return turn.masked_fill(layout.structural_mask | ~layout.shows_mask, 2.0)


def _cells(layout: VisualLayout) -> Int[torch.Tensor, "n_visual 2"]:
    """Each token's column and row among those of its picture that show as much; boxes at the picture's edges may be smaller."""
    cells = torch.zeros(layout.n_visual, 2, dtype=torch.long)
    for image, coarse in torch.stack([layout.image, layout.coarse_mask.long()], 1).unique(dim=0):
        own = (layout.image == image) & (layout.coarse_mask == coarse.bool()) & layout.shows_mask
        if own.any():
            low, high = layout.box[own].split(2, dim=1)
            centre, size = (low + high) / 2, (high - low).amax(0)
            cells[own] = ((centre - centre.amin(0)) / size).round().long()
    return cells
