"""Pictures cut into equal square tiles with a thumbnail, or not at all: how many visual tokens that makes and where they sit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

import torch
from torch import Tensor

from stitchvlm.families.base import Inputs
from stitchvlm.layout import VisualLayout
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Float

PATCHES_AT_ONCE = 1024
"""About as many keep two cores busy."""


@dataclass(frozen=True)
class Cut:
    """How a picture is cut: a grid of tiles, followed by a thumbnail that shows all of it where there are several.

    Attributes:
        side: visual tokens along one side of a tile.
    """

    columns: int
    rows: int
    side: int

    @property
    def detail(self) -> int:
        """Visual tokens beside those of the thumbnail."""
        return self.columns * self.rows * self.side**2

    @property
    def n_visual(self) -> int:
        return self.detail + (self.side**2 if self.columns * self.rows > 1 else 0)


AnyCut = TypeVar("AnyCut", bound=Cut)


def shrink(cut: AnyCut, allowed: Sequence[AnyCut], to: Shrink) -> AnyCut:
    """A cut with the asked share of the visual tokens of ``cut``, made from an ``allowed`` one by making its tiles smaller.

    Of those not above the share the one with most detail is taken, of those not below it the one with fewest tokens; of equals
    the one with the fewest tiles, which stay nearest to the size that the encoder knows. One token on a side is the least.
    """
    fewest_first = sorted(allowed, key=lambda other: other.n_visual)
    smaller = [replace(other, side=side) for other in fewest_first for side in range(1, other.side + 1)]
    wanted = to.share * cut.n_visual
    if to.larger:
        return min((one for one in smaller if one.n_visual >= wanted), key=lambda one: one.n_visual, default=cut)
    return max((one for one in smaller if one.n_visual <= wanted), key=lambda one: one.detail, default=smaller[0])


def tiled_layout(
    index: Tensor, grids: Sequence[tuple[int, int]], side: int, sizes: Sequence[tuple[int, int]], n_tokens: int
) -> VisualLayout:
    """The layout of pictures cut into ``grids`` of (columns, rows) tiles with ``side`` x ``side`` tokens each."""
    return cut_layout(index, [Cut(columns, rows, side) for columns, rows in grids], sizes, n_tokens)


def cut_layout(index: Tensor, cuts: Sequence[Cut], sizes: Sequence[tuple[int, int]], n_tokens: int) -> VisualLayout:
    """The layout of pictures of (width, height) ``sizes``, each with its own cut."""
    image, tile, boxes, coarse = [], [], [], []
    for number, cut in enumerate(cuts):
        columns, rows, side = cut.columns, cut.rows, cut.side
        views = [(c / columns, r / rows, 1 / columns, 1 / rows) for r in range(rows) for c in range(columns)]
        views += [(0.0, 0.0, 1.0, 1.0)] if len(views) > 1 else []
        for view, (x, y, width, height) in enumerate(views):
            row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
            left, top = x + column.flatten() * width / side, y + row.flatten() * height / side
            boxes.append(torch.stack([left, top, left + width / side, top + height / side], dim=1))
            image += [number] * side**2
            tile += [view] * side**2
            coarse += [view == columns * rows] * side**2
    return VisualLayout(
        n_tokens=n_tokens,
        index=index,
        image=torch.tensor(image, dtype=torch.long),
        tile=torch.tensor(tile, dtype=torch.long),
        box=torch.cat(boxes) if boxes else torch.empty(0, 4),
        coarse_mask=torch.tensor(coarse, dtype=torch.bool),
        structural_mask=torch.zeros(len(tile), dtype=torch.bool),
        image_sizes=tuple(sizes),
    )


def batch(rows: Sequence[Inputs]) -> Inputs:
    """Questions that were prepared one by one as one batch; neighbouring tiles of one size go into one tensor."""
    tiles = groupby((tiles for row in rows for tiles in row.tiles), key=lambda tiles: tiles.shape[1:])
    return Inputs(
        token_ids=tuple(row.token_ids[0] for row in rows),
        tiles=tuple(torch.cat(list(alike)) for _, alike in tiles),
        layouts=tuple(row.layouts[0] for row in rows),
        n_unshrunk=tuple(row.n_unshrunk[0] for row in rows),
    )


def portions(
    tiles: Float[Tensor, "_tiles 3 _height _width"], n_patches: int, device: torch.device
) -> Sequence[Float[Tensor, "_some 3 _height _width"]]:
    """What goes through the vision encoder at once: on a CPU so little that what its layers pass on stays in the cache.

    Args:
        n_patches: that a tile is made of.
    """
    if device.type != "cpu" or not len(tiles):
        return [tiles] if len(tiles) else []
    return tiles.split(max(1, PATCHES_AT_ONCE // n_patches))


def shrink_grid(grid: tuple[int, int], to: Shrink) -> tuple[int, int]:
    """The (rows, columns) with the asked share of a grid's tokens that distort the picture least; one token is the least."""
    rows, columns = grid
    wanted = max(1.0, to.share * rows * columns)
    whole = math.ceil if to.larger else math.floor
    smaller = [(some, min(columns, whole(wanted / some))) for some in range(1, rows + 1) if to.larger or some <= wanted]
    met = [one for one in smaller if not to.larger or one[0] * one[1] >= wanted]
    return min(met, key=lambda one: abs(math.log(one[0] * columns / (one[1] * rows))))


def grid_layout(
    index: Tensor, grids: Sequence[tuple[int, int]], sizes: tuple[tuple[int, int], ...], n_tokens: int
) -> VisualLayout:
    """Pictures that are one grid of (rows, columns) tokens each, row by row."""
    boxes = [torch.empty(0, 4)]
    for rows, columns in grids:
        top, left = torch.meshgrid(torch.arange(rows) / rows, torch.arange(columns) / columns, indexing="ij")
        boxes.append(torch.stack([left, top, left + 1 / columns, top + 1 / rows], dim=-1).flatten(0, 1))
    counts = torch.tensor([rows * columns for rows, columns in grids], dtype=torch.long)
    image = torch.arange(len(grids)).repeat_interleave(counts)
    nowhere = torch.zeros(len(image), dtype=torch.bool)
    return VisualLayout(n_tokens, index, image, torch.zeros_like(image), torch.cat(boxes), nowhere, nowhere, sizes)
