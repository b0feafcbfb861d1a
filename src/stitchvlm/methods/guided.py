"""SGP: the small model's attention says what the large one keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.maps import Heads, LayerWeights, MapForm, Rows, Sinks
from stitchvlm.methods.base import Evidence, ReductionView, TokenScorer
from stitchvlm.reduction import Reduction
from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True)
class Guided(TokenScorer):
    """Small-VLM-guided pruning: keep the visual tokens that received most attention in the small model.

    Paper: arXiv 2412.03324, equations 1 to 3. The map itself is collected by the small model's attention tap.

    Attributes:
        picture_floor: the least that every picture of a prompt keeps, as a share of what it would keep if all pictures were
            pruned alike; 0 lets one picture take everything.
        smooth: give every token the mean of its neighbours' scores and its own, within its tile.
        layers, rows, heads, layer_weights, sinks: the form of the map, see :class:`~stitchvlm.maps.MapForm`.

    Differs from the paper: not by default; whatever an option changes is an addition, for comparison.

    Raises:
        ValueError: if the floor is no share between 0 and 1.
    """

    picture_floor: float = 0.0
    smooth: bool = False
    layers: Literal["all", "first", "last"] = "all"
    rows: Rows = "both"
    heads: Heads = "sum"
    layer_weights: LayerWeights = "equal"
    sinks: Sinks = "keep"

    name = "guided"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324"
    needs = frozenset({Evidence.GUIDE_MAP})

    def __post_init__(self):
        if not 0 <= self.picture_floor <= 1:
            raise ValueError(f"picture_floor must be a share between 0 and 1, not {self.picture_floor}")

    @property
    def map_form(self) -> MapForm:
        return MapForm(self.layers, self.rows, self.heads, self.layer_weights, self.sinks)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        if not self.picture_floor:
            return super().reduce(view, n_keep)
        scores = self.score(view)
        favoured = [self._best_of_each(*row) for row in zip(scores, view.layouts, n_keep, view.present, strict=True)]
        return Reduction.top(scores, n_keep, view.present, favoured)

    def _best_of_each(
        self,
        scores: Float[Tensor, " n_visual"],
        layout: VisualLayout,
        n_keep: int,
        present: Int[Tensor, " _n_present"],
    ) -> Bool[Tensor, " n_visual"]:
        """The tokens that the floor guarantees: the best of each picture."""
        best = torch.zeros(layout.n_visual, dtype=torch.bool)
        image = layout.image[present.cpu()]
        for number in image.unique():
            own = present.cpu()[image == number]
            least = int(self.picture_floor * n_keep * len(own) / len(image))
            best[Reduction.top([scores.cpu()], [least], [own]).kept[0]] = True
        return best

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        if not self.smooth:
            return view.guide
        return [_smoothed(scores, layout) for scores, layout in zip(view.guide, view.layouts, strict=True)]


def _smoothed(scores: Float[Tensor, " n_visual"], layout: VisualLayout) -> Float[Tensor, " n_visual"]:
    """The mean over up to nine tokens of the same tile that touch, the token itself among them."""
    size = (layout.box[:, 2:] - layout.box[:, :2]).clamp(min=1e-6)
    cell = (layout.box[:, :2] / size).round()
    near = ((cell[:, None] - cell[None]).abs() <= 1).all(-1)
    for of in (layout.image, layout.tile, layout.structural_mask):
        near &= of[:, None] == of[None]
    weight = near.to(scores)
    return weight @ scores / weight.sum(1)
