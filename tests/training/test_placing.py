"""Characters of lines with known text are found by what a tower says at every point."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from stitchvlm.training.documents import Document, Line
from stitchvlm.training.grid import Tiles
from stitchvlm.training.labels import IGNORE
from stitchvlm.training.placing import Points, _place_within, best_path, place_line
from stitchvlm.training.scene import Glyph
from stitchvlm.training.spelling import BANDS, COLUMN, FOLDED, POINTS, spelled_labels

TILES = Tiles(448, 14, 1, 8)
WIDTHS = {"I": 4, "1": 6, "M": 17, "W": 18, ".": 4, " ": 7}


def set_line(text: str, x: float, y: float) -> Line:
    """A line of type whose characters are 4 to 18 pixels wide."""
    glyphs, end = [], x
    for k, char in enumerate(text):
        width = WIDTHS.get(char, 11)
        if char != " ":
            begins, ends = k == 0 or text[k - 1] == " ", text[k + 1 : k + 2] in ("", " ")
            glyphs.append(Glyph(char, end + width / 2, y, width, 14, begins, ends))
        end += width
    return Line(text, (x, y - 10, end, y + 10), 0, tuple(glyphs))


def spread(line: Line) -> Line:
    """The line as it is where only its box is known."""
    x0, y0, x1, y1 = line.box
    pitch = (x1 - x0) / len(line.text)
    glyphs = iter(line.glyphs)
    even = [
        Glyph(char, x0 + (k + 0.5) * pitch, (y0 + y1) / 2, pitch, 14, glyph.begins, glyph.ends)
        for k, char in enumerate(line.text)
        if char != " " and (glyph := next(glyphs))
    ]
    return Line(line.text, line.box, 0, tuple(even), placed=False)


def said(document: Document, wrong: float, seed: int = 0) -> Points:
    """What a tower that is sure of itself would say, wrongly at that share of the characters' points."""
    rng = random.Random(seed)
    (label,) = spelled_labels(document, None, TILES)
    planes = []
    for name, classes in (("char", len(FOLDED) + 1), ("side", 3)):
        first = COLUMN[f"{name}00"]
        told = label[:, first : first + BANDS * POINTS].reshape(16, 16, BANDS, POINTS)
        told = told.transpose(0, 2, 1, 3).reshape(16 * BANDS, 16 * POINTS).astype(int)
        for place in zip(*np.nonzero(told > 0), strict=True):
            if rng.random() < wrong:
                told[place] = rng.randrange(classes)
        plane = np.full((*told.shape, classes), np.log(0.1 / classes))
        np.put_along_axis(plane, told[..., None], np.log(0.9), -1)
        planes.append(plane)
    return Points(planes[0], planes[1], 448, 448)


TEXTS = ["TOTAL RM 12.50", "WILL MM 111 I.I", "AAB BAA", "INVOICE NO: 0011.11", "M"]


@pytest.mark.parametrize("wrong", [0.0, 0.25])
@pytest.mark.parametrize("text", TEXTS)
def test_characters_are_found_where_they_were_set(text, wrong):
    line = set_line(text, 30, 21)
    document = Document("crop", 448, 448, (line,))
    spans = place_line(spread(line), said(document, wrong))
    assert spans is not None and len(spans) == len(line.glyphs)
    errors = [abs((x0 + x1) / 2 - glyph.x) for (x0, x1), glyph in zip(spans, line.glyphs, strict=True)]
    assert max(errors) <= (4 if wrong == 0 else 12)
    assert np.mean(errors) <= (2 if wrong == 0 else 3.5)
    even = [abs(a.x - b.x) for a, b in zip(spread(line).glyphs, line.glyphs, strict=True)]
    assert text == "M" or np.mean(errors) < np.mean(even)
    assert all(x1 <= y0 for (_, x1), (y0, _) in itertools.pairwise(spans))


def test_lines_of_a_page_are_placed_where_they_stand_in_the_whole_picture():
    line = set_line("TOTAL RM 12.50", 30, 21)
    points = said(Document("crop", 448, 448, (line,)), 0.0)
    glyphs = tuple(replace(glyph, x=glyph.x + 100, y=glyph.y + 200) for glyph in spread(line).glyphs)
    x0, y0, x1, y1 = line.box
    moved = replace(spread(line), box=(x0 + 100, y0 + 200, x1 + 100, y1 + 200), glyphs=glyphs)
    within = place_line(spread(line), points)
    assert _place_within((100, 200, 548, 648), moved, points) == [(a + 100, b + 100) for a, b in within]
    assert _place_within((100, 300, 548, 748), moved, points) is None, "it lies above that window"


def test_a_line_that_is_not_read_is_left_as_it_is():
    line = set_line("TOTAL RM 12.50", 30, 21)
    document = Document("crop", 448, 448, (line,))
    assert place_line(spread(line), said(document, 1.0)) is None
    other = spread(set_line("SUBTOTAL 9.99", 30, 21))
    assert place_line(other, said(document, 0.0)) is None
    assert place_line(spread(set_line("TOTAL", 30, 250)), said(document, 0.0)) is None


def test_more_characters_than_points_cannot_be_placed():
    line = Line("AB", (10, 5, 11, 25), 0, tuple(Glyph(char, 10.5, 15, 0.5, 14, True, True) for char in "AB" * 4))
    points = Points(np.zeros((4, 3, len(FOLDED) + 1)), np.zeros((4, 3, 3)), 448, 448)
    assert place_line(line, points) is None


def legal(path: tuple[int, ...], count: int) -> bool:
    """Whether these states show every character once, in order, without going back."""
    shown = [(state - 1) // 3 for state in path if state % 3]
    return (
        all(a <= b for a, b in itertools.pairwise(path))
        and sorted(set(shown)) == list(range(count))
        and path[0] <= 2
        and path[-1] >= 3 * count - 2
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_best_path_is_the_best_of_all_paths(seed):
    count, length = 2, 5
    scores = np.random.default_rng(seed).normal(size=(length, 3 * count + 1))
    paths = [path for path in itertools.product(range(3 * count + 1), repeat=length) if legal(path, count)]
    best = max(paths, key=lambda path: sum(scores[k, state] for k, state in enumerate(path)))
    assert best_path(scores).tolist() == list(best)


def test_only_placed_lines_of_real_receipts_are_labelled():
    known, guessed = set_line("TOTAL", 30, 21), spread(set_line("CASH", 30, 77))
    document = Document("real", 448, 448, (known, guessed), estimated=True)
    (label,) = spelled_labels(document, None, TILES)
    chars = label[:, COLUMN["char00"] : COLUMN["char00"] + BANDS * POINTS].reshape(16, 16, -1)
    letters = {FOLDED[char - 1] for char in np.unique(chars[chars > 0])}
    assert letters == set("TOAL") and (chars[1:] == IGNORE).all() and not (chars == 0).any()
