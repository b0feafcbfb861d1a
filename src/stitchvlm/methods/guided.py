"""SGP: the small model's attention says what the large one keeps."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class Guided(TokenScorer):
    """Small-VLM-guided pruning: keep the visual tokens that received most attention in the small model.

    Paper: arXiv 2412.03324, equations 1 to 3. The map itself is collected by the small model's attention tap.
    """

    name = "guided"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324"
    needs = frozenset({Evidence.GUIDE_MAP})

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        assert view.guide is not None, "the engine provides what a method needs"
        return view.guide
