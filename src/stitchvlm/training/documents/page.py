"""A page: text and marks on flat paper, in pixels from its upper left corner, and how any part of it is painted.

Nothing is painted while a page is composed, so that a crop costs no more than what can be seen in it.
"""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..scene import Box
from .typefaces import Type

Ink = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Tag:
    """Says that a stretch of a text is (part of) what the name stands for, such as "total" or "item.2.price"."""

    name: str
    begin: int
    end: int


@dataclass(frozen=True)
class Run:
    """Text in one line: `x` and `y` are the pen at the beginning of the baseline. Runs without a row are decoration."""

    text: str
    x: int
    y: int
    type: Type
    ink: Ink = BLACK
    row: int | None = None
    tags: tuple[Tag, ...] = ()

    def box(self) -> Box:
        """From the top of capitals to the baseline."""
        return self.x, self.y - self.type.capitals, self.x + self.type.measure(self.text), self.y


@dataclass(frozen=True)
class Mark:
    """Anything that is not text. `shape` is "line", "polygon", "ellipse", "arc" or "slice".

    A line runs through its points. The others are filled unless they have a width; "ellipse", "arc" and "slice" lie in the
    box of two points, the latter two between `angles`.
    """

    shape: str
    points: tuple[tuple[float, float], ...]
    ink: Ink = BLACK
    width: int = 0
    angles: tuple[float, float] = (0.0, 360.0)

    def box(self) -> Box:
        """All that it may colour."""
        xs, ys = zip(*self.points, strict=True)
        return min(xs) - self.width, min(ys) - self.width, max(xs) + self.width, max(ys) + self.width


@dataclass(frozen=True)
class Pattern:
    """A picture of ink (255 where there is ink) with its upper left corner at `x`, `y`: barcodes and the like."""

    mask: Image.Image
    x: int
    y: int
    ink: Ink = BLACK

    def box(self) -> Box:
        """All that it may colour."""
        return self.x, self.y, self.x + self.mask.width, self.y + self.mask.height


class Page:
    """What is printed, in the order of printing. `colour` says whether any of it needs more than grey."""

    def __init__(self, width: int, colour: bool = False) -> None:
        self.width, self.height = width, 0
        self.colour = colour
        self.printed: list[Run | Mark | Pattern] = []
        self.rows = 0
        self.figures: dict[str, tuple[Box, float]] = {}
        """Boxes of a chart's shapes on the paper and the values that they show, by the name of the item's tag."""

    def next_row(self) -> int:
        """The number of a new row, below all those before."""
        self.rows += 1
        return self.rows - 1

    def runs(self) -> list[Run]:
        """The texts that count as lines of the document."""
        return [run for run in self.printed if isinstance(run, Run) and run.row is not None]

    def paint(self, window: Box) -> Image.Image:
        """The part of the page in the window (whole pixels) on white: mode L, or RGB on a page with colour."""
        x0, y0, x1, y1 = (math.floor(window[0]), math.floor(window[1]), math.ceil(window[2]), math.ceil(window[3]))
        canvas = Image.new("RGB" if self.colour else "L", (x1 - x0, y1 - y0), WHITE if self.colour else 255)
        draw = ImageDraw.Draw(canvas)
        for printed in self.printed:
            box = printed.box()
            slack = 0.6 * (box[3] - box[1])  # descenders
            if box[2] < x0 or box[0] > x1 or box[3] + slack < y0 or box[1] - slack > y1:
                continue
            ink = printed.ink if self.colour else printed.ink[0]
            if isinstance(printed, Run):
                _paint_run(canvas, printed, ink, x0, y0)
            elif isinstance(printed, Pattern):
                canvas.paste(ink, (printed.x - x0, printed.y - y0), printed.mask)
            else:
                _paint_mark(draw, printed, ink, x0, y0)
        return canvas


def _paint_run(canvas: Image.Image, run: Run, ink: Ink | int, x0: int, y0: int) -> None:
    x, y = float(run.x - x0), run.y - y0
    for char in run.text:
        if x < canvas.width and x > -4 * run.type.capitals and char != " ":
            stamp = run.type.stamp(char)
            if stamp.ink is not None:
                canvas.paste(ink, (math.floor(x + 0.5) + stamp.dx, y + stamp.dy), stamp.ink)
        x += run.type.advance(char)


def _paint_mark(draw: ImageDraw.ImageDraw, mark: Mark, ink: Ink | int, x0: int, y0: int) -> None:
    points = [(x - x0, y - y0) for x, y in mark.points]
    fill, outline = (None, ink) if mark.width else (ink, None)
    if mark.shape == "line":
        draw.line(points, fill=ink, width=mark.width, joint="curve" if mark.width > 2 else None)
    elif mark.shape == "polygon":
        draw.polygon(points, fill=fill, outline=outline, width=mark.width)
    elif mark.shape == "ellipse":
        draw.ellipse(points, fill=fill, outline=outline, width=mark.width)
    elif mark.shape == "arc":
        draw.arc(points, *mark.angles, fill=ink, width=mark.width)
    else:
        draw.pieslice(points, *mark.angles, fill=fill, outline=outline, width=mark.width)


def rectangle(x0: float, y0: float, x1: float, y1: float, ink: Ink = BLACK, width: int = 0) -> Mark:
    """A filled rectangle, or the outline of one."""
    return Mark("polygon", ((x0, y0), (x1, y0), (x1, y1), (x0, y1)), ink, width)
