"""Draws documents. One seed gives one picture, always the same."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from ..fonts import DEFAULT_FONT
from ..scene import Box
from .chart import compose_chart
from .document import Document, around
from .form import compose_form, compose_ticket
from .invoice import compose_invoice
from .page import Page
from .price_list import compose_price_list
from .receipt import compose_receipt
from .scan import CLEAN, Scan, choose_scan, take
from .sign import compose_sign
from .truth import read_page
from .typefaces import Faces, sort_faces
from .warp import Frame, Warp, choose_warp

MOST = (720, 1440)
"""The greatest width and height of a picture, in pixels."""


@dataclass(frozen=True)
class _Kind:
    """How documents of a kind are made. `widths` are those of the paper in pixels; `place` is
    where they lie, for `choose_scan`. Composers take a seed, faces and the width of the paper.
    """

    compose: Callable[[str, Faces, int], Page]
    widths: tuple[int, int]
    frame: Frame
    place: str


_KINDS = {
    "receipt": _Kind(compose_receipt, (490, 715), Frame(MOST, (-0.03, 0.05)), "till"),
    "slip": _Kind(compose_receipt, (215, 340), Frame(MOST, (0.2, 1.0), 0.4), "page"),
    "invoice": _Kind(compose_invoice, (600, 715), Frame(MOST, (-0.02, 0.02), 0.6), "office"),
    "form": _Kind(compose_form, (480, 715), Frame(MOST, (-0.02, 0.04), 0.6), "office"),
    "ticket": _Kind(compose_ticket, (400, 715), Frame(MOST, (0.0, 0.1), 1.0), "desk"),
    "prices": _Kind(compose_price_list, (380, 700), Frame(MOST, (0.0, 0.08), 0.6), "wall"),
    **{
        name: _Kind(partial(compose_chart, name), (360, 715), Frame(MOST, (0.0, 0.0), 0.15), "screen")
        for name in ("bars", "curve", "pie")
    },
    "sign": _Kind(compose_sign, (300, 600), Frame(MOST, (0.02, 0.3), 1.0), "wall"),
}
KINDS = tuple(_KINDS)
"""What can be drawn. A slip is a receipt that takes up little of its picture."""


@dataclass(frozen=True)
class _Plan:
    """All that is decided before anything is painted."""

    kind: str
    page: Page
    warp: Warp
    scan: Scan
    size: tuple[int, int]


def _printed(page: Page) -> Box:
    return around([run.box() for run in page.runs()] or [(0, 0, page.width, page.height)])


def _plan(seed: int | str, kind: str, fonts: tuple[str, ...], clean: bool) -> _Plan:
    if kind not in _KINDS:
        raise ValueError(f"there is no kind of document called {kind!r}: name one of {', '.join(KINDS)}")
    made = _KINDS[kind]
    key = f"document-{kind}-{seed}"
    rng = random.Random(key)
    faces = sort_faces(fonts)
    width = rng.randint(*made.widths)
    page = made.compose(key, faces, width)
    for _ in range(3):
        if page.height <= MOST[1]:
            break
        width = int(width * max(0.6, 0.97 * MOST[1] / page.height))
        page = made.compose(key, faces, width)
    warp, *size = choose_warp(rng, (page.width, page.height), _printed(page), made.frame)
    scan = choose_scan(rng, made.place, page.colour)
    return _Plan(kind, page, warp, CLEAN if clean else scan, (size[0], size[1]))


def draw_document(
    seed: int | str, kind: str = "receipt", fonts: tuple[str, ...] = (DEFAULT_FONT,), clean: bool = False
) -> tuple[Image.Image, Document]:
    """A document of the kind, and what it says. Mode L, or RGB for kinds with colour; a clean one only has its geometry.

    Raises:
        ValueError: if there is no such kind.
    """
    plan = _plan(seed, kind, fonts, clean)
    window = (0, 0, *plan.size)
    return take(plan.scan, plan.page, plan.warp, plan.size, window), read_page(kind, plan.page, plan.warp, window)


def draw_crop(
    seed: int | str,
    kind: str = "receipt",
    fonts: tuple[str, ...] = (DEFAULT_FONT,),
    side: int = 448,
    clean: bool = False,
) -> tuple[Image.Image, Document]:
    """A square of `side` pixels round a random text of the document that `draw_document` draws; nothing else is drawn.

    Lines that are cut hold what can be seen of them; fields and items are there where they are seen whole. A document smaller
    than the square has its surroundings round it. The kind of what is returned is "crop".
    """
    plan = _plan(seed, kind, fonts, clean)
    rng = random.Random(f"crop-{seed}")
    x0, y0, x1, y1 = rng.choice([run.box() for run in plan.page.runs()])
    x, y = plan.warp.to_picture(np.array([(rng.uniform(x0, x1), (y0 + y1) / 2)]))[0]
    corner = []
    for centre, length in ((x, plan.size[0]), (y, plan.size[1])):
        low = round(centre - side * rng.uniform(0.2, 0.8))
        corner.append(max(0, min(low, length - side)) if length >= side else (length - side) // 2)
    window = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    return take(plan.scan, plan.page, plan.warp, plan.size, window), read_page("crop", plan.page, plan.warp, window)
