"""Signs: a few words, large, on a coloured board."""

import random

from .names import coined
from .page import Ink, Mark, Page, rectangle
from .printer import Printer, Setting, tagged
from .typefaces import Faces
from .words import SIGN_LINES

_BOARDS: tuple[tuple[Ink, Ink], ...] = (
    ((255, 255, 255), (20, 20, 20)),
    ((255, 255, 255), (190, 20, 30)),
    ((200, 20, 35), (255, 255, 255)),
    ((20, 80, 170), (255, 255, 255)),
    ((0, 110, 70), (255, 255, 255)),
    ((250, 210, 20), (20, 20, 20)),
    ((30, 30, 32), (245, 245, 240)),
    ((235, 120, 20), (20, 20, 20)),
    ((245, 235, 210), (80, 40, 20)),
)


def _words(rng: random.Random) -> list[str]:
    lines = [rng.choice(SIGN_LINES)]
    draw = rng.random()
    if draw < 0.25:
        lines.append(rng.choice(SIGN_LINES))
    elif draw < 0.5:
        lines.append(
            f"{rng.randint(6, 11)}:{rng.choice(('00', '30'))} - {rng.randint(16, 23)}:{rng.choice(('00', '30'))}"
        )
    elif draw < 0.7:
        lines.append(f"{coined(rng)} {rng.choice(('Street', 'Hall', 'Station', 'Park', 'Market', 'House'))}")
    elif draw < 0.82:
        lines[0] += f" {rng.choice((str(rng.randint(1, 99)), rng.choice('ABCDEFGH')))}"
    return lines if rng.random() < 0.8 else [line.title() for line in lines]


def compose_sign(seed: str, faces: Faces, width: int) -> Page:
    """A board with one to three lines of large type."""
    rng = random.Random(seed)
    ground, ink = rng.choice(_BOARDS)
    page = Page(width, colour=True)
    lines = _words(rng)
    face = rng.choice((*faces.bold, *faces.plain))
    margin = round(width * rng.uniform(0.06, 0.14))
    largest = width * rng.uniform(0.1, 0.2)
    printer = Printer(page, Setting(face, face, round(largest), leading=rng.uniform(1.5, 1.9), margin=margin, ink=ink))
    printer.y = margin
    for line in lines:
        fitting = largest * (printer.right - printer.left) / max(1.0, printer.setting.type().measure(line))
        size = round(min(largest, max(fitting, 0.45 * largest)))
        smaller = printer.with_setting(size=max(12, size))
        smaller.text(tagged("sign", line), "c")
        printer.y = smaller.y
    page.height = round(printer.y + margin)
    board = [rectangle(0, 0, width, page.height, ground)]
    if rng.random() < 0.5:
        inset = rng.randint(4, 10)
        board.append(rectangle(inset, inset, width - inset, page.height - inset, ink, rng.choice((2, 4, 6))))
    for x in (0.04 * width, 0.96 * width) if rng.random() < 0.3 else ():
        r, y = 0.012 * width, page.height / 2
        board.append(Mark("ellipse", ((x - r, y - r), (x + r, y + r)), (120, 120, 120)))
    page.printed[:0] = board
    return page
