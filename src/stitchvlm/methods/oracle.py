"""The oracle: what the guide is measured against."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class Oracle(TokenScorer):
    """Keep the visual tokens that the large model itself looked at most, over all layers of a full pass of its own.

    Paper: arXiv 2412.03324, section 3.1. It costs more than it saves and serves as the guided method's upper bound.

    Differs from the paper: not in the map; as in the guide's, rows of the prompt and of the large model's own answer count.
    Tokens leave at the layer that the asked average gives, as with ``guided``.
    """

    name = "oracle"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324, the upper bound"
    needs = frozenset({Evidence.OWN_MAP})

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        return view.guide
