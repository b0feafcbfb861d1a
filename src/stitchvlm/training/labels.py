"""Dense labels: what lies under each visual token. They teach the vision tower local facts and nothing more.

A token covers one cell of a view (a tile, or the whole picture). Its label names the colour and noun that own most of the
cell and the item on that thing's tag; for each of a few points spread over its width the character there and that
character's place in its text; and whether a text begins or ends in the cell.

The word on a tag is known as its item, and its letters are not spelled: beside the price's they would only be mistaken.

Points rather than a list of the cell's characters: whether a character on the border of two cells belongs to the one or the
other is a matter of a pixel, and in a list all that follow it would move by one. A character that lies under several points,
also of two cells, is known as one by its place in the text.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .grid import TILES, Cut, View
from .scene import Box, Glyph, Scene, Thing
from .words import COLOUR_NAMES, GLYPHS, NOUNS, TAG_ITEMS

POINTS = 4
LONGEST = 9
HEADS = {
    "colour": len(COLOUR_NAMES) + 1,
    "noun": len(NOUNS) + 1,
    **{f"char{k}": len(GLYPHS) + 1 for k in range(POINTS)},
    **{f"order{k}": LONGEST + 1 for k in range(POINTS)},
    "begins": 2,
    "ends": 2,
    "item": len(TAG_ITEMS) + 1,
}
"""Label columns in order, with their number of classes; class 0 means nothing."""
COLUMN = {name: column for column, name in enumerate(HEADS)}


@dataclass(frozen=True)
class PatchLabels:
    """What is to be known of each patch, before patches are joined into visual tokens.

    Attributes:
        classes: of everything together.
        parts: from logits `[views, rows, columns, classes]` and token labels `[views, tokens, label columns]` to each part's
            name, logits `[..., classes of the part]` and targets `[...]`.
        weight: how much a part counts.
    """

    classes: int
    parts: Callable[[torch.Tensor, torch.Tensor], list[tuple[str, torch.Tensor, torch.Tensor]]]
    weight: float


@dataclass(frozen=True)
class Labels:
    """What is to be known of each visual token: columns of classes, 0 meaning nothing and `IGNORE` that it cannot be told.

    Attributes:
        heads: columns in order, with their number of classes.
        of: from a picture's contents, which thing owns each pixel (None where there are no things) and how the picture is
            cut, to `int8[views, rows * columns, columns]`.
        characters: the columns that tell how much text there is.
        figures: under which name the log has a column's accuracy, for those that it has; columns of one name share it.
        words: names for classes from 1 on, and the columns that have them.
        weights: how much a column counts where it is not 1.
        loud: for columns in which some classes count more than others, the weight of each class.
        without_small: from labels `[views, rows * columns, columns]`, rows and columns of a view, and a number of points, to
            labels that are silent about characters on fewer points; None where no stage asks for it.
        patches: what patches are to know, where that is told.
    """

    heads: dict[str, int]
    of: Callable[[Any, np.ndarray | None, Cut], np.ndarray]
    characters: slice
    figures: dict[str, str]
    words: list[tuple[tuple[str, ...], list[str]]]
    weights: dict[str, float] = field(default_factory=dict)
    loud: dict[str, tuple[float, ...]] = field(default_factory=dict)
    without_small: Callable[[np.ndarray, tuple[int, int], int], np.ndarray] | None = None
    patches: PatchLabels | None = None


IGNORE = -1
SMALLEST_HEIGHT, SMALLEST_WIDTH = 7.0, 3.0
"""In pixels of a view: smaller characters cannot be read."""
_VISIBLE_SHARE, _ROW_SHARE = 0.35, 0.35


@dataclass(frozen=True)
class _Seen:
    """A character at one point of one cell. `share` of its height (or of the cell's, where that is less) lies in the cell;
    `order` is its place in its text, counted from 1, or 0 where the text begins outside the view.
    """

    share: float
    glyph: Glyph
    readable: bool
    order: int


def owner_of_cells(owner: np.ndarray, view: View) -> np.ndarray:
    """`int[rows * columns]`: which thing owns most of nine points spread over each cell."""
    x0, y0, x1, y1 = view.box
    right, down = ((np.arange(cells * 3) + 0.5) / (cells * 3) for cells in (view.columns, view.rows))
    xs = np.clip((x0 + right * (x1 - x0)).astype(int), 0, owner.shape[1] - 1)
    ys = np.clip((y0 + down * (y1 - y0)).astype(int), 0, owner.shape[0] - 1)
    points = owner[np.ix_(ys, xs)].reshape(view.rows, 3, view.columns, 3).transpose(0, 2, 1, 3).reshape(-1, 9)
    counts = (points[:, :, None] == np.arange(owner.max() + 1)).sum(1)
    return counts.argmax(1)


def visible_part(glyph: Glyph, rectangle: Box) -> Box | None:
    """The glyph's box cut to the view, or None where too little of it is left to be read."""
    left, top, right, bottom = glyph.box
    x0, y0, x1, y1 = (
        max(left, rectangle[0]),
        max(top, rectangle[1]),
        min(right, rectangle[2]),
        min(bottom, rectangle[3]),
    )
    if x1 <= x0 or y1 <= y0 or (x1 - x0) * (y1 - y0) < _VISIBLE_SHARE * glyph.width * glyph.height:
        return None
    return x0, y0, x1, y1


def _text_of(thing: Thing) -> list[tuple[int, Glyph]]:
    """The text's characters, each with its place in it, counted from 1 and spaces included."""
    orders = [k for k, char in enumerate(thing.text, start=1) if char != " "]
    return list(zip(orders, thing.glyphs[len(thing.glyphs) - len(orders) :], strict=True))


def rows_of(y0: float, y1: float, rows: int, height: float) -> Iterator[tuple[int, float]]:
    """Which of `rows` rows of that height hold enough of what reaches from `y0` to `y1`, and the share that they hold."""
    last, middle = rows - 1, min(rows - 1, int((y0 + y1) / 2 / height))
    for row in range(int(y0 / height), min(last, int(y1 / height)) + 1):
        share = (min(y1, (row + 1) * height) - max(y0, row * height)) / min(y1 - y0, height)
        if row == middle or share >= _ROW_SHARE:
            yield row, share


def points_of(x0: float, x1: float, points: int, pitch: float) -> range:
    """Numbers of the points from `x0` to `x1`, of those across the whole width of the view; the nearest one if there is none."""
    last = points - 1
    first, end = (max(0, min(last + 1, int(x / pitch + 0.5))) for x in (x0, x1))
    nearest = min(last, int((x0 + x1) / 2 / pitch))
    return range(first, end) if first < end else range(nearest, nearest + 1)


def _characters(scene: Scene, view: View) -> dict[tuple[int, int], _Seen]:
    """The character under every point, by cell and point."""
    rectangle = view.box
    scale_x = view.cell * view.columns / (rectangle[2] - rectangle[0])
    scale_y = view.cell * view.rows / (rectangle[3] - rectangle[1])
    found: dict[tuple[int, int], _Seen] = {}
    for thing in scene.things:
        text = _text_of(thing)
        begun = bool(text) and visible_part(text[0][1], rectangle) is not None
        for order, glyph in text:
            part = visible_part(glyph, rectangle)
            if part is None:
                continue
            narrow = glyph.char in "1I." or glyph.width * scale_x >= SMALLEST_WIDTH
            readable = narrow and glyph.height * scale_y >= SMALLEST_HEIGHT
            x0, x1 = ((x - rectangle[0]) * scale_x for x in part[::2])
            y0, y1 = ((y - rectangle[1]) * scale_y for y in part[1::2])
            for row, share in rows_of(y0, y1, view.rows, view.cell):
                seen = _Seen(share, glyph, readable, min(order, LONGEST) if begun else 0)
                for number in points_of(x0, x1, view.columns * POINTS, view.cell / POINTS):
                    place = row * view.columns + number // POINTS, number % POINTS
                    if place not in found or found[place].share < share:
                        found[place] = seen
    return found


def _write_character(label: np.ndarray, point: int, seen: _Seen) -> None:
    """Enter one character into its cell's label; one too small to be read leaves nothing to be told about the cell's text."""
    here = [COLUMN[f"char{point}"], COLUMN[f"order{point}"]]
    if not seen.readable:
        label[[*here, COLUMN["begins"], COLUMN["ends"]]] = IGNORE
        return
    label[here] = 1 + GLYPHS.index(seen.glyph.char), seen.order or IGNORE
    for name, is_edge in (("begins", seen.glyph.begins), ("ends", seen.glyph.ends)):
        if is_edge and label[COLUMN[name]] != IGNORE:
            label[COLUMN[name]] = 1


def write_things(label: np.ndarray, scene: Scene, owner: np.ndarray, column: Mapping[str, int]) -> None:
    """Enter colour, noun and item of the thing that owns each cell into `label[cells, columns]`; a page's plates have no nouns."""
    for index, thing in enumerate(scene.things, start=1):
        mine = owner == index
        label[mine, column["colour"]] = 1 + COLOUR_NAMES.index(thing.colour)
        label[mine, column["noun"]] = 1 + NOUNS.index(thing.noun)
        label[mine, column["item"]] = 1 + TAG_ITEMS.index(thing.item) if thing.item else 0
    if scene.kind == "page":
        label[:, column["noun"]] = IGNORE


def dense_labels(scene: Scene, owner: np.ndarray, cut: Cut = TILES) -> np.ndarray:
    """`int8[views, rows * columns, len(HEADS)]` for the views of `cut`, `IGNORE` where nothing can be told."""
    rows = []
    for view in cut.views(scene.width, scene.height):
        label = np.zeros((view.rows * view.columns, len(HEADS)), np.int8)
        cell_owner = owner_of_cells(owner, view)
        write_things(label, scene, cell_owner, COLUMN)
        for (cell, point), seen in _characters(scene, view).items():
            _write_character(label[cell], point, seen)
        rows.append(label)
    return np.stack(rows)


SCENE_LABELS = Labels(
    HEADS,
    dense_labels,
    characters=slice(COLUMN["char0"], COLUMN["order0"]),
    figures={name: name for name in HEADS if name not in ("begins", "ends")},
    words=[
        (COLOUR_NAMES, ["colour"]),
        (NOUNS, ["noun"]),
        (TAG_ITEMS, ["item"]),
        (tuple(GLYPHS), [f"char{k}" for k in range(POINTS)]),
    ],
)
