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
            pruned alike; 0 lets one picture take everything. It goes before limits of tiles: the best tiles of each picture that
            have so many tokens are always kept from, and may be more than ``tile_budget``.
        tile_budget: most tiles that kept tokens are made of: those that hold most of what would be kept otherwise. 0 is no limit.
            What tiles hold too little for is not kept.
        tile_mass: tokens are kept from the fewest tiles that together hold this share of the scores of what would be kept
            otherwise, so that a tile with a few stray tokens need not be encoded. 1 is no limit.
        skip_tiles: leave tiles none of whose tokens stay out from the first layer on, so that they need not be encoded. Where
            tokens leave before layer 0 it changes nothing and is done anyway.
        crop: of a picture that the model sees whole, encode only the rectangle around what stays, as if it had been cut out. Tokens
            outside are then in no layer at all, as with ``skip_tiles``; what stays is encoded without what surrounds it.
        smooth: give every token the mean of its neighbours' scores and its own, within its tile.
        layers, rows, heads, layer_weights, sinks: the form of the map, see :class:`~stitchvlm.maps.MapForm`.

    Structural tokens (newlines) that nobody has scored, because the map comes from a model of another layout, are not counted and
    stay with the tokens of their row.

    Differs from the paper: not by default; whatever an option changes is an addition, for comparison.

    Raises:
        ValueError: if the floor or the mass is no share between 0 and 1, or the budget is below 0.
    """

    picture_floor: float = 0.0
    tile_budget: int = 0
    tile_mass: float = 1.0
    skip_tiles: bool = False
    crop: bool = False
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
        if self.tile_budget < 0:
            raise ValueError(f"tile_budget must be a number of tiles, or 0 for no limit, not {self.tile_budget}")
        if not 0 < self.tile_mass <= 1:
            raise ValueError(f"tile_mass must be a share above 0 and at most 1, not {self.tile_mass}")

    @property
    def map_form(self) -> MapForm:
        return MapForm(self.layers, self.rows, self.heads, self.layer_weights, self.sinks)

    @property
    def skips_tiles(self) -> bool:
        return self.skip_tiles or self.crop

    @property
    def crops(self) -> bool:
        return self.crop

    @property
    def tile_options(self) -> tuple[str, ...]:
        used = {"tile_budget": self.tile_budget > 0, "tile_mass": self.tile_mass < 1, "skip_tiles": self.skip_tiles}
        return tuple(name for name, is_used in used.items() if is_used)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        scores = self.score(view)
        rows = zip(scores, view.layouts, view.present, strict=True)
        present = [there[~_unscored(row, layout)[there.cpu()].to(there.device)] for row, layout, there in rows]
        chosen = self._within_tiles(scores, view.layouts, n_keep, present)
        ended = zip(view.layouts, chosen.kept, scores, view.present, strict=True)
        return Reduction(tuple(_with_row_ends(*row) for row in ended))

    def _within_tiles(
        self,
        scores: Sequence[Float[Tensor, " _n_visual"]],
        layouts: Sequence[VisualLayout],
        n_keep: Sequence[int],
        present: Sequence[Int[Tensor, " _n_present"]],
    ) -> Reduction:
        """What is chosen of those ``present``, from as few tiles as the options ask for."""
        least = [self._guaranteed(*row) for row in zip(layouts, n_keep, present, strict=True)]
        chosen = self._choose(scores, layouts, n_keep, present, least)
        if not self.tile_budget and self.tile_mass == 1:
            return chosen
        held = zip(scores, layouts, chosen.kept, present, least, strict=True)
        return self._choose(scores, layouts, n_keep, [self._in_best_tiles(*row) for row in held], least)

    def _guaranteed(self, layout: VisualLayout, n_keep: int, present: Int[Tensor, " _n_present"]) -> list[int]:
        """Per picture how many of its tokens the floor guarantees."""
        counts = torch.bincount(layout.image[present.cpu()], minlength=len(layout.image_sizes)).tolist()
        return [int(self.picture_floor * n_keep * count / len(present)) if count else 0 for count in counts]

    def _choose(
        self,
        scores: Sequence[Float[Tensor, " _n_visual"]],
        layouts: Sequence[VisualLayout],
        n_keep: Sequence[int],
        present: Sequence[Int[Tensor, " _n_present"]],
        least: Sequence[list[int]],
    ) -> Reduction:
        """The best of those that are ``present``, and among them the best of each picture, ``least`` of them."""
        if not self.picture_floor:
            return Reduction.top(scores, n_keep, present)
        favoured = [_best_of_each(*row) for row in zip(scores, layouts, present, least, strict=True)]
        return Reduction.top(scores, n_keep, present, favoured)

    def _in_best_tiles(
        self,
        scores: Float[Tensor, " n_visual"],
        layout: VisualLayout,
        kept: Int[Tensor, " _n_keep"],
        present: Int[Tensor, " _n_present"],
        least: list[int],
    ) -> Int[Tensor, " _n_allowed"]:
        """Those present that are made of the tiles whose kept tokens have the highest scores in sum; among equals the first tiles.

        Tiles that tokens are made of together are taken together, or not where that would be too many. First come the best ones
        of each picture, until they have as many tokens as it keeps at ``least``.
        """
        if not layout.n_visual:
            return present
        sources, kind = layout.sources.unique(dim=0, return_inverse=True)
        sources, kind = sources.flip(0), len(sources) - 1 - kind  # among equals those with the first tiles come first
        worth = torch.zeros(len(sources)).index_add(0, kind[kept.cpu()], scores.cpu()[kept.cpu()].float())
        order, best = worth.argsort(descending=True, stable=True), torch.zeros(layout.n_tiles, dtype=torch.bool)
        image = layout.image[present.cpu()]
        for picture, n_least in enumerate(least):
            own = kind[present.cpu()[image == picture]]
            for number in order[torch.isin(order, own)]:
                if int(_made_of(sources, best)[own].sum()) >= n_least:
                    break
                best |= sources[number]
        for wanted in sources[order]:
            if best.any() and worth[_made_of(sources, best)].sum() >= self.tile_mass * worth.sum():
                break
            if not self.tile_budget or int((best | wanted).sum()) <= self.tile_budget:
                best |= wanted
        return present[_made_of(sources, best)[kind[present.cpu()]].to(present.device)]

    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        if not self.smooth:
            return view.guide
        return [_smoothed(scores, layout) for scores, layout in zip(view.guide, view.layouts, strict=True)]


def _best_of_each(
    scores: Float[Tensor, " n_visual"], layout: VisualLayout, present: Int[Tensor, " _n_present"], least: list[int]
) -> Bool[Tensor, " n_visual"]:
    """The tokens that a floor guarantees: so many of each picture, the best ones."""
    best, there = torch.zeros(layout.n_visual, dtype=torch.bool), present.cpu()
    for picture, n_least in enumerate(least):
        own = there[layout.image[there] == picture]
        best[Reduction.top([scores.cpu()], [n_least], [own]).kept[0]] = True
    return best


def _made_of(sources: Bool[Tensor, "n n_tiles"], tiles: Bool[Tensor, " n_tiles"]) -> Bool[Tensor, " n"]:
    """Which sets of tiles are among those ``tiles``."""
    return ~(sources & ~tiles).any(1)


def _unscored(scores: Float[Tensor, " n_visual"], layout: VisualLayout) -> Bool[Tensor, " n_visual"]:
    """The structural tokens that nobody has looked at, as in a map of another layout: there is nothing to choose them by."""
    return layout.structural_mask & (scores.cpu() == 0)


def _with_row_ends(
    layout: VisualLayout,
    kept: Int[Tensor, " _n_keep"],
    scores: Float[Tensor, " n_visual"],
    present: Int[Tensor, " _n_present"],
) -> Int[Tensor, " _n_all"]:
    """What is kept, and those unscored that end a row with a kept token."""
    unscored = _unscored(scores, layout)
    if not bool(unscored.any()):
        return kept
    ends = present[(unscored & layout.closing(kept.cpu()))[present.cpu()].to(present.device)]
    return torch.cat([kept, ends.to(kept.device)]).sort().values


def _smoothed(scores: Float[Tensor, " n_visual"], layout: VisualLayout) -> Float[Tensor, " n_visual"]:
    """The mean over up to nine tokens of the same tile that touch, the token itself among them.

    Tokens touch where they do on both axes. They mostly lie on grids, so sums go over the few intervals of each axis.
    """
    smoothed, given, tile, shows = scores.clone(), scores.double().cpu(), layout.tile_number, layout.shows_mask
    for number in tile[shows].unique():
        own = ((tile == number) & shows).nonzero().squeeze(1)
        across, column = _touching(layout.box[own, 0::2])
        along, row = _touching(layout.box[own, 1::2])
        total, count = (
            (
                along
                @ across.new_zeros(len(along), len(across)).index_put((row, column), values, accumulate=True)
                @ across.T
            )
            for values in (given[own], torch.ones(len(own), dtype=given.dtype))
        )
        smoothed[own] = (total / count)[row, column].to(smoothed)
    return smoothed


def _touching(intervals: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, "n_kinds n_kinds"], Int[Tensor, " n"]]:
    """1 where different intervals are no more than a quarter of the first one apart, and which of these each one is."""
    kinds, kind = intervals.unique(dim=0, return_inverse=True)
    low, high = kinds.T
    apart = torch.maximum(low[:, None], low) - torch.minimum(high[:, None], high)
    return (apart <= (high - low)[:, None] / 4).double(), kind
