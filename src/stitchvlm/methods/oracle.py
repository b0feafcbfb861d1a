"""The oracle: what the guide is measured against."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class Oracle(TokenScorer):
    """Keep the visual tokens that the large model itself looked at most, over all layers of a full pass of its own.

    It costs more than it saves and serves as the upper bound of the guided method (arXiv 2412.03324, section 3.1).
    """

    name = "oracle"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324, the upper bound"
    needs = frozenset({Evidence.OWN_MAP})

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        assert view.guide is not None, "the cascade provides what a method needs"
        return view.guide
