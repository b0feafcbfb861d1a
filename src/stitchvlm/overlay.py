"""A picture of what happened: what the large model kept of it, and where the small one looked."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from stitchvlm.files import replace_file
from stitchvlm.layout import VisualLayout
from stitchvlm.plural import counted
from stitchvlm.records import Answer, GuideMap

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_HEAT = ((13, 8, 36), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Colours of the heat map from no attention to most, dark to light so that it reads in grey as well."""
_PAPER, _INK, _FAINT, _ACCENT = (255, 255, 255), (28, 30, 36), (110, 114, 124), (0, 158, 115)
_FRAME = (0, 114, 178)
"""Blue, that neither paper nor the heat map has."""
_MARGIN, _GAP, _PANEL = 28, 28, 620
_NO_ANSWER = "(no answer)"


def check_output(path: Path) -> None:
    """Raise a ValueError unless a picture could be written to ``path``: before the work, not after it."""
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path} should end in one of {', '.join(_FORMATS)}, the formats an overlay is written in")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to: make it first")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture in the format of its suffix; a file that is there stays whole until the new one is.

    Raises:
        ValueError: if the suffix is of no known format or the folder is missing.
        OSError: if it cannot be written.
    """
    check_output(path)
    with replace_file(path) as temporary:
        picture.save(temporary, _FORMATS[path.suffix.lower()])


def draw_overlay(
    answer: Answer,
    picture: Image.Image,
    question: str,
    number: int = 0,
    place: Sequence[float] | None = None,
    others: Mapping[str, str] | None = None,
) -> Image.Image:
    """Two panels under the question and the answer: the kept tokens clear on a dimmed picture, and the guide map.

    Args:
        picture: the picture that was asked about, the ``number``-th of the question.
        place: where the answer is to be read, a rectangle in fractions of the picture that is framed.
        others: what others answered, by who they are.
    """
    panels = [_kept_panel(answer, picture, number, place)]
    if answer.guide is not None:
        panels.append(_guide_panel(answer.guide, picture, number, place))
    beside = picture.width < 2 * picture.height
    columns = len(panels) if beside else 1
    width = 2 * _MARGIN + columns * _PANEL + (columns - 1) * _GAP
    header = _header(answer, question, others or {}, width - 2 * _MARGIN)
    heights = [max(p.height for p in panels)] if beside else [p.height for p in panels]
    canvas = Image.new("RGB", (width, header.height + sum(heights) + (len(heights) + 1) * _MARGIN), _PAPER)
    canvas.paste(header, (_MARGIN, _MARGIN))
    x, y = _MARGIN, _MARGIN + header.height
    for panel in panels:
        canvas.paste(panel, (x, y))
        x, y = (x + _PANEL + _GAP, y) if beside else (x, y + panel.height + _MARGIN)
    return canvas


def dim_dropped(picture: Image.Image, layout: VisualLayout, kept: Sequence[int], number: int = 0) -> Image.Image:
    """The picture with everything dimmed that no kept token shows in detail; kept overview tokens are outlined.

    Tokens of an overview (a thumbnail) show large parts of the picture coarsely. Were they to clear what they cover,
    little would look dropped.
    """
    mask = Image.new("L", picture.size, 0)
    draw, overview = ImageDraw.Draw(mask), []
    shown = layout.shows_mask & (layout.image == number)
    for ordinal in kept:
        if not bool(shown[ordinal]):
            continue
        box = _pixels(layout, ordinal, picture.size)
        if bool(layout.coarse_mask[ordinal]):
            overview.append(box)
        else:
            draw.rectangle(box, fill=255)
    grey = ImageOps.grayscale(picture).convert("RGB").point(lambda value: int(value * 0.32))
    dimmed = Image.composite(picture, Image.blend(grey, picture.point(lambda value: int(value * 0.32)), 0.25), mask)
    _outline(dimmed, overview)
    return dimmed


def heat(guide: GuideMap, size: tuple[int, int], number: int = 0) -> np.ndarray:
    """Attention per area in every pixel of a picture of ``size``, 0 to 1.

    The views of a picture (tiles, thumbnail) lie over each other: each token spreads its importance over its rectangle.
    The top hundredth of the area is 1, or one token that draws attention for its own sake would leave all else dark.
    """
    density = np.zeros((size[1], size[0]))
    layout = guide.layout
    shown = layout.shows_mask & (layout.image == number)
    for ordinal, score in enumerate(guide.scores.tolist()):
        if not bool(shown[ordinal]):
            continue
        x0, y0, x1, y1 = _pixels(layout, ordinal, size)
        density[y0 : y1 + 1, x0 : x1 + 1] += score / ((x1 - x0 + 1) * (y1 - y0 + 1))
    top = np.quantile(density, 0.99) or density.max() or 1.0
    return (density / top).clip(0, 1)


def draw_heat(guide: GuideMap, picture: Image.Image, number: int = 0) -> Image.Image:
    """The picture in grey under the colours of :func:`heat`."""
    values = Image.fromarray((heat(guide, picture.size, number) * 255).astype(np.uint8))
    values = values.filter(ImageFilter.GaussianBlur(max(picture.size) / 160))
    colours = Image.fromarray(_heat_table()[np.asarray(values)])
    strength = values.point(lambda value: int(70 + value * 0.6))
    dark = ImageOps.grayscale(picture).point(lambda value: int(value * 0.45)).convert("RGB")
    return Image.composite(colours, dark, strength)


def _kept_panel(answer: Answer, picture: Image.Image, number: int, place: Sequence[float] | None) -> Image.Image:
    trace, shown = answer.trace, _fit(picture)
    framed = [] if place is None else ["Blue frame: where the answer stands."]
    if trace.kept is None or trace.layout is None:
        text = "The small model's answer stands: the large one was not called."
        return _panel("Answered by the small model", _framed(shown, place), [text, *framed])
    if trace.n_kept < trace.n_visual:
        shown = dim_dropped(shown, trace.layout, trace.kept, number)
    left = ", blank margins never shown" if trace.layout.leaves_margins(number) else ""
    lines = [
        f"{trace.n_kept} of {counted(trace.n_visual, 'visual token')} stay to the end; dimmed parts were dropped on the way{left}."
    ]
    if bool(trace.layout.coarse_mask[list(trace.kept)].any()) and trace.n_kept < trace.n_visual:
        lines.append("Thin outlines: tokens kept of the overview picture.")
    return _panel("What the large model kept", _framed(shown, place), [*lines, *framed])


def _guide_panel(guide: GuideMap, picture: Image.Image, number: int, place: Sequence[float] | None) -> Image.Image:
    panel = _panel("Where the small model looked", _framed(draw_heat(guide, _fit(picture), number), place), ["", ""])
    _colour_bar(panel, top=panel.height - 40)
    return panel


def _panel(title: str, picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A picture with a title over it and lines of text under it."""
    wrapped = [part for line in lines for part in _wrap(line, _font(15), _PANEL)] or [""]
    top, line_height = 34, 22
    panel = Image.new("RGB", (_PANEL, top + picture.height + 12 + line_height * len(wrapped)), _PAPER)
    draw = ImageDraw.Draw(panel)
    draw.text((0, 2), title, _INK, _font(19))
    left = (_PANEL - picture.width) // 2
    panel.paste(picture, (left, top))
    for number, line in enumerate(wrapped):
        draw.text((0, top + picture.height + 10 + number * line_height), line, _FAINT, _font(15))
    return panel


def _framed(picture: Image.Image, place: Sequence[float] | None) -> Image.Image:
    """The picture with a frame around a rectangle, light on its outer side so that it shows on dark ground too."""
    if place is None:
        return picture
    framed = picture.convert("RGB")
    draw, (width, height) = ImageDraw.Draw(framed), picture.size
    left, top, right, bottom = place[0] * width, place[1] * height, place[2] * width, place[3] * height
    for away, colour in ((4, _FRAME), (5, _FRAME), (6, _PAPER)):
        draw.rectangle((left - away, top - away, right + away, bottom + away), outline=colour)
    return framed


def _header(answer: Answer, question: str, others: Mapping[str, str], width: int) -> Image.Image:
    """The question, the answer with its scores, and what others answered in one block."""
    scores = answer.as_dict()["scores"]
    shown = [f"{name} {value:.2f}" for name, value in scores.items() if value is not None]
    trace = answer.trace
    of_tokens = f" with {trace.n_kept} of {trace.n_visual} visual tokens" if 0 < trace.n_kept < trace.n_visual else ""
    account = [f"answered by the {answer.answered_by} model{of_tokens}", *shown, f"{trace.seconds['total']:.2f} s"]
    told = [line for name, text in others.items() for line in _wrap(f"{name}: {text or _NO_ANSWER}", _font(19), width)]
    blocks = [
        *((line, _font(22), _FAINT, 30) for line in _wrap(question, _font(22), width)[:3]),
        *((line, _font(34), _INK, 46) for line in _wrap(answer.text or _NO_ANSWER, _font(34), width)[:4]),
        *((line, _font(16), _ACCENT, 32 if told else 24) for line in _wrap("  ·  ".join(account), _font(16), width)),
        *((line, _font(19), _INK, 27) for line in told[:6]),
    ]
    header = Image.new("RGB", (width, 16 + sum(height for *_, height in blocks)), _PAPER)
    draw, y = ImageDraw.Draw(header), 0
    for text, font, colour, height in blocks:
        draw.text((0, y), text, colour, font)
        y += height
    return header


def _colour_bar(panel: Image.Image, top: int) -> None:
    draw, table, width = ImageDraw.Draw(panel), _heat_table(), _PANEL - 230
    for x in range(width):
        draw.line([(x, top), (x, top + 14)], tuple(table[x * 255 // (width - 1)].tolist()))
    draw.text((0, top + 18), "no attention", _FAINT, _font(14))
    draw.text((width, top + 18), "most", _FAINT, _font(14), anchor="ra")
    draw.text((width + 16, top - 2), "attention per area", _FAINT, _font(15))


def _heat_table() -> np.ndarray:
    levels, stops = np.arange(256), np.linspace(0, 255, len(_HEAT))
    channels = [np.interp(levels, stops, channel) for channel in zip(*_HEAT, strict=True)]
    return np.stack(channels, axis=1).astype(np.uint8)


def _outline(picture: Image.Image, boxes: Sequence[tuple[int, int, int, int]]) -> None:
    """Thin frames around the parts, blended so that what lies below stays readable."""
    layer = picture.copy()
    draw = ImageDraw.Draw(layer)
    for box in boxes:
        draw.rectangle(box, outline=_ACCENT)
    picture.paste(Image.blend(picture, layer, 0.75))


def _pixels(layout: VisualLayout, ordinal: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The token's rectangle in a picture of ``size``: first and last pixel each way, at least one."""
    x0, y0, x1, y1 = layout.box[ordinal].tolist()
    left, top = round(x0 * size[0]), round(y0 * size[1])
    return left, top, max(left, round(x1 * size[0]) - 1), max(top, round(y1 * size[1]) - 1)


def _fit(picture: Image.Image) -> Image.Image:
    """The picture at the width of a panel, and less than twice as tall as that; small ones keep their sharp pixels."""
    scale = min(_PANEL / picture.width, 1.8 * _PANEL / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 4 else Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _wrap(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text in lines no wider than ``width`` pixels; a word wider than that is broken."""
    lines = [""]
    for word in _pieces("".join(c if c.isprintable() else " " for c in text), font, width):
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _pieces(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    """Words, those too wide cut into parts that fit."""
    for word in text.split():
        while font.getlength(word) > width:
            n_fit = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            yield word[:n_fit]
            word = word[n_fit:]
        yield word
