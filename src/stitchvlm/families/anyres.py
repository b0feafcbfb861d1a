"""Pictures cut into crops that fit their shape, as LLaVA-OneVision has it: what their tokens show and are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers.models.llava_onevision.modeling_llava_onevision import unpad_image

from stitchvlm.families.tiles import Cut
from stitchvlm.layout import VisualLayout
from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True)
class Anyres(Cut):
    """How one picture is cut: a view of all of it, and crops; without columns the view alone, of the picture in a square.

    The tokens of all crops are stitched to one grid, those that are only padding are cut off, and grids that are still too large
    are resampled.

    Attributes:
        size: (width, height) of the picture in pixels.
        tile: pixels along a side of a tile that is not shrunk.
        patch: pixels along a side of a visual token; what a tile has beyond whole ones is not seen.
        most: how many tiles' tokens the grid may have, or a little more, before it is resampled to that many.
    """

    size: tuple[int, int]
    tile: int
    patch: int
    most: int

    @property
    def n_tiles(self) -> int:
        return 1 + self.columns * self.rows

    @property
    def pixels(self) -> int:
        """Along a side of a tile, shrunk or not."""
        return self.tile * self.side // (self.tile // self.patch)

    @property
    def detail(self) -> int:
        if not self.columns:
            return self.side**2 * min(self.size) // max(self.size)
        return self.grid[0] * self.grid[1]

    @property
    def n_visual(self) -> int:
        return self.side**2 + (self.detail + self.grid[0] if self.columns else 1)

    @cached_property
    def unpadded(self) -> tuple[int, int]:
        """Rows and columns of the stitched grid without padding."""
        stitched = torch.empty(1, self.rows * self.side, self.columns * self.side, device="meta")
        _, rows, columns = unpad_image(stitched, self.size[::-1]).shape
        return rows, columns

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens that the crops come to, newlines aside."""
        rows, columns = self.unpadded
        ratio = math.sqrt(rows * columns / (self.most * self.side**2))
        return (int(rows // ratio), int(columns // ratio)) if ratio > 1.1 else (rows, columns)

    def stitch(
        self, tiles: Float[Tensor, "n_tiles patches width"], newline: Float[Tensor, " width"]
    ) -> Float[Tensor, "n_visual width"]:
        """The visual tokens of encoded tiles, the view first."""
        if not self.columns:
            return torch.cat([tiles[0], newline[None].to(tiles)])
        crops = tiles[1:].unflatten(0, (self.rows, self.columns)).unflatten(2, (self.side, self.side))
        whole = crops.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        whole = unpad_image(whole, self.size[::-1])
        if self.grid != self.unpadded:
            whole = nn.functional.interpolate(whole[None], list(self.grid), mode="bilinear")[0]
        ended = torch.cat([whole, newline[:, None, None].to(whole).expand(-1, self.grid[0], 1)], dim=2)
        return torch.cat([tiles[0], ended.flatten(1).T])

    def places(self) -> tuple[Int[Tensor, " n_visual"], Float[Tensor, "n_visual 4"], Bool[Tensor, "n_visual n_tiles"]]:
        """Per visual token its tile, the rectangle that it shows, and the tiles that it is made of; newlines of none."""
        n_view, line = self.side**2, torch.arange(self.side)[:, None] * self.patch + torch.tensor([0, self.patch])
        x, y = (_Span(0, self.pixels),) * 2 if self.columns else self._in_square()
        view = _boxes(x.shares(line), y.shares(line))
        tile = torch.zeros(self.n_visual, dtype=torch.long)
        made_of = torch.zeros(self.n_visual, self.n_tiles, dtype=torch.bool)
        made_of[:n_view, 0] = True
        if not self.columns:
            return tile, torch.cat([view, torch.ones(1, 4)]), made_of
        x, y = self._in_crops()
        along, column, mixed_along = self._axis(self.columns, self.unpadded[1], self.grid[1])
        down, row, mixed_down = self._axis(self.rows, self.unpadded[0], self.grid[0])
        box = _boxes(torch.cat([x.shares(along), torch.ones(1, 2)]), y.shares(down))
        column = nn.functional.pad(column, (0, 1), value=self.columns - 1)
        mixed_along = nn.functional.pad(mixed_along, (0, 0, 0, 1))
        tile[n_view:] = (1 + row[:, None] * self.columns + column).flatten()
        made_of[n_view:, 1:] = (mixed_down[:, None, :, None] & mixed_along[:, None]).flatten(2).flatten(0, 1)
        return tile, torch.cat([view, box]), made_of

    def _axis(
        self, n_crops: int, n_left: int, n_out: int
    ) -> tuple[Float[Tensor, "n_out 2"], Int[Tensor, " n_out"], Bool[Tensor, "n_out n_crops"]]:
        """Along one axis of the crops, per token its edges in pixels, its crop, and all crops that it is mixed of."""
        first, scale = (n_crops * self.side - n_left) // 2, n_left / max(1, n_out)
        at = first - 0.5 + (torch.arange(n_out, dtype=torch.double) + 0.5) * scale
        support = at.floor(), at.ceil()
        before, after = (cell // self.side * self.pixels + cell % self.side * self.patch for cell in support)
        centre = torch.lerp(before, after, at - at.floor())[:, None] + self.patch / 2
        edges = centre + torch.tensor([-0.5, 0.5]) * scale * self.patch
        mixed = torch.zeros(n_out, n_crops, dtype=torch.bool)
        for cell in support:
            mixed[torch.arange(n_out), cell.long().clamp(first, first + n_left - 1) // self.side] = True
        return edges, (at + 0.5).long() // self.side, mixed

    def _in_square(self) -> tuple["_Span", "_Span"]:
        """Where the picture is in a square that is its view."""
        longest, scale = max(self.size), self.pixels / max(self.size)
        x, y = (_Span((longest - length) // 2 * scale, length * scale) for length in self.size)
        return x, y

    def _in_crops(self) -> tuple["_Span", "_Span"]:
        """Where the picture is in the crops, which it touches on two sides."""
        whole = (self.columns * self.pixels, self.rows * self.pixels)
        scale = [side / length for side, length in zip(whole, self.size, strict=True)]
        fitted = [min(side, math.ceil(length * min(scale))) for side, length in zip(whole, self.size, strict=True)]
        x, y = (_Span((side - length) // 2, length) for side, length in zip(whole, fitted, strict=True))
        return x, y


@dataclass(frozen=True)
class _Span:
    """Where a picture begins along an axis, and how long it is there, in pixels."""

    begin: int | float
    length: int | float

    def shares(self, edges: Tensor) -> Float[Tensor, "n 2"]:
        """Places on the axis as shares of the picture's length, what is beyond the picture left out."""
        return ((edges.double() - self.begin) / self.length).clamp(0, 1).float()


@dataclass(frozen=True, eq=False)
class AnyresLayout(VisualLayout):
    """A layout that knows what its tokens are made of.

    Attributes:
        cuts: of every picture.
        made_of: per visual token the tiles, counted over all pictures, whose encodings it is made of.
    """

    cuts: tuple[Anyres, ...]
    made_of: Bool[Tensor, "n_visual n_tiles"]

    @property
    def n_tiles(self) -> int:
        return self.made_of.shape[1]

    @property
    def sources(self) -> Bool[Tensor, "n_visual n_tiles"]:
        return self.made_of


def anyres_layout(index: Int[Tensor, " n_visual"], cuts: Sequence[Anyres], n_tokens: int) -> AnyresLayout:
    """The layout of pictures, each with its own cut."""
    nothing = (torch.empty(0, dtype=torch.long), torch.empty(0, 4), torch.empty(0, 0, dtype=torch.bool))
    tiles, boxes, parts = zip(nothing, *(cut.places() for cut in cuts), strict=True)
    tile, made_of = torch.cat(tiles), torch.block_diag(*parts)
    image = torch.tensor([number for number, cut in enumerate(cuts) for _ in range(cut.n_visual)], dtype=torch.long)
    is_cut = torch.tensor([cut.columns > 0 for cut in cuts], dtype=torch.bool)
    return AnyresLayout(
        n_tokens=n_tokens,
        index=index,
        image=image,
        tile=tile,
        box=torch.cat(boxes),
        coarse_mask=is_cut[image] & (tile == 0),
        structural_mask=~made_of.any(1),
        image_sizes=tuple(cut.size for cut in cuts),
        cuts=tuple(cuts),
        made_of=made_of,
    )


def _boxes(along: Float[Tensor, "n_columns 2"], down: Float[Tensor, "n_rows 2"]) -> Float[Tensor, "n_tokens 4"]:
    """Rectangles (x0, y0, x1, y1) of a grid from the edges of its columns and rows, row by row."""
    x, y = along.repeat(len(down), 1), down.repeat_interleave(len(along), 0)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)
