"""PyramidDrop: tokens leave in stages, ever more of them in the deeper layers."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer, over_layout
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float


@dataclass(frozen=True)
class PyramidDrop(TokenScorer):
    """Keep, at the end of each stage of layers, the share ``ratio`` of the tokens that the last prompt token attends to most.

    Paper: arXiv 2410.17247, section 3: four stages of equal depth and a ratio of 0.5.

    Differs from the paper: where the asked average is not that of equal stages, the length of the first stage and the shares of the
    others are fitted to it; how many stay is a share of all visual tokens, rounded down, as in the release (the text takes a
    share of those still there away, rounded up). Queries and keys are those of the stage's last layer, as in the text (the
    release takes the next layer's); they are compared after softmax, the mean over heads, as in the release (the text names
    neither). The row is that of the prompt's last token, the template's included, as in the release; tokens keep their
    positions (the release counts them anew).
    """

    stages: int = 4
    ratio: float = 0.5

    name = "pyramiddrop"
    paper = "PyramidDrop, arXiv 2410.17247"
    needs = frozenset({Evidence.ATTENTION})

    def __post_init__(self):
        if self.stages < 2 or not 0 < self.ratio < 1:
            raise ValueError(f"stages must be at least 2 and ratio between 0 and 1, not {self.stages} and {self.ratio}")

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.pyramid(keep, n_layers, self.stages, self.ratio)

    def schedule_at(self, keep: float, layer: int) -> Schedule:
        raise ValueError(f"{self.name} takes tokens away at several layers: leave the layer out")

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        return over_layout(view, view.attention)
