"""One layer's view of the large model: the paper's motivation, shown by how little it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer, over_layout
from stitchvlm.shapes import Bool, Float


@dataclass(frozen=True)
class SingleLayer(TokenScorer):
    """Keep the visual tokens that all text rows attend to most in the one layer before tokens leave.

    Paper: arXiv 2412.03324, section 3.1: attention of a single layer of the large model as the importance, which the paper
    finds far from that of all layers together.
    """

    name = "single-layer"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324, the motivation"
    needs = frozenset({Evidence.ATTENTION})

    def asking_rows(
        self, layout: VisualLayout, embeddings: Float[Tensor, "n_tokens width"]
    ) -> Bool[Tensor, " n_tokens"]:
        return torch.arange(layout.n_tokens) >= layout.first_text_after_visual

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        assert view.attention is not None, "the engine provides what a method needs"
        return over_layout(view, view.attention)
