"""From what was printed on a page to what a picture of it, or of a part of it, holds."""

import re
from collections.abc import Sequence

import numpy as np

from ..scene import Box, Glyph
from .document import PARTS, Document, Item, Line, Written, around
from .page import Page, Run, Tag
from .warp import Warp, corners


def _paper_glyphs(runs: Sequence[Run]) -> np.ndarray:
    """`float[characters, 4]`: centre, width and height on paper of every character that is no space."""
    found = []
    for run in runs:
        x, half, high = float(run.x), run.type.capitals / 2, run.type.capitals
        for char in run.text:
            advance = run.type.advance(char)
            if char != " ":
                found.append((np.floor(x + 0.5) + advance / 2, run.y - half, advance, high))
            x += advance
    return np.array(found, float).reshape(-1, 4)


def _in_picture(flat: np.ndarray, warp: Warp, corner: tuple[float, float]) -> np.ndarray:
    """The same glyphs seen through the warp, from `corner` of the picture, in hundredths of a pixel."""
    centre, half = flat[:, :2], flat[:, 2:] / 2
    across, down = half * (1, 0), half * (0, 1)
    middle, right, low = np.split(warp.to_picture(np.concatenate((centre, centre + across, centre + down))), 3)
    width, height = (2 * np.linalg.norm(end - middle, axis=1) for end in (right, low))
    return np.round(np.column_stack((middle - corner, width, height)), 2)


def _box_of(glyphs: Sequence[Glyph]) -> Box:
    """The box of glyphs, in hundredths of a pixel."""
    x0, y0, x1, y1 = (round(edge, 2) for edge in around(glyph.box for glyph in glyphs))
    return x0, y0, x1, y1


class _Piece:
    """A run with its glyphs in the picture, by their place in the text; those out of sight are missing."""

    def __init__(self, run: Run, values: Sequence[Sequence[float]], size: tuple[int, int]) -> None:
        self.run = run
        self.glyphs: dict[int, Glyph] = {}
        text = run.text
        places = [k for k, char in enumerate(text) if char != " "]
        for k, (x, y, width, height) in zip(places, values, strict=True):
            if 0.2 * width <= x <= size[0] - 0.2 * width and 0.2 * height <= y <= size[1] - 0.2 * height:
                begins, ends = k == 0 or text[k - 1] == " ", k == len(text) - 1 or text[k + 1] == " "
                self.glyphs[k] = Glyph(text[k], x, y, width, height, begins, ends)
        self.hidden = len(places) - len(self.glyphs)

    def line(self) -> Line | None:
        """What can be seen of the run."""
        if not self.glyphs:
            return None
        text = self.run.text[min(self.glyphs) : max(self.glyphs) + 1]
        shown = tuple(self.glyphs.values())
        return Line(re.sub(" +", " ", text), _box_of(shown), self.run.row or 0, shown)

    def written(self, tag: Tag) -> Written | None:
        """The tagged stretch, or None where part of it is out of sight."""
        words, boxes = [], []
        for match in re.finditer(r"\S+", self.run.text[tag.begin : tag.end]):
            places = range(tag.begin + match.start(), tag.begin + match.end())
            if any(k not in self.glyphs for k in places):
                return None
            words.append(match[0])
            boxes.append(_box_of([self.glyphs[k] for k in places]))
        return Written(" ".join(words), tuple(boxes)) if words else None


def _join(parts: Sequence[Written | None]) -> Written | None:
    """Parts of one text, printed one after the other; None if one of them is missing."""
    if not parts or any(part is None for part in parts):
        return None
    seen = [part for part in parts if part is not None]
    return Written(" ".join(part.text for part in seen), tuple(box for part in seen for box in part.boxes))


def read_page(kind: str, page: Page, warp: Warp, window: Box) -> Document:
    """The ground truth of the picture's window."""
    x0, y0, x1, y1 = window
    size = round(x1 - x0), round(y1 - y0)
    runs = page.runs()
    values = _in_picture(_paper_glyphs(runs), warp, (x0, y0)).tolist()
    pieces, begin = [], 0
    tags: dict[str, list[Written | None]] = {}
    for run in runs:
        end = begin + len(run.text) - run.text.count(" ")
        piece = _Piece(run, values[begin:end], size)
        pieces.append(piece)
        for tag in run.tags:
            tags.setdefault(tag.name, []).append(piece.written(tag))
        begin = end
    lines = tuple(line for piece in pieces if (line := piece.line()) is not None)
    found = {name: written for name, parts in tags.items() if (written := _join(parts)) is not None}
    fields = {name: written for name, written in found.items() if not name.startswith("item.")}
    return Document(kind, *size, lines, fields, _items(found, page, warp, (x0, y0)))


def _items(found: dict[str, Written], page: Page, warp: Warp, corner: tuple[float, float]) -> tuple[Item, ...]:
    """Items whose names can be seen, in the order in which they were printed."""
    names = [name.removesuffix(".name") for name in found if name.startswith("item.") and name.endswith(".name")]
    items = []
    for name in names:
        parts = {part: found.get(f"{name}.{part}") for part in PARTS if part != "name"}
        figure, value = None, None
        if name in page.figures:
            box, value = page.figures[name]
            edges = warp.to_picture(corners(box)) - corner
            figure = tuple(np.round((*edges.min(0), *edges.max(0)), 2).tolist())
        items.append(Item(found[f"{name}.name"], figure=figure, value=value, **parts))
    return tuple(items)
