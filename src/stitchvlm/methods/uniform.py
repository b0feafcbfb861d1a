"""Uniform pruning: an even spatial stride, whatever the picture shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import ReductionView, TokenScorer
from stitchvlm.shapes import Float


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
    """When each token is taken, from 0 to 1 within its own tile; structural tokens come last."""
    size = layout.box[:, 2:] - layout.box[:, :2]
    column, row = (layout.box[:, :2] / size.clamp(min=1e-6)).round().long().T
    rank = torch.zeros_like(column)
    for bit in range(8):
        rank = rank * 4 + ((column ^ row) >> bit & 1) * 2 + (row >> bit & 1)
    turn = torch.empty(layout.n_visual)
    for image, tile in torch.stack([layout.image, layout.tile], 1).unique(dim=0):
        own = ((layout.image == image) & (layout.tile == tile)).nonzero()[:, 0]
        turn[own[rank[own].argsort(stable=True)]] = torch.arange(len(own)) / len(own)
    return turn.masked_fill(layout.structural_mask, 2.0)
