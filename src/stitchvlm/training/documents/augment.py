"""Makes more of a picture and its document: turned, scaled, cut, in another light, blurred, compressed."""

import io
import math
import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from stitchvlm.margins import page_window, show_window

from ..grid import Tiles
from ..scene import Box
from .document import PARTS, Document, Item, Line, Written, around
from .warp import Warp, corners


def moved(document: Document, warp: Warp, window: Box) -> Document:
    """The document as it is in the window (whole pixels) of a picture pulled through the warp, whose paper is the old picture.

    Lines that are cut hold what can be seen of them; fields and items stay where they are seen whole.
    """
    corner, size = np.array(window[:2]), (round(window[2] - window[0]), round(window[3] - window[1]))

    def place(box: Box) -> Box:
        points = warp.to_picture(corners(box)) - corner
        x0, y0, x1, y1 = np.round((*points.min(0), *points.max(0)), 2).tolist()
        return x0, y0, x1, y1

    def keep(written: Written | None) -> Written | None:
        if written is None or not written.boxes:
            return written
        boxes = tuple(place(box) for box in written.boxes)
        x0, y0, x1, y1 = around(boxes)
        return Written(written.text, boxes) if x0 > -2 and y0 > -2 and x1 < size[0] + 2 and y1 < size[1] + 2 else None

    fields = {name: kept for name, written in document.fields.items() if (kept := keep(written)) is not None}
    items = []
    for item in document.items:
        name = keep(item.name)
        if name is not None:
            parts = {part: keep(getattr(item, part)) for part in PARTS if part != "name"}
            items.append(Item(name, figure=item.figure and place(item.figure), value=item.value, **parts))
    lines = tuple(line for each in document.lines if (line := _moved_line(each, warp, corner, size)) is not None)
    return replace(document, width=size[0], height=size[1], lines=lines, fields=fields, items=tuple(items))


def _moved_line(line: Line, warp: Warp, corner: np.ndarray, size: tuple[int, int]) -> Line | None:
    flat = np.array([(g.x, g.y, g.width, g.height) for g in line.glyphs]).reshape(-1, 4)
    half = flat[:, 2:] / 2
    points = np.concatenate((flat[:, :2], flat[:, :2] + half * (1, 0), flat[:, :2] + half * (0, 1)))
    middle, right, low = np.split(warp.to_picture(points), 3)
    width, height = (2 * np.linalg.norm(end - middle, axis=1) for end in (right, low))
    values = np.round(np.column_stack((middle - corner, width, height)), 2).tolist()
    shown = [
        replace(glyph, x=x, y=y, width=w, height=h)
        for glyph, (x, y, w, h) in zip(line.glyphs, values, strict=True)
        if 0.2 * w <= x <= size[0] - 0.2 * w and 0.2 * h <= y <= size[1] - 0.2 * h
    ]
    if not shown:
        return None
    text = "".join(("" if k == 0 or not glyph.begins else " ") + glyph.char for k, glyph in enumerate(shown))
    box = around(glyph.box for glyph in shown)
    return Line(text, box, line.row, tuple(shown), line.placed)


def augment(
    picture: Image.Image, document: Document, rng: random.Random, most: tuple[int, int] = (720, 1440)
) -> tuple[Image.Image, Document]:
    """The picture turned by up to three degrees, scaled, its margins cut, in another light. All lines stay in it."""
    width, height = picture.size
    turn = math.radians(max(-3.0, min(3.0, rng.gauss(0, 0.9)))) if rng.random() < 0.7 else 0.0
    scale_x = rng.uniform(0.88, 1.08)
    scale_y = scale_x * rng.uniform(0.94, 1.06)
    forward = np.array(
        [
            [scale_x * math.cos(turn), -scale_y * math.sin(turn), 0],
            [scale_x * math.sin(turn), scale_y * math.cos(turn), 0],
            [0, 0, 1],
        ]
    ) @ np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    first = Warp(np.linalg.inv(forward))
    whole = first.to_picture(corners((0, 0, width, height)))
    text = np.concatenate([first.to_picture(corners(line.box)) for line in document.lines] or [whole])
    low, high = (
        edge + (seen - edge) * rng.uniform(0, 0.95)
        for edge, seen in ((whole.min(0), text.min(0) - 3), (whole.max(0), text.max(0) + 3))
    )
    low, high = np.minimum(low, text.min(0) - 3), np.maximum(high, text.max(0) + 3)
    shrink = min(1.0, *(limit / length for limit, length in zip(most, high - low, strict=True)))
    fit = np.array([[shrink, 0, -shrink * low[0]], [0, shrink, -shrink * low[1]], [0, 0, 1]])
    warp = Warp(np.linalg.inv(fit @ forward))
    size = np.minimum(np.ceil(shrink * (high - low)), most).astype(int).tolist()
    window = (0, 0, size[0], size[1])
    return _relit(warp.pull(picture, (0, 0), window), rng), moved(document, warp, window)


def cut_margins(picture: Image.Image, document: Document, tiles: Tiles) -> tuple[Image.Image, Document]:
    """The page without blank margins, as whoever cuts it into these tiles has it shown (`margins`)."""
    window = page_window(picture, tiles.columns)
    return show_window(picture, window), moved(document, Warp(np.eye(3)), window)


def cut_square(
    picture: Image.Image, document: Document, rng: random.Random, side: int = 448
) -> tuple[Image.Image, Document]:
    """A square of `side` pixels round a random line, as `generator.draw_crop` gives of a drawn document.

    Fields whose place is unknown are left out.

    Raises:
        ValueError: if the document has no lines.
    """
    if not document.lines:
        raise ValueError("a document without lines has nothing to cut a square round")
    x0, y0, x1, y1 = rng.choice(document.lines).box
    corner = []
    for low, high, length in ((x0, x1, picture.width), (y0, y1, picture.height)):
        begin = round(rng.uniform(low, high) - side * rng.uniform(0.2, 0.8))
        corner.append(max(0, min(begin, length - side)) if length >= side else (length - side) // 2)
    same = Warp(np.eye(3))
    window = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    part = moved(document, same, window)
    placed = {name: written for name, written in part.fields.items() if written.boxes}
    return same.pull(picture, (0, 0), window), replace(part, kind="crop", fields=placed)


def _relit(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Brightness, contrast, blur and JPEG, each with its own chance."""
    if rng.random() < 0.6:
        gain, shift = rng.uniform(0.75, 1.25), rng.uniform(-25, 15)
        curve = [round(min(255, max(0, 255 + (v - 255) * gain + shift))) for v in range(256)]
        picture = picture.point(curve * len(picture.getbands()))
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(35, 92))
        picture = Image.open(buffer).convert(picture.mode)
    return picture
