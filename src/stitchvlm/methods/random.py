"""Random pruning: the floor that every method has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import ReductionView, TokenScorer
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class Random(TokenScorer):
    """Keep visual tokens drawn uniformly at random; a row's seed decides which.

    A baseline from no paper.
    """

    name = "random"
    paper = "baseline, no paper"
    minds_places = True

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        return [
            torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(seed))
            for layout, seed in zip(view.layouts, view.seeds, strict=True)
        ]
