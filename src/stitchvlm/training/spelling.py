"""Dense labels of pages full of small text: what is written under each visual token, character by character.

A token may show parts of two lines of small type. Points are therefore spread over its upper and its lower half, each with the
character there, which side of the character is seen, and whether a word begins or ends with it. A letter that stands twice is
known as two by its sides. The line that fills most of a half owns it. Case is folded: a capital and its small letter are one
class.

Beside the points a token has the kind of text that it shows most of, and of drawn scenes the colour, noun and item of the thing
under it. Where characters are too small to be read, or not placed in their line, nothing is told.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from .documents.document import CHARACTERS, Document
from .grid import Cut, View
from .labels import (
    IGNORE,
    SMALLEST_HEIGHT,
    SMALLEST_WIDTH,
    Labels,
    PatchLabels,
    owner_of_cells,
    points_of,
    rows_of,
    visible_part,
    write_things,
)
from .scene import Glyph, Scene
from .words import COLOUR_NAMES, NOUNS, TAG_ITEMS

BANDS, POINTS = 2, 7
FOLDED = "".join(dict.fromkeys(CHARACTERS.upper())).replace(" ", "")
"""Classes of characters from 1 on."""
BORDERS = ("inside", "begins", "ends", "alone")
"""Where in its word a character stands, from class 1 on."""
SIDES = ("left", "right")
TEXTS = ("words", "number", "amount", "date")
"""Kinds of text, from class 1 on."""

_PLACES = [f"{band}{point}" for band in range(BANDS) for point in range(POINTS)]
HEADS = {
    "colour": len(COLOUR_NAMES) + 1,
    "noun": len(NOUNS) + 1,
    "item": len(TAG_ITEMS) + 1,
    "text": len(TEXTS) + 1,
    **{f"char{place}": len(FOLDED) + 1 for place in _PLACES},
    **{f"border{place}": len(BORDERS) + 1 for place in _PLACES},
    **{f"side{place}": len(SIDES) + 1 for place in _PLACES},
}
COLUMN = {name: column for column, name in enumerate(HEADS)}
_CHARS, _BORDERS, _SIDES = (COLUMN[f"{name}00"] for name in ("char", "border", "side"))
NARROW = "1Iil.,:;'|!"
_NARROW = [1 + FOLDED.index(char) for char in dict.fromkeys(NARROW.upper()) if char != "L"]
_AMOUNT = re.compile(r"\D{0,4}-?\d[\d,. ]*[.,]\d\d\D{0,4}")
_DATE = re.compile(r"\b(\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[- ]?[A-Za-z]{3,9}[-, ]*\d{2,4})\b")
_LOUD = (1.0, *(2.5 if char in "0123456789.,:/-" else 1.0 for char in FOLDED))
"""Totals and dates are made of digits, and a single wrong one spoils them; words can be guessed from the rest of them."""
_EQUAL = 4 / (BANDS * POINTS)
"""Points together count as four columns do, however many they are."""


@dataclass(frozen=True)
class _Seen:
    """A character at one point. `share` of its height, or of the band's where that is less, lies in the band."""

    share: float
    char: int
    border: int
    side: int
    text: int


def kind_of_text(text: str) -> int:
    """The class of `TEXTS`, counted from 1."""
    if _AMOUNT.fullmatch(text):
        return 1 + TEXTS.index("amount")
    if _DATE.search(text):
        return 1 + TEXTS.index("date")
    digits = sum(char.isdigit() for char in text)
    return 1 + TEXTS.index("number" if 2 * digits >= len(text.replace(" ", "")) else "words")


def _texts(truth: Scene | Document) -> list[tuple[str, tuple[Glyph, ...]]]:
    """Every piece of text and its characters."""
    if isinstance(truth, Document):
        return [(line.text, line.glyphs) for line in truth.lines if line.placed]
    found = []
    for thing in truth.things:
        word = len(thing.glyphs) - len(thing.text.replace(" ", ""))
        found += [(thing.item, thing.glyphs[:word]), (thing.text, thing.glyphs[word:])]
    return found


def _characters(truth: Scene | Document, view: View) -> dict[tuple[int, int], _Seen]:
    """The character at every point of the view, by row of bands and number of the point in it; class `IGNORE` if unreadable."""
    left, top, right, bottom = view.box
    scale_x, scale_y = view.cell * view.columns / (right - left), view.cell * view.rows / (bottom - top)
    height, pitch = view.cell / BANDS, view.cell / POINTS
    found: dict[tuple[int, int], _Seen] = {}
    for text, glyphs in _texts(truth):
        kind = kind_of_text(text)
        for glyph in glyphs:
            part = visible_part(glyph, view.box)
            if part is None:
                continue
            wide = glyph.char in NARROW or glyph.width * scale_x >= SMALLEST_WIDTH
            readable = wide and glyph.height * scale_y >= SMALLEST_HEIGHT
            char = 1 + FOLDED.index(glyph.char.upper()) if readable else IGNORE
            border = 1 + glyph.begins + 2 * glyph.ends
            (x0, x1), (y0, y1) = ((x - left) * scale_x for x in part[::2]), ((y - top) * scale_y for y in part[1::2])
            middle = (glyph.x - left) * scale_x
            for row, share in rows_of(y0, y1, view.rows * BANDS, height):
                for point in points_of(x0, x1, view.columns * POINTS, pitch):
                    if (row, point) not in found or found[row, point].share < share:
                        side = 1 if (point + 0.5) * pitch < middle else 2
                        found[row, point] = _Seen(share, char, border, side, kind)
    return found


def _write_text(label: np.ndarray, truth: Scene | Document, view: View) -> None:
    """Enter what is written into the labels of a view, `[rows * columns, columns]`."""
    kinds: dict[int, Counter[int]] = {}
    for (row, point), seen in _characters(truth, view).items():
        cell = row // BANDS * view.columns + point // POINTS
        place = row % BANDS * POINTS + point % POINTS
        told = (seen.char, seen.border, seen.side) if seen.char != IGNORE else (IGNORE,) * 3
        label[cell, [_CHARS + place, _BORDERS + place, _SIDES + place]] = told
        kinds.setdefault(cell, Counter())[seen.text if seen.char != IGNORE else IGNORE] += 1
    for cell, counts in kinds.items():
        label[cell, COLUMN["text"]] = counts.most_common(1)[0][0]


def spelled_labels(truth: Scene | Document, owner: np.ndarray | None, cut: Cut) -> np.ndarray:
    """`int8[views, rows * columns, len(HEADS)]`; documents have no things, and a page's plates no nouns."""
    rows = []
    for view in cut.views(truth.width, truth.height):
        label = np.zeros((view.rows * view.columns, len(HEADS)), np.int8)
        if isinstance(truth, Document):
            label[:, : COLUMN["text"]] = IGNORE
        else:
            write_things(label, truth, owner_of_cells(owner, view), COLUMN)
        if isinstance(truth, Document) and truth.estimated:
            label[:] = IGNORE  # there may be more in the picture than is known
        _write_text(label, truth, view)
        rows.append(label)
    return np.stack(rows)


def without_small(labels: np.ndarray, shape: tuple[int, int], least: int) -> np.ndarray:
    """`labels[views, rows * columns, len(HEADS)]` of views of that shape, silent about characters on fewer than `least` points.

    Characters that are narrow by nature stay.
    """
    views, (rows, columns) = len(labels), shape
    lines = np.stack([labels[..., first : first + BANDS * POINTS] for first in (_CHARS, _BORDERS, _SIDES)])
    lines = lines.reshape(3, views, rows, columns, BANDS, POINTS).transpose(0, 1, 2, 4, 3, 5)
    flat = lines.reshape(3, -1, columns * POINTS)
    chars, _, sides = flat
    begins = np.ones(chars.shape, bool)
    begins[:, 1:] = (chars[:, 1:] != chars[:, :-1]) | ((sides[:, 1:] == 1) & (sides[:, :-1] == 2))
    numbers = begins.cumsum().reshape(chars.shape) - 1
    points = np.bincount(numbers.ravel())[numbers]
    small = (chars > 0) & (points < least) & ~np.isin(chars, _NARROW)
    told = np.where(small, IGNORE, flat).reshape(3, views, rows, BANDS, columns, POINTS).transpose(0, 1, 2, 4, 3, 5)
    changed = labels.copy()
    for first, part in zip((_CHARS, _BORDERS, _SIDES), told.reshape(3, views, rows * columns, -1), strict=True):
        changed[..., first : first + BANDS * POINTS] = part
    return changed


_SEEN_BY_PATCH = (slice(0, 4), slice(3, 7))
"""The points of a band that its left and its right patch show; both show half of the one in the middle."""
_PATCH_PARTS = tuple((name, COLUMN[f"{name}00"], HEADS[f"{name}00"]) for name in ("char", "border", "side"))


def _of_patches(logits: torch.Tensor, told: torch.Tensor) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """As `PatchLabels.parts`: at four points over a patch's width what the labels of its token have there."""
    views, rows, columns, _ = logits.shape
    scores = logits.unflatten(-1, (4, -1)).split([classes for _, _, classes in _PATCH_PARTS], -1)
    found = []
    for (name, first, _), part in zip(_PATCH_PARTS, scores, strict=True):
        points = told[..., first : first + BANDS * POINTS].long().reshape(views, rows // 2, columns // 2, BANDS, POINTS)
        sides = torch.stack([points[..., seen] for seen in _SEEN_BY_PATCH], -2)
        found.append((f"{name}00", part, sides.transpose(2, 3).reshape(views, rows, columns, 4)))
    return found


SPELLED_LABELS = Labels(
    HEADS,
    spelled_labels,
    characters=slice(_CHARS, _BORDERS),
    figures={name: name.rstrip("0123456789") for name in HEADS},
    words=[
        (COLOUR_NAMES, ["colour"]),
        (NOUNS, ["noun"]),
        (TAG_ITEMS, ["item"]),
        (tuple(FOLDED), [f"char{place}" for place in _PLACES]),
    ],
    weights={name: _EQUAL for name in HEADS if name[-1].isdigit()},
    loud={f"char{place}": _LOUD for place in _PLACES},
    without_small=without_small,
    patches=PatchLabels(4 * sum(classes for _, _, classes in _PATCH_PARTS), _of_patches, weight=4.0),
)
