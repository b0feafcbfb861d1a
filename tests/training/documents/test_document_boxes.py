"""Glyphs lie where their boxes say, however the paper was turned, leant or curled."""

import numpy as np
import pytest

from stitchvlm.training.documents.page import Page, Run
from stitchvlm.training.documents.scan import CLEAN, take
from stitchvlm.training.documents.truth import read_page
from stitchvlm.training.documents.typefaces import typeface
from stitchvlm.training.documents.warp import Warp, Wave, corners

SIZE = 600, 800


def _matrix(angle: float = 0.0, lean: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> np.ndarray:
    """From picture to paper, both turned about their middle."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    middle = np.array([[1, 0, -SIZE[0] / 2], [0, 1, -SIZE[1] / 2], [0, 0, 1]])
    return np.linalg.inv(middle) @ np.array([[c / scale, s, 0], [-s, c / scale, 0], [*lean, 1]]) @ middle


WARPS = {
    "straight": Warp(_matrix()),
    "shifted": Warp(_matrix() + np.array([[0, 0, 0.5], [0, 0, -7.25], [0, 0, 0]])),
    "turned": Warp(_matrix(4.0)),
    "smaller": Warp(_matrix(-2.0, scale=0.85)),
    "leaning": Warp(_matrix(1.0, (6e-5, -4e-5))),
    "curled": Warp(_matrix(), (Wave(0, 1, 5.0, 700.0, 1.0), Wave(1, 0, 5.0, 650.0, 2.0))),
    "uneven": Warp(_matrix(1.0), (Wave(1, 1, 6.0, 260.0, 1.0),)),
    "everything": Warp(_matrix(-3.0, (-4e-5, 5e-5)), (Wave(0, 1, 4.0, 600.0, 0.0), Wave(1, 0, 4.0, 900.0, 4.0))),
}


@pytest.mark.parametrize("name", WARPS)
def test_ink_is_where_the_boxes_are(name):
    """A page of lonely letters that are alike on all sides: the middle of their ink is the middle of their box."""
    page = Page(SIZE[0])
    page.height = SIZE[1]
    type_ = typeface("", 24)
    for x in range(60, 540, 60):
        for y in range(60, 760, 70):
            page.printed.append(Run("H", x, y, type_, row=page.next_row()))
    warp = WARPS[name]
    window = (0, 0, *SIZE)
    ink = 255.0 - np.asarray(take(CLEAN, page, warp, SIZE, window), float)
    found = read_page("page", page, warp, window)
    assert len(found.lines) > 60
    for line in found.lines:
        glyph = line.glyphs[0]
        x0, y0 = int(glyph.x - 18), int(glyph.y - 18)
        patch = ink[max(0, y0) : y0 + 36, max(0, x0) : x0 + 36]
        if patch.shape != (36, 36):
            continue
        ys, xs = np.mgrid[0:36, 0:36] + 0.5
        assert abs((patch * xs).sum() / patch.sum() + x0 - glyph.x) < 1.2
        assert abs((patch * ys).sum() / patch.sum() + y0 - glyph.y) < 1.2
        rows = np.nonzero(patch.max(1) > 100)[0]
        assert abs(rows[-1] - rows[0] + 1 - glyph.height) < 4


@pytest.mark.parametrize("name", WARPS)
def test_the_map_can_be_undone(name):
    points = np.concatenate((corners((10, 20, 590, 780)), [(300.0, 400.0)]))
    warp = WARPS[name]
    assert np.abs(warp.to_paper(warp.to_picture(points)) - points).max() < 0.01


def test_every_glyph_has_ink(drawn):
    """In documents of all kinds, whatever their type: something in the box of a glyph differs from what surrounds it."""
    count = missing = 0
    for picture, document in drawn:
        pixels = np.asarray(picture.convert("L"), float)
        for line in document.lines:
            for glyph in line.glyphs:
                high = glyph.height / 2 + (3 if glyph.char in ",_;" else 1)
                box = pixels[
                    max(0, int(glyph.y - high)) : int(glyph.y + high) + 1,
                    max(0, int(glyph.x - glyph.width / 2)) : int(glyph.x + glyph.width / 2) + 1,
                ]
                count += 1
                missing += bool(np.ptp(box) < 40)
    assert count > 5000
    assert missing / count < 0.002
