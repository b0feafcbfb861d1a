"""FastV: after a few layers the large model itself shows what it looks at."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer, over_layout
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class FastV(TokenScorer):
    """Keep the visual tokens that the last prompt token attends to most in one early layer, averaged over heads.

    Paper: arXiv 2403.06764, section 4; tokens leave before layer ``layer`` (from 0), judged by the layer before it.

    Differs from the paper: its text averages over all other tokens' rows, its release takes the prompt's last row, the template's,
    and so does this. How many stay follows from the asked average, not from a share given for that layer alone.
    """

    layer: int = 2

    name = "fastv"
    paper = "An Image is Worth 1/2 Tokens After Layer 2, arXiv 2403.06764"
    needs = frozenset({Evidence.ATTENTION})

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.from_layer(keep, n_layers, self.layer, self.name)

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        return over_layout(view, view.attention)
