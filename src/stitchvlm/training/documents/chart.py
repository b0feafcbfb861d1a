"""Simple charts: bars, lines and pies with their labels, scales and sometimes values."""

import math
import random
from dataclasses import dataclass, replace

from ..scene import Box
from .names import coined
from .page import BLACK, Ink, Mark, Page, Run, rectangle
from .printer import Phrase, tagged
from .typefaces import Faces, Type, typeface
from .words import FIRST_NAMES, MONTHS, TOPICS

_PALETTE: tuple[Ink, ...] = (
    *((31, 95, 170), (215, 90, 30), (60, 150, 80), (190, 40, 60), (120, 80, 170), (140, 95, 70), (220, 130, 190)),
    *((110, 110, 115), (190, 185, 50), (40, 170, 190)),
)
_GREY: Ink = (200, 200, 200)


@dataclass(frozen=True)
class _Chart:
    """What a chart shows, and with which type and inks."""

    title: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    written: bool
    type: Type
    title_type: Type
    ink: Ink
    colours: tuple[Ink, ...]


def _names(rng: random.Random, count: int) -> tuple[str, ...]:
    kind = rng.choice(("months", "years", "coined", "letters", "people", "quarters"))
    if kind == "months":
        first = rng.randint(0, 12 - count)
        return tuple(name[:3] for name in MONTHS[first : first + count])
    if kind == "years":
        first = rng.randint(1990, 2025 - count)
        return tuple(str(first + k) for k in range(count))
    if kind == "quarters" and count <= 4:
        return tuple(f"Q{k + 1}" for k in range(count))
    if kind == "letters":
        return tuple("ABCDEFGHIJ"[:count])
    found: list[str] = []
    while len(found) < count:
        name = rng.choice(FIRST_NAMES) if kind == "people" else coined(rng)
        if len(name) < 9 and not any(name in other or other in name for other in found):
            found.append(name)
    return tuple(found)


def _values(rng: random.Random, count: int) -> tuple[float, ...]:
    """Different values far enough apart to be told from each other by eye."""
    top, step = rng.choice(((10, 1), (20, 1), (50, 2), (100, 5), (100, 4), (500, 20), (1000, 50), (8, 0.5)))
    steps = rng.sample(range(1, int(top / step) + 1), min(count, int(top / step)))
    return tuple(step * k for k in steps)


def _text(
    page: Page, content: Phrase, x: float, y: float, type_: Type, ink: Ink, align: str = "c", row: int | None = None
) -> None:
    """A phrase whose baseline is at `y`; `align` says what of it is at `x`."""
    start = round(x - {"l": 0.0, "c": 0.5, "r": 1.0}[align] * type_.measure(content.text))
    page.printed.append(
        Run(content.text, start, round(y), type_, ink, page.next_row() if row is None else row, content.tags)
    )


def _number(value: float) -> str:
    return f"{value:g}"


def compose_chart(kind: str, seed: str, faces: Faces, width: int) -> Page:
    """A chart of the kind ("bars", upright or lying, "curve" or "pie"), `width` pixels wide."""
    rng = random.Random(seed)
    page = Page(width, colour=True)
    page.height = round(width * rng.uniform(0.58, 0.9))
    draw = {"bars": rng.choice((_bars, _bars, _rows)), "curve": _curve, "pie": _pie}[kind]
    values = _values(rng, rng.randint(3, 6 if kind == "pie" else 8))
    face = rng.choice(faces.plain)
    size = max(11, round(width * rng.uniform(0.026, 0.036)))
    colours = (
        tuple(rng.sample(_PALETTE, len(values)))
        if kind == "pie" or rng.random() < 0.3
        else (rng.choice(_PALETTE),) * len(values)
    )
    chart = _Chart(
        rng.choice(("{} by {}", "{} per {}")).format(
            rng.choice(TOPICS), rng.choice(("region", "group", "unit", "period"))
        ),
        _names(rng, len(values)),
        values,
        rng.random() < 0.5 or kind == "pie",
        typeface(face, size),
        typeface(rng.choice((face, rng.choice(faces.bold))), round(1.35 * size)),
        rng.choice((BLACK, (60, 60, 60), (30, 30, 70))),
        colours,
    )
    top = 2.2 * chart.title_type.capitals
    where = rng.choice(("c", "l"))
    _text(
        page,
        tagged("title", chart.title),
        width / 2 if where == "c" else 0.05 * width,
        top,
        chart.title_type,
        chart.ink,
        where,
    )
    line = chart.type.capitals
    plot = (0.05 * width + chart.type.measure("00000"), top + 2.5 * line, 0.96 * width, page.height - 3.4 * line)
    crowded = max(map(chart.type.measure, chart.names)) > 0.92 * (plot[2] - plot[0]) / len(values)
    if crowded and draw is not _pie:
        chart = replace(chart, names=tuple("ABCDEFGHIJ"[: len(values)]))
    draw(rng, page, chart, plot)
    return page


def _scale(page: Page, chart: _Chart, plot: Box, upright: bool, gridded: bool) -> float:
    """Draws axes and their numbers; the greatest value on the scale."""
    x0, y0, x1, y1 = plot
    raw = max(chart.values) / 4
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw)
    count = math.ceil(max(chart.values) / step)
    page.printed.append(Mark("line", ((x0, y0), (x0, y1), (x1, y1)), chart.ink, 1))
    for k in reversed(range(count + 1)):
        text = Phrase(_number(step * k))
        if upright:
            y = y1 - (y1 - y0) * k / count
            if gridded and k:
                page.printed.append(Mark("line", ((x0, y), (x1, y)), _GREY, 1))
            page.printed.append(Mark("line", ((x0 - 4, y), (x0, y)), chart.ink, 1))
            _text(page, text, x0 - 7, y + chart.type.capitals / 2, chart.type, chart.ink, "r")
        else:
            x = x0 + (x1 - x0) * k / count
            if gridded and k:
                page.printed.append(Mark("line", ((x, y0), (x, y1)), _GREY, 1))
            page.printed.append(Mark("line", ((x, y1), (x, y1 + 4)), chart.ink, 1))
            _text(page, text, x, y1 + 7 + chart.type.capitals, chart.type, chart.ink)
    return step * count


def _bars(rng: random.Random, page: Page, chart: _Chart, plot: Box) -> None:
    x0, y0, x1, y1 = plot
    most = _scale(page, chart, plot, True, rng.random() < 0.6)
    slot, share = (x1 - x0) / len(chart.values), rng.uniform(0.5, 0.85)
    labels = page.next_row()
    for k, (name, value) in enumerate(zip(chart.names, chart.values, strict=True)):
        centre, top = x0 + (k + 0.5) * slot, y1 - (y1 - y0) * value / most
        box = (centre - share * slot / 2, top, centre + share * slot / 2, y1)
        page.printed.append(rectangle(*box, chart.colours[k]))
        page.figures[f"item.{k}"] = box, value
        _text(
            page,
            tagged(f"item.{k}.name", name),
            centre,
            y1 + 2 * chart.type.capitals,
            chart.type,
            chart.ink,
            row=labels,
        )
        if chart.written:
            _text(page, tagged(f"item.{k}.quantity", _number(value)), centre, top - 4, chart.type, chart.ink)


def _rows(rng: random.Random, page: Page, chart: _Chart, plot: Box) -> None:
    x0, y0, x1, y1 = plot
    x0 += max(0.0, max(chart.type.measure(name) for name in chart.names) + 10 - x0)
    x1 -= chart.type.measure("0000")
    most = _scale(page, chart, (x0, y0, x1, y1), False, rng.random() < 0.5)
    slot, share = (y1 - y0) / len(chart.values), rng.uniform(0.5, 0.8)
    for k, (name, value) in enumerate(zip(chart.names, chart.values, strict=True)):
        middle, end = y0 + (k + 0.5) * slot, x0 + (x1 - x0) * value / most
        box = (x0, middle - share * slot / 2, end, middle + share * slot / 2)
        page.printed.append(rectangle(*box, chart.colours[k]))
        page.figures[f"item.{k}"] = box, value
        row, base = page.next_row(), middle + chart.type.capitals / 2
        _text(page, tagged(f"item.{k}.name", name), x0 - 6, base, chart.type, chart.ink, "r", row)
        if chart.written:
            _text(page, tagged(f"item.{k}.quantity", _number(value)), end + 5, base, chart.type, chart.ink, "l", row)


def _curve(rng: random.Random, page: Page, chart: _Chart, plot: Box) -> None:
    x0, y0, x1, y1 = plot
    most = _scale(page, chart, plot, True, rng.random() < 0.7)
    slot, radius = (x1 - x0) / len(chart.values), rng.choice((3, 4, 5))
    points = [(x0 + (k + 0.5) * slot, y1 - (y1 - y0) * value / most) for k, value in enumerate(chart.values)]
    page.printed.append(Mark("line", tuple(points), chart.colours[0], rng.choice((2, 3))))
    labels = page.next_row()
    for k, ((x, y), value) in enumerate(zip(points, chart.values, strict=True)):
        box = (x - radius, y - radius, x + radius, y + radius)
        page.printed.append(Mark("ellipse", (box[:2], box[2:]), chart.colours[0]))
        page.figures[f"item.{k}"] = box, value
        _text(
            page,
            tagged(f"item.{k}.name", chart.names[k]),
            x,
            y1 + 2 * chart.type.capitals,
            chart.type,
            chart.ink,
            row=labels,
        )
        if chart.written:
            _text(page, tagged(f"item.{k}.quantity", _number(value)), x, y - radius - 5, chart.type, chart.ink)


def _pie(rng: random.Random, page: Page, chart: _Chart, plot: Box) -> None:
    """Slices, and a key on the right with the names and values."""
    _, y0, _, y1 = plot
    radius = min((y1 - y0) / 2, page.width * 0.26)
    centre = 0.06 * page.width + radius, (y0 + y1) / 2
    box = ((centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius))
    angle, whole = rng.uniform(0, 360), sum(chart.values)
    left, step = centre[0] + radius + 0.07 * page.width, 2.4 * chart.type.capitals
    y = centre[1] - step * len(chart.values) / 2 + step
    for k, (name, value) in enumerate(zip(chart.names, chart.values, strict=True)):
        end = angle + 360 * value / whole
        page.printed.append(Mark("slice", box, chart.colours[k], angles=(angle, end)))
        middle = math.radians((angle + end) / 2)
        at = centre[0] + 0.6 * radius * math.cos(middle), centre[1] + 0.6 * radius * math.sin(middle)
        page.figures[f"item.{k}"] = (at[0] - 8, at[1] - 8, at[0] + 8, at[1] + 8), value
        side, row = chart.type.capitals, page.next_row()
        page.printed.append(rectangle(left, y - side, left + side, y, chart.colours[k]))
        _text(page, tagged(f"item.{k}.name", name), left + 1.8 * side, y, chart.type, chart.ink, "l", row)
        _text(page, tagged(f"item.{k}.quantity", _number(value)), 0.96 * page.width, y, chart.type, chart.ink, "r", row)
        angle, y = end, y + step
