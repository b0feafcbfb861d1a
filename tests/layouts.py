"""Layouts of every kind, drawn by hand: tiles with a thumbnail, one native grid, a base image with crops and newlines."""

from dataclasses import dataclass, replace

import torch

from stitchvlm.families.tiles import Cut, cut_layout
from stitchvlm.layout import VisualLayout

SIZE = (640, 480)


@dataclass
class Rows:
    """Visual tokens in the order of the sequence."""

    tile: list[int]
    box: list[tuple[float, float, float, float]]
    coarse: list[bool]
    structural: list[bool]

    def add(self, tile: int, box: tuple[float, float, float, float], coarse: bool = False, structural: bool = False):
        self.tile.append(tile)
        self.box.append(box)
        self.coarse.append(coarse)
        self.structural.append(structural)

    def layout(self) -> VisualLayout:
        n = len(self.tile)
        return VisualLayout(
            n_tokens=n + 9,
            index=torch.arange(4, 4 + n),
            image=torch.zeros(n, dtype=torch.long),
            tile=torch.tensor(self.tile),
            box=torch.tensor(self.box),
            coarse_mask=torch.tensor(self.coarse),
            structural_mask=torch.tensor(self.structural),
            image_sizes=(SIZE,),
        )


def tiles(columns: int, rows: int, side: int) -> VisualLayout:
    cut = Cut(columns, rows, side)
    return cut_layout(torch.arange(2, 2 + cut.n_visual), [cut], [SIZE], n_tokens=cut.n_visual + 7)


def native(columns: int, rows: int) -> VisualLayout:
    """One grid over the whole picture, row by row."""
    found = Rows([], [], [], [])
    for row in range(rows):
        for column in range(columns):
            found.add(0, (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows))
    return found.layout()


def anyres(columns: int, rows: int, side: int, cut_off: int = 0, seen: float = 1.0) -> VisualLayout:
    """A base image, then crops row by row across their seams, each row closed by a newline.

    Args:
        cut_off: rows of tokens that lie in the padding above and below the picture and are not there.
        seen: the share of a crop's side that its tokens see.
    """
    found = Rows([], [], [], [])
    for row in range(side):
        for column in range(side):
            found.add(0, (column / side, row / side, (column + 1) / side, (row + 1) / side), coarse=True)
    height = rows * side - 2 * cut_off
    for row in range(cut_off, rows * side - cut_off):
        for column in range(columns * side):
            left, top = ((place // side + place % side / side * seen) for place in (column, row))
            top = (top - cut_off / side) * side / height
            box = (left / columns, top, (left + seen / side) / columns, top + seen / height)
            found.add(1 + column // side + columns * (row // side), tuple(min(1.0, max(0.0, at)) for at in box))
        found.add(columns + columns * (row // side), (1.0, 0.0, 1.0, 0.0), structural=True)
    return found.layout()


def letterboxed(columns: int, rows: int, padding: int) -> VisualLayout:
    """One grid over a picture between bars: ``padding`` rows of tokens at the top and at the bottom show nothing of it."""
    whole, height = native(columns, rows), rows - 2 * padding
    box = whole.box.clone()
    box[:, 1::2] = ((box[:, 1::2] * rows - padding) / height).clamp(0, 1)
    return replace(whole, box=box)


def together(*layouts: VisualLayout) -> VisualLayout:
    """One prompt with the pictures of several, one text token between them."""
    starts = [sum(one.n_visual + 1 for one in layouts[:number]) for number in range(len(layouts))]
    images = [sum(len(one.image_sizes) for one in layouts[:number]) for number in range(len(layouts))]
    return VisualLayout(
        n_tokens=sum(one.n_visual + 1 for one in layouts) + 5,
        index=torch.cat([start + torch.arange(one.n_visual) for start, one in zip(starts, layouts, strict=True)]),
        image=torch.cat([image + one.image for image, one in zip(images, layouts, strict=True)]),
        tile=torch.cat([one.tile for one in layouts]),
        box=torch.cat([one.box for one in layouts]),
        coarse_mask=torch.cat([one.coarse_mask for one in layouts]),
        structural_mask=torch.cat([one.structural_mask for one in layouts]),
        image_sizes=tuple(size for one in layouts for size in one.image_sizes),
    )


KINDS = {
    "one tile": tiles(1, 1, 16),
    "2 x 2 tiles": tiles(2, 2, 12),
    "4 x 3 tiles": tiles(4, 3, 8),
    "native": native(29, 23),
    "crops": anyres(2, 2, 12, cut_off=3),
    "crops with gaps": anyres(3, 2, 9, seen=378 / 384),
    "letterboxed": letterboxed(26, 30, 4),
}


def views(layout: VisualLayout) -> list[torch.Tensor]:
    """Masks of the tokens that show a part of the picture: in detail, and of the overview if there is one."""
    shows = ~layout.structural_mask & (layout.box[:, 2:] > layout.box[:, :2]).all(1)
    return [mask for mask in (shows & ~layout.coarse_mask, shows & layout.coarse_mask) if mask.any()]


def shared(layout: VisualLayout, region: tuple[float, float, float, float]) -> torch.Tensor:
    """Per token the share of its rectangle that lies in the region."""
    x0, y0, x1, y1 = region
    width = layout.box[:, 2].clamp(max=x1) - layout.box[:, 0].clamp(min=x0)
    height = layout.box[:, 3].clamp(max=y1) - layout.box[:, 1].clamp(min=y0)
    size = (layout.box[:, 2:] - layout.box[:, :2]).prod(1)
    return torch.where(size > 0, width.clamp(min=0) * height.clamp(min=0) / size.clamp(min=1e-9), 0.0)


def covered(layout: VisualLayout, kept: torch.Tensor, region: tuple[float, float, float, float]) -> float:
    """Share of the region that kept tokens show in detail, of what the layout shows of it at all; by 400 points of it."""
    steps = (torch.arange(20) + 0.5) / 20
    x, y = region[0] + steps * (region[2] - region[0]), region[1] + steps * (region[3] - region[1])
    points = torch.cartesian_prod(x, y)

    def seen(tokens: torch.Tensor) -> torch.Tensor:
        boxes = layout.box[tokens][~layout.coarse_mask[tokens]]
        return ((points[:, None] >= boxes[:, :2]) & (points[:, None] < boxes[:, 2:])).all(-1).any(1)

    return float(seen(kept).sum() / seen(torch.arange(layout.n_visual)).sum())
