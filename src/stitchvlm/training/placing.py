"""Where each character stands in lines of which only text and box are known: forced alignment by a tower that reads a little.

Along a line the tower says at every point which character is there and which side of it is seen (`spelling`). Of all ways to
lay the known text along these points the most likely one is found by dynamic programming (Viterbi). The text is given, so a
tower that reads three characters of four is enough to place all of them; lines of which it reads less are left as they are.
"""

import math
from dataclasses import replace

import numpy as np
import torch

from stitchvlm.margins import Window, page_window, show_window

from .documents.document import Line
from .documents.real import RealReceipt
from .grid import Cut, Tiles, View
from .labels import rows_of
from .spelling import BANDS, COLUMN, FOLDED, POINTS
from .tower import DenseReader, normalise

Spans = list[tuple[float, float]]
"""From where to where each character of a line reaches, in pixels of the picture."""
_FLOOR = -6.0
_MARGIN = 2
"""Points that a line may go beyond its box to either side."""
_STRAY = 0.02
"""How much a character's distance from where an even spread has it counts, for its square in characters."""
_READ = 0.6
"""Share of a line's characters that the tower must read by itself for the line to be placed."""
_VIEWS = 12


class Points:
    """What a tower says at every point of a picture: log-probabilities of characters and of their sides.

    Attributes:
        chars: `[rows of bands, points across, classes]`, class 0 for nothing.
        sides: `[rows of bands, points across, 3]`: nothing, left, right.
        scale: points of a row, and rows of bands, for a pixel of the picture.
    """

    def __init__(self, chars: np.ndarray, sides: np.ndarray, width: int, height: int) -> None:
        self.chars, self.sides = chars, sides
        self.scale = chars.shape[1] / width, chars.shape[0] / height


@torch.no_grad()
def read_points(reader: DenseReader, pixels: np.ndarray, cut: Cut, width: int, height: int) -> Points:
    """Of a picture of that size; `pixels[views, ...]` as `cut` makes them. The thumbnail is not looked at."""
    views = cut.views(width, height)
    whole = views[:-1] or views
    device = reader.heads.weight.device
    parts: list[list[np.ndarray]] = [[], []]
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, -1)
    for first in range(0, len(whole), _VIEWS):
        shown = normalise(pixels[first : min(first + _VIEWS, len(whole))], device)
        with torch.autocast(device.type, torch.bfloat16):
            columns = reader(shown).columns
        for part, name in zip(parts, ("char", "side"), strict=True):
            begin = COLUMN[f"{name}00"]
            found = torch.stack(columns[begin : begin + BANDS * POINTS], 2).log_softmax(-1)
            part.append(found.float().cpu().numpy())
    chars, sides = (_put_together(np.concatenate(part), whole) for part in parts)
    return Points(chars, sides, width, height)


def _put_together(found: np.ndarray, views: list[View]) -> np.ndarray:
    """`[views, tokens, bands * points, classes]` to rows of bands and points across the whole picture."""
    rows, columns, classes = views[0].rows, views[0].columns, found.shape[-1]
    across = sum(view.box[1] == views[0].box[1] for view in views)
    grid = found.reshape(len(views) // across, across, rows, columns, BANDS, POINTS, classes)
    return grid.transpose(0, 2, 4, 1, 3, 5, 6).reshape(len(views) // across * rows * BANDS, -1, classes)


def place_line(line: Line, points: Points) -> Spans | None:
    """From where to where each of the line's characters reaches, or None if too few of them are read."""
    chars, sides, first = _along(line, points)
    classes = np.array([1 + FOLDED.index(glyph.char.upper()) for glyph in line.glyphs])
    length, count = len(chars), len(classes)
    if length < count:
        return None
    even = (np.array([glyph.x for glyph in line.glyphs]) * points.scale[0] - first)[None]
    pitch = np.median([glyph.width for glyph in line.glyphs]) * points.scale[0]
    stray = _STRAY * ((np.arange(length)[:, None] + 0.5 - even) / max(pitch, 1.0)) ** 2
    scores = np.empty((length, 3 * count + 1))
    scores[:, 0::3] = (chars[:, 0] + sides[:, 0])[:, None]
    scores[:, 1::3] = chars[:, classes] + sides[:, 1, None] - stray
    scores[:, 2::3] = chars[:, classes] + sides[:, 2, None] - stray
    path = best_path(scores)
    spans, read = [], 0
    for k in range(count):
        mine = np.flatnonzero((path == 3 * k + 1) | (path == 3 * k + 2))
        x0, x1 = ((first + int(edge)) / points.scale[0] for edge in (mine[0], mine[-1] + 1))
        spans.append((round(x0, 1), round(x1, 1)))
        read += bool((chars[mine].argmax(-1) == classes[k]).any())
    return spans if read >= _READ * count else None


def _along(line: Line, points: Points) -> tuple[np.ndarray, np.ndarray, int]:
    """What is read along the line, `[points, classes]`: the mean of the bands that it lies in. And the first point's number."""
    across, down = points.scale
    high, wide = points.chars.shape[:2]
    first, last = int(line.box[0] * across) - _MARGIN, math.ceil(line.box[2] * across) + _MARGIN
    first, last = max(0, first), min(wide, last)
    top, bottom = (line.glyphs[0].y + sign * line.glyphs[0].height / 2 for sign in (-1, 1))
    rows, shares = zip(*rows_of(top * down, bottom * down, high, 1.0), strict=True)
    weights = np.array(shares)[:, None, None] / sum(shares)
    part = np.array(rows), slice(first, last)
    chars, sides = ((np.exp(scores[part]) * weights).sum(0) for scores in (points.chars, points.sides))
    return np.log(chars).clip(_FLOOR), np.log(sides).clip(_FLOOR), first


def best_path(scores: np.ndarray) -> np.ndarray:
    """The state at every point on the most likely way through `scores[points, states]`.

    States are a gap before each character, its left side, its right side, and a gap at the end. Gaps may be left out, and
    so may one of the sides, since narrow characters have one point.
    """
    length, states = scores.shape
    kind = np.arange(states) % 3
    never = np.full(4, -np.inf)
    three, four = (np.where(kind >= least, 0.0, -np.inf) for least in (1, 2))  # no character may be left out
    best = np.full(states, -np.inf)
    best[:3] = scores[0, :3]
    came = np.zeros((length, states), np.int64)
    for point in range(1, length):
        before = np.concatenate([never, best])
        steps = np.stack([before[4:], before[3:-1], before[2:-2], before[1:-3] + three, before[:-4] + four])
        came[point] = steps.argmax(0)
        best = steps[came[point], np.arange(states)] + scores[point]
    path = np.empty(length, np.int64)
    path[-1] = states - 3 + int(best[-3:].argmax())
    for point in range(length - 1, 0, -1):
        path[point - 1] = path[point] - came[point, path[point]]
    return path


def place_receipts(reader: DenseReader, receipts: list[RealReceipt], cut: Tiles) -> dict[str, list[Spans | None]]:
    """Where the characters of each line of these receipts stand, by the receipts' names; None for lines that are not placed.

    The tower sees the receipts without their blank margins.
    """
    found: dict[str, list[Spans | None]] = {}
    for receipt in receipts:
        picture = receipt.picture()
        window = page_window(picture, cut.columns)
        page = show_window(picture, window)
        points = read_points(reader, cut.pixels(page), cut, *page.size)
        found[receipt.id] = [_place_within(window, line, points) for line in receipt.document.lines]
    return found


def _place_within(window: Window, line: Line, points: Points) -> Spans | None:
    """As `place_line`, of points of a window of the picture; None for a line that reaches above or below it, or is beside it."""
    left, top, right, bottom = window
    x0, y0, x1, y1 = line.box
    if not (left < (x0 + x1) / 2 < right and top <= y0 and y1 <= bottom + 0.5):
        return None
    glyphs = tuple(replace(glyph, x=glyph.x - left, y=glyph.y - top) for glyph in line.glyphs)
    spans = place_line(replace(line, box=(x0 - left, y0 - top, x1 - left, y1 - top), glyphs=glyphs), points)
    return spans and [(round(begin + left, 1), round(end + left, 1)) for begin, end in spans]
