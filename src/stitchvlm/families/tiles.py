"""Pictures cut into equal square tiles with a thumbnail: how many visual tokens that makes and where they sit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Bool, Int


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


def shrink(cut: Cut, allowed: Sequence[Cut], to: Shrink) -> Cut:
    """A cut with the asked share of the visual tokens of ``cut``, made from an ``allowed`` one by making its tiles smaller.

    Of those not above the share the one with most detail is taken, of those not below it the one with fewest tokens; of equals
    the one with the fewest tiles, which stay nearest to the size that the encoder knows. One token is the least.
    """
    fewest_first = sorted(allowed, key=lambda other: other.n_visual)
    smaller = [replace(other, side=side) for other in fewest_first for side in range(1, other.side + 1)]
    wanted = to.share * cut.n_visual
    if to.larger:
        return min((one for one in smaller if one.n_visual >= wanted), key=lambda one: one.n_visual, default=cut)
    return max((one for one in smaller if one.n_visual <= wanted), key=lambda one: one.detail, default=Cut(1, 1, 1))


def tiles_of(
    layouts: Sequence[VisualLayout], present: Sequence[Int[Tensor, " _n_present"]] | None = None
) -> Bool[Tensor, " n_tiles"]:
    """Which tiles of a batch the ``present`` visual tokens belong to, rows one after the other; all of them for None."""
    rows = []
    for layout, there in zip(layouts, present or [torch.arange(layout.n_visual) for layout in layouts], strict=True):
        seen = torch.zeros(layout.n_tiles, dtype=torch.bool)
        seen[layout.tile_number[there]] = True
        rows.append(seen)
    return torch.cat(rows)


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
