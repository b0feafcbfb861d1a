"""How a picture is laid out in visual tokens, and the pixels that the image processor will hand to the vision tower.

A visual token covers one cell. `TILES` cuts a picture into square tiles and a thumbnail, `Whole` shows it whole on a grid of
its own aspect. Training renders pictures straight to these pixels with the processors' own grid rules and bicubic resize,
so that training and inference see the same.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from .scene import Box


@dataclass(frozen=True)
class View:
    """A rectangle of the picture that is shown on `rows` times `columns` cells, each `cell` pixels wide and high."""

    box: Box
    rows: int
    columns: int
    cell: int


class Cut(Protocol):
    """How pictures become visual tokens. All views of one picture have the same shape."""

    @property
    def cell(self) -> int:
        """Pixels along one side of what a visual token shows."""

    def views(self, width: int, height: int) -> list[View]:
        """What a picture of that size is shown as, in sequence order."""

    def pixels(self, picture: Image.Image) -> np.ndarray:
        """`uint8[views, cell * rows, cell * columns, channels]`; a grey picture (mode L) has one channel, another three."""


@dataclass(frozen=True)
class Tiles:
    """Square tiles, followed by the thumbnail where there are several.

    Attributes:
        side: pixels along one side of a tile.
        patch: pixels along one side of a patch; a visual token shows two by two of them.
        least, most: bounds of the number of tiles.
    """

    side: int = 160
    patch: int = 10
    least: int = 1
    most: int = 4

    @property
    def cell(self) -> int:
        return 2 * self.patch

    @property
    def cells(self) -> int:
        """Visual tokens along one side of a tile, after pixel shuffle."""
        return self.side // self.cell

    @property
    def tokens(self) -> int:
        """Visual tokens of a tile."""
        return self.cells**2

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles that a picture of this size is cut into."""
        return get_optimal_tiled_canvas((height, width), (self.side, self.side), self.least, self.most)

    def columns(self, width: int, height: int) -> int:
        """Columns alone."""
        return self.grid(width, height)[0]

    def boxes(self, width: int, height: int) -> list[Box]:
        """The picture rectangle that each tile shows, in sequence order."""
        columns, rows = self.grid(width, height)
        w, h = width / columns, height / rows
        boxes = [(c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns)]
        return boxes if len(boxes) == 1 else [*boxes, (0.0, 0.0, float(width), float(height))]

    def views(self, width: int, height: int) -> list[View]:
        return [View(box, self.cells, self.cells, self.cell) for box in self.boxes(width, height)]

    def pixels(self, picture: Image.Image) -> np.ndarray:
        (columns, rows), side = self.grid(*picture.size), self.side
        resized = _resized(picture, side * columns, side * rows)
        tiles = resized.reshape(rows, side, columns, side, -1).transpose(0, 2, 1, 3, 4)
        tiles = tiles.reshape(rows * columns, side, side, -1)
        return tiles if columns * rows == 1 else np.concatenate([tiles, _resized(picture, side, side)[None]])


@dataclass(frozen=True)
class Whole:
    """The picture whole, at about its own aspect, on at most `most` cells."""

    most: int
    patch: int = 10

    @property
    def cell(self) -> int:
        return 2 * self.patch

    def views(self, width: int, height: int) -> list[View]:
        rows, columns = self._grid(width, height)
        return [View((0.0, 0.0, float(width), float(height)), rows, columns, self.cell)]

    def pixels(self, picture: Image.Image) -> np.ndarray:
        rows, columns = self._grid(*picture.size)
        return _resized(picture, self.cell * columns, self.cell * rows)[None]

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        bounds = {"min_pixels": min(LEAST_TOKENS, self.most) * self.cell**2, "max_pixels": self.most * self.cell**2}
        resized = smart_resize(height, width, self.cell, **bounds)
        return resized[0] // self.cell, resized[1] // self.cell


def _resized(picture: Image.Image, width: int, height: int) -> np.ndarray:
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return pixels.reshape(height, width, -1)


LEAST_TOKENS, MOST_TOKENS = 16, 256
"""Bounds of the image processor for pictures that are shown whole, in visual tokens."""
TILES = Tiles()
"""Those of the embedded pair, for which scenes are drawn: their texts can be read in these."""
TOKENS_PER_TILE = TILES.tokens
