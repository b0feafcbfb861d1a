"""What is on documents besides their text: logos, barcodes, pen strokes, stamps."""

import math
import random

import numpy as np
from PIL import Image

from ..scene import Box
from .page import Ink, Mark, Page, Pattern, Run, rectangle
from .typefaces import Faces, typeface


def barcode(rng: random.Random, page: Page, centre: float, y: float, width: float, height: float, ink: Ink) -> None:
    """Bars of random widths."""
    unit = max(1, round(width / 110))
    bars = np.array([rng.randint(1, 3) for _ in range(int(width / unit / 2) // 2 * 2 + 1)])
    dark = np.repeat(np.arange(len(bars)) % 2 == 0, bars * unit)[: max(8, round(width))]
    row = Image.fromarray((dark * 255).astype(np.uint8)[None, :])
    mask = row.resize((len(dark), max(4, round(height))))
    page.printed.append(Pattern(mask, round(centre - len(dark) / 2), round(y), ink))


def square_code(rng: random.Random, page: Page, centre: float, y: float, side: float, ink: Ink) -> None:
    """A block of random modules with three finder squares."""
    count = rng.choice((21, 25, 29))
    state = np.random.default_rng(rng.getrandbits(32))
    modules = state.random((count, count)) < 0.5
    finder = np.ones((8, 8), bool)
    finder[7, :] = finder[:, 7] = False
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    modules[:8, :8] = finder
    modules[:8, -8:] = finder[:, ::-1]
    modules[-8:, :8] = finder[::-1]
    scale = max(2, round(side / count))
    mask = Image.fromarray(np.kron(modules, np.ones((scale, scale), bool)).astype(np.uint8) * 255)
    page.printed.append(Pattern(mask, round(centre - mask.width / 2), round(y), ink))


def logo(rng: random.Random, page: Page, faces: Faces, centre: float, y: float, height: float, ink: Ink) -> None:
    """A simple device: rings, a lozenge or a bar with large initials, or these alone."""
    shape = rng.choice(("ring", "disc", "lozenge", "bar", "letters"))
    half, middle = height / 2, y + height / 2
    box = ((centre - half, y), (centre + half, y + height))
    text_ink = ink
    if shape == "ring":
        page.printed.append(Mark("ellipse", box, ink, max(2, round(height / 14))))
    elif shape in ("disc", "lozenge", "bar"):
        text_ink = (255, 255, 255)
        if shape == "disc":
            page.printed.append(Mark("ellipse", box, ink))
        elif shape == "bar":
            page.printed.append(
                rectangle(centre - 2 * half, y + 0.15 * height, centre + 2 * half, y + 0.85 * height, ink)
            )
        else:
            corners = ((centre, y), (centre + half, middle), (centre, y + height), (centre - half, middle))
            page.printed.append(Mark("polygon", corners, ink))
    letters = "".join(rng.choices("ABCDEFGHKLMNPRSTVWZ", k=rng.choice((1, 1, 2))))
    size = round(height * (0.9 if shape == "letters" else 0.5 / math.sqrt(len(letters))))
    type_ = typeface(rng.choice(faces.bold), max(8, size))
    start = round(centre - type_.measure(letters) / 2)
    page.printed.append(Run(letters, start, round(middle + type_.capitals / 2), type_, text_ink, page.next_row()))


def _stroke(page: Page, points: list[tuple[float, float]], ink: Ink, width: int) -> None:
    page.printed.append(Mark("line", tuple(points), ink, width))


def scribble(
    rng: random.Random, page: Page, x: float, y: float, size: float, letters: int, ink: Ink, width: int
) -> None:
    """A row of loops that look like hasty writing, `size` pixels high."""
    points = []
    pen = x
    for _ in range(letters):
        wide, high = size * rng.uniform(0.4, 0.9), size * rng.uniform(0.35, 1.0)
        turn, phase = rng.uniform(0.6, 1.3), rng.uniform(0, 2)
        for k in range(9):
            angle = phase + turn * 2 * math.pi * k / 8
            points.append((pen + wide * (k / 9 + 0.25 * math.cos(angle)), y - high * (0.5 + 0.5 * math.sin(angle))))
        pen += wide * rng.uniform(0.6, 0.9)
    _stroke(page, points, ink, width)


_DIGIT_STROKES = {
    "0": ((0.5, 1), (0.1, 0.6), (0.2, 0.1), (0.5, 0), (0.8, 0.2), (0.8, 0.7), (0.5, 1)),
    "1": ((0.3, 0.8), (0.5, 1), (0.5, 0)),
    "2": ((0.1, 0.8), (0.4, 1), (0.8, 0.8), (0.6, 0.4), (0.1, 0), (0.9, 0.05)),
    "3": ((0.1, 0.9), (0.6, 1), (0.7, 0.7), (0.35, 0.55), (0.8, 0.35), (0.6, 0), (0.1, 0.1)),
    "4": ((0.6, 0), (0.6, 1), (0.1, 0.35), (0.9, 0.35)),
    "5": ((0.8, 1), (0.2, 1), (0.15, 0.55), (0.6, 0.6), (0.8, 0.3), (0.5, 0), (0.1, 0.1)),
    "6": ((0.7, 1), (0.2, 0.5), (0.2, 0.1), (0.6, 0), (0.8, 0.3), (0.5, 0.5), (0.2, 0.3)),
    "7": ((0.1, 1), (0.85, 1), (0.35, 0)),
    "8": ((0.5, 0.5), (0.2, 0.75), (0.5, 1), (0.8, 0.75), (0.2, 0.25), (0.5, 0), (0.8, 0.25), (0.5, 0.5)),
    "9": ((0.8, 0.75), (0.4, 0.5), (0.2, 0.8), (0.6, 1), (0.8, 0.7), (0.6, 0)),
}


def pen_number(
    rng: random.Random, page: Page, x: float, y: float, size: float, count: int, ink: Ink, width: int
) -> None:
    """Digits written by hand, `size` pixels high."""
    for _ in range(count):
        lean, wide = rng.uniform(0, 0.25), size * rng.uniform(0.5, 0.7)
        strokes = _DIGIT_STROKES[rng.choice("0123456789")]
        points = [
            (x + wide * px + lean * size * py + rng.gauss(0, 0.03) * size, y - size * (py + rng.gauss(0, 0.03)))
            for px, py in strokes
        ]
        _stroke(page, points, ink, width)
        x += wide * rng.uniform(1.1, 1.5)


def pen_circle(rng: random.Random, page: Page, box: Box, ink: Ink, width: int) -> None:
    """A line drawn round something by hand."""
    x0, y0, x1, y1 = box
    centre, reach = ((x0 + x1) / 2, (y0 + y1) / 2), (0.62 * (x1 - x0) + 6, 0.8 * (y1 - y0) + 5)
    start = rng.uniform(0, 6.28)
    points = []
    for k in range(30):
        angle, grow = start + 2 * math.pi * k / 26, 1 + 0.004 * k + rng.gauss(0, 0.012)
        points.append((centre[0] + grow * reach[0] * math.cos(angle), centre[1] + grow * reach[1] * math.sin(angle)))
    _stroke(page, points, ink, width)


def stamp(rng: random.Random, page: Page, faces: Faces, x: float, y: float, size: float, ink: Ink) -> None:
    """The print of a rubber stamp: a word in a frame, or rings around one."""
    word = rng.choice(("PAID", "RECEIVED", "COPY", "CHECKED", "POSTED", "CLAIMED", "ENTERED"))
    type_ = typeface(rng.choice(faces.bold), max(8, round(size)))
    length, high = type_.measure(word), type_.capitals
    line = max(2, round(size / 9))
    page.printed.append(Run(word, round(x), round(y), type_, ink))
    pad = 0.4 * size
    if rng.random() < 0.6:
        page.printed.append(rectangle(x - pad, y - high - pad, x + length + pad, y + pad, ink, line))
        return
    radius, middle = length / 2 + pad, (x + length / 2, y - high / 2)
    for r in (radius, 0.86 * radius + 0.14 * length):
        corners = ((middle[0] - r, middle[1] - r), (middle[0] + r, middle[1] + r))
        page.printed.append(Mark("ellipse", corners, ink, line))


def write_over(rng: random.Random, page: Page, faces: Faces, colour: bool) -> None:
    """What people leave on a paper: numbers and initials in the margin, ticks, a circle round the total, a stamp."""
    ink = rng.choice(((30, 40, 120), (20, 20, 30), (150, 30, 40))) if colour else (rng.choice((20, 50, 80)),) * 3
    width = rng.choice((2, 2, 3))
    size = page.width * rng.uniform(0.04, 0.075)
    top = page.runs()[:1]
    if top and top[0].y - top[0].type.capitals > 1.6 * size and rng.random() < 0.7:
        y = rng.uniform(1.3 * size, top[0].y - top[0].type.capitals - 0.2 * size)
        x = rng.uniform(0.05, 0.6) * page.width
        if rng.random() < 0.6:
            pen_number(rng, page, x, y, size, rng.randint(3, 8), ink, width)
        else:
            scribble(rng, page, x, y, size, rng.randint(3, 7), ink, width)
    totals = [run for run in page.runs() if any(tag.name == "total" for tag in run.tags)]
    if totals and rng.random() < 0.25:
        pen_circle(rng, page, totals[0].box(), ink, width)
    if rng.random() < 0.35:
        for run in rng.sample(page.runs(), min(len(page.runs()), rng.randint(1, 4))):
            x, y = run.box()[2] + rng.uniform(-0.3, 0.6) * size, run.y + rng.uniform(-4, 4)
            _stroke(
                page,
                [(x, y - 0.3 * size), (x + 0.15 * size, y), (x + 0.7 * size, y - rng.uniform(0.6, 1) * size)],
                ink,
                width,
            )
    if rng.random() < 0.2:
        x, y = rng.uniform(0.1, 0.7) * page.width, page.height * rng.uniform(0.9, 0.98)
        scribble(rng, page, x, y, 1.2 * size, rng.randint(3, 6), ink, width)
    if rng.random() < 0.2:
        pale = rng.choice(((200, 60, 60), (90, 90, 190), (90, 150, 90))) if colour else (rng.randint(150, 190),) * 3
        stamp(rng, page, faces, rng.uniform(0.1, 0.55) * page.width, rng.uniform(0.5, 0.95) * page.height, size, pale)
