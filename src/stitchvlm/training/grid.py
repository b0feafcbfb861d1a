"""The tile grid and the pixels that the image processor will hand to the vision tower.

Training renders pictures straight to tiles with the processor's own grid rule and bicubic resize, so that training and
inference see the same pixels.
"""

import numpy as np
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

TILE = 160
PATCH = 10
CELLS = TILE // (2 * PATCH)
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


def tile_boxes(width: int, height: int) -> list[tuple[float, float, float, float]]:
    """The picture rectangle that each tile shows, in the order of `cut_tiles`."""
    columns, rows = tile_grid(width, height)
    w, h = width / columns, height / rows
    boxes = [(c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns)]
    return boxes if len(boxes) == 1 else [*boxes, (0.0, 0.0, float(width), float(height))]
