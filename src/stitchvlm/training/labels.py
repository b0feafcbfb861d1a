"""Dense labels: what lies under each visual token. They teach the vision tower local facts and nothing more.

A token covers one cell of a tile. Its label names the colour and noun that own most of the cell, up to three characters
whose (visible part's) centre lies in it, left to right, and whether a text begins or ends there.
"""

import numpy as np

from .grid import CELLS, TILE, tile_boxes
from .scene import Glyph, Scene
from .words import COLOUR_NAMES, GLYPHS, NOUNS

SLOTS = 3
HEADS = {
    "colour": len(COLOUR_NAMES) + 1,
    "noun": len(NOUNS) + 1,
    **{f"char{k}": len(GLYPHS) + 1 for k in range(SLOTS)},
    "begins": 2,
    "ends": 2,
}
"""Label columns in order, with their number of classes; class 0 means nothing."""
IGNORE = -1
_SMALLEST_HEIGHT, _SMALLEST_WIDTH, _VISIBLE_SHARE = 7.0, 3.0, 0.35

Rectangle = tuple[float, float, float, float]


def _owner_of_cells(owner: np.ndarray, rectangle: Rectangle) -> np.ndarray:
    """`int[CELLS * CELLS]`: which thing owns most of nine points spread over each cell."""
    x0, y0, x1, y1 = rectangle
    steps = (np.arange(CELLS * 3) + 0.5) / (CELLS * 3)
    xs = np.clip((x0 + steps * (x1 - x0)).astype(int), 0, owner.shape[1] - 1)
    ys = np.clip((y0 + steps * (y1 - y0)).astype(int), 0, owner.shape[0] - 1)
    points = owner[np.ix_(ys, xs)].reshape(CELLS, 3, CELLS, 3).transpose(0, 2, 1, 3).reshape(-1, 9)
    counts = (points[:, :, None] == np.arange(owner.max() + 1)).sum(1)
    return counts.argmax(1)


def _visible_part(glyph: Glyph, rectangle: Rectangle) -> Rectangle | None:
    """The glyph's box cut to the tile, or None where too little of it is left to be read."""
    x0, y0 = max(glyph.x - glyph.width / 2, rectangle[0]), max(glyph.y - glyph.height / 2, rectangle[1])
    x1, y1 = min(glyph.x + glyph.width / 2, rectangle[2]), min(glyph.y + glyph.height / 2, rectangle[3])
    if x1 <= x0 or y1 <= y0 or (x1 - x0) * (y1 - y0) < _VISIBLE_SHARE * glyph.width * glyph.height:
        return None
    return x0, y0, x1, y1


def _characters(scene: Scene, rectangle: Rectangle) -> dict[int, list[tuple[float, Glyph, bool]]]:
    """Characters by cell: `(x, glyph, is it large enough to be read)`."""
    scale_x, scale_y = TILE / (rectangle[2] - rectangle[0]), TILE / (rectangle[3] - rectangle[1])
    cells: dict[int, list[tuple[float, Glyph, bool]]] = {}
    for thing in scene.things:
        for glyph in thing.glyphs:
            part = _visible_part(glyph, rectangle)
            if part is None:
                continue
            column = int(((part[0] + part[2]) / 2 - rectangle[0]) * scale_x * CELLS / TILE)
            row = int(((part[1] + part[3]) / 2 - rectangle[1]) * scale_y * CELLS / TILE)
            narrow = glyph.char in "1I." or glyph.width * scale_x >= _SMALLEST_WIDTH
            readable = narrow and glyph.height * scale_y >= _SMALLEST_HEIGHT
            cells.setdefault(min(row, CELLS - 1) * CELLS + min(column, CELLS - 1), []).append(
                (part[0], glyph, readable)
            )
    return cells


def dense_labels(scene: Scene, owner: np.ndarray) -> np.ndarray:
    """`int8[tiles, CELLS * CELLS, len(HEADS)]` for the tiles of `grid.cut_tiles`, `IGNORE` where nothing can be told."""
    rows = []
    for rectangle in tile_boxes(scene.width, scene.height):
        label = np.zeros((CELLS * CELLS, len(HEADS)), np.int8)
        cell_owner = _owner_of_cells(owner, rectangle)
        for index, thing in enumerate(scene.things, start=1):
            label[cell_owner == index, 0] = 1 + COLOUR_NAMES.index(thing.colour)
            label[cell_owner == index, 1] = 1 + NOUNS.index(thing.noun)
        if scene.kind == "page":
            label[:, 1] = IGNORE
        for cell, found in _characters(scene, rectangle).items():
            found.sort(key=lambda entry: entry[0])
            if len(found) > SLOTS or not all(readable for _, _, readable in found):
                label[cell, 2:] = IGNORE
                continue
            for slot, (_, glyph, _) in enumerate(found):
                label[cell, 2 + slot] = 1 + GLYPHS.index(glyph.char)
            label[cell, 2 + SLOTS] = any(glyph.begins for _, glyph, _ in found)
            label[cell, 3 + SLOTS] = any(glyph.ends for _, glyph, _ in found)
        rows.append(label)
    return np.stack(rows)
