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

TILE = 160
PATCH = 10
CELL = 2 * PATCH
"""Pixels along one side of what a visual token shows."""
CELLS = TILE // CELL
"""Visual tokens along one side of a tile, after pixel shuffle."""
TOKENS_PER_TILE = CELLS * CELLS
MIN_TILES, MAX_TILES = 1, 4


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of tiles that a picture of this size is cut into."""
    return get_optimal_tiled_canvas((height, width), (TILE, TILE), MIN_TILES, MAX_TILES)


def tile_count(width: int, height: int) -> int:
    """Tiles of the picture, its thumbnail included."""
    columns, rows = tile_grid(width, height)
    return columns * rows + (columns * rows > 1)


def cut_tiles(picture: Image.Image) -> np.ndarray:
    """Tiles, then the thumbnail: `uint8[tiles, TILE, TILE, 3]`."""
    columns, rows = tile_grid(*picture.size)
    resized = np.asarray(picture.resize((TILE * columns, TILE * rows), Image.Resampling.BICUBIC))
    tiles = resized.reshape(rows, TILE, columns, TILE, 3).transpose(0, 2, 1, 3, 4).reshape(-1, TILE, TILE, 3)
    if columns * rows == 1:
        return tiles
    thumbnail = np.asarray(picture.resize((TILE, TILE), Image.Resampling.BICUBIC))
    return np.concatenate([tiles, thumbnail[None]])


def tile_boxes(width: int, height: int) -> list[Box]:
    """The picture rectangle that each tile shows, in the order of `cut_tiles`."""
    columns, rows = tile_grid(width, height)
    w, h = width / columns, height / rows
    boxes = [(c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns)]
    return boxes if len(boxes) == 1 else [*boxes, (0.0, 0.0, float(width), float(height))]


@dataclass(frozen=True)
class View:
    """A rectangle of the picture that is shown on `rows` times `columns` cells."""

    box: Box
    rows: int
    columns: int


class Cut(Protocol):
    """How pictures become visual tokens. All views of one picture have the same shape."""

    def views(self, width: int, height: int) -> list[View]:
        """What a picture of that size is shown as, in sequence order."""

    def pixels(self, picture: Image.Image) -> np.ndarray:
        """`uint8[views, CELL * rows, CELL * columns, 3]`."""


@dataclass(frozen=True)
class Tiles:
    """Square tiles, followed by the thumbnail where there are several."""

    def views(self, width: int, height: int) -> list[View]:
        return [View(box, CELLS, CELLS) for box in tile_boxes(width, height)]

    def pixels(self, picture: Image.Image) -> np.ndarray:
        return cut_tiles(picture)


@dataclass(frozen=True)
class Whole:
    """The picture whole, at about its own aspect, on at most `most` cells."""

    most: int

    def views(self, width: int, height: int) -> list[View]:
        rows, columns = self._grid(width, height)
        return [View((0.0, 0.0, float(width), float(height)), rows, columns)]

    def pixels(self, picture: Image.Image) -> np.ndarray:
        rows, columns = self._grid(*picture.size)
        return np.asarray(picture.resize((CELL * columns, CELL * rows), Image.Resampling.BICUBIC))[None]

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        bounds = {"min_pixels": min(LEAST_TOKENS, self.most) * CELL**2, "max_pixels": self.most * CELL**2}
        resized = smart_resize(height, width, CELL, **bounds)
        return resized[0] // CELL, resized[1] // CELL


LEAST_TOKENS, MOST_TOKENS = 16, 256
"""Bounds of the image processor for pictures that are shown whole, in visual tokens."""
TILES = Tiles()
