"""Draws one thing (a shape, a sign or a tag with text on it) and reports where every character came to lie."""

import math
import random
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from .fonts import load_font
from .scene import Box, Glyph, Thing

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """How a thing is drawn: everything that the question never asks about."""

    x: float
    y: float
    radius: float
    fill: Colour
    ink: Colour
    outline: Colour | None
    font: str
    font_size: int
    angle: float


def luminance(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def contrasting_ink(rng: random.Random, fill: Colour) -> Colour:
    """A text colour that reads well on `fill`: mostly black or white."""
    plain: Colour = (0, 0, 0) if luminance(fill) > 115 else (255, 255, 255)
    if 90 < luminance(fill) < 150 and rng.random() < 0.25:
        plain = (255, 255, 255) if plain == (0, 0, 0) else (0, 0, 0)
    if rng.random() < 0.85:
        return plain
    dark = plain == (0, 0, 0)
    if dark:
        return rng.randint(0, 60), rng.randint(0, 40), rng.randint(0, 90)
    return 255, rng.randint(225, 255), rng.randint(180, 255)


def _polygon(points: int, radius: float, phase: float, inner: float = 1.0) -> list[tuple[float, float]]:
    """A regular polygon (`inner` = 1) or a star around the origin, first corner at the top."""
    return [
        (
            radius * (inner if inner < 1 and k % 2 else 1.0) * math.sin(2 * math.pi * (k + phase) / points),
            -radius * (inner if inner < 1 and k % 2 else 1.0) * math.cos(2 * math.pi * (k + phase) / points),
        )
        for k in range(points)
    ]


def outline_points(noun: str, radius: float) -> list[tuple[float, float]]:
    """Corners of the noun's outline around the origin (a circle is a fine polygon)."""
    r = radius
    if noun == "circle":
        return _polygon(48, r, 0)
    if noun == "square":
        return [(-0.87 * r, -0.87 * r), (0.87 * r, -0.87 * r), (0.87 * r, 0.87 * r), (-0.87 * r, 0.87 * r)]
    if noun == "triangle":
        return [(0, -r), (1.05 * r, 0.85 * r), (-1.05 * r, 0.85 * r)]
    if noun == "star":
        return _polygon(10, 1.15 * r, 0, inner=0.52)
    if noun == "diamond":
        return [(0, -1.1 * r), (1.1 * r, 0), (0, 1.1 * r), (-1.1 * r, 0)]
    if noun == "hexagon":
        return _polygon(6, r, 0.5)
    if noun == "tag":
        return [(-1.2 * r, 0), (-0.8 * r, -0.62 * r), (1.15 * r, -0.62 * r), (1.15 * r, 0.62 * r), (-0.8 * r, 0.62 * r)]
    half_height = 0.55 * r if noun == "rectangle" else 0.5 * r
    return [(-1.15 * r, -half_height), (1.15 * r, -half_height), (1.15 * r, half_height), (-1.15 * r, half_height)]


def text_room(noun: str) -> tuple[float, float, float]:
    """(half width, half height, downward shift) of the text area, in radii."""
    return {
        "circle": (0.85, 0.5, 0.0),
        "square": (0.80, 0.6, 0.0),
        "triangle": (0.60, 0.35, 0.30),
        "star": (0.56, 0.3, 0.03),
        "diamond": (0.72, 0.36, 0.0),
        "hexagon": (0.80, 0.5, 0.0),
        "rectangle": (1.05, 0.45, 0.0),
        "sign": (1.05, 0.45, 0.0),
        "tag": (0.88, 0.50, 0.0),
    }[noun]


def write_line(draw: ImageDraw.ImageDraw, text: str, centre: tuple[float, float], look: Look, size: int) -> list[Glyph]:
    """Write one centred line and return its characters in the patch's own coordinates."""
    font = load_font(look.font, size)
    draw.text(centre, text, font=font, fill=look.ink, anchor="mm")
    left = centre[0] - font.getlength(text) / 2
    top, bottom = font.getbbox("H", anchor="mm")[1::2]
    glyphs = []
    for k, char in enumerate(text):
        x0, x1 = left + font.getlength(text[:k]), left + font.getlength(text[: k + 1])
        if char == " ":
            continue
        y = centre[1] + (top + bottom) / 2
        begins = k == 0 or text[k - 1] == " "
        ends = k == len(text) - 1 or text[k + 1] == " "
        glyphs.append(Glyph(char, (x0 + x1) / 2, y, x1 - x0, bottom - top, begins, ends))
    return glyphs


def _draw_patch(thing: Thing, look: Look, side: int) -> tuple[Image.Image, list[Glyph], list[Glyph]]:
    """The upright thing on a transparent patch, its answer glyphs, and the glyphs of the item word."""
    patch = Image.new("RGBA", (side, side), (*look.fill, 0))
    draw = ImageDraw.Draw(patch)
    middle = side / 2
    corners = [(middle + x, middle + y) for x, y in outline_points(thing.noun, look.radius)]
    draw.polygon(corners, fill=(*look.fill, 255))
    if look.outline is not None:
        draw.line([*corners, corners[0], corners[1]], fill=(*look.outline, 255), width=max(2, int(look.radius / 25)))
    if thing.noun == "tag":
        hole = 0.09 * look.radius
        x = middle - 0.95 * look.radius
        draw.ellipse(
            (x - hole, middle - hole, x + hole, middle + hole), fill=(255, 255, 255, 255), outline=(60, 60, 60)
        )
    shift = text_room(thing.noun)[2] * look.radius
    word: list[Glyph] = []
    if thing.item:
        word = write_line(draw, thing.item.upper(), (middle, middle - 0.62 * look.font_size), look, look.font_size)
        shift = 0.62 * look.font_size
    answer = write_line(draw, thing.text, (middle, middle + shift), look, look.font_size) if thing.text else []
    return patch, answer, word


def _place(glyph: Glyph, look: Look, side: int) -> Glyph:
    """A patch glyph in picture coordinates, after the patch was turned by `look.angle` degrees."""
    angle = math.radians(look.angle)
    dx, dy = glyph.x - side / 2, glyph.y - side / 2
    x = look.x + dx * math.cos(angle) + dy * math.sin(angle)
    y = look.y - dx * math.sin(angle) + dy * math.cos(angle)
    return replace(glyph, x=x, y=y)


def bounding_box(glyphs: list[Glyph]) -> Box:
    return (
        min(g.x - g.width / 2 for g in glyphs),
        min(g.y - g.height / 2 for g in glyphs),
        max(g.x + g.width / 2 for g in glyphs),
        max(g.y + g.height / 2 for g in glyphs),
    )


def draw_thing(picture: Image.Image, owner: Image.Image, index: int, thing: Thing, look: Look) -> Thing:
    """Paste the thing into `picture`, mark its pixels with `index` in `owner`, and return it with boxes and glyphs."""
    side = 2 * int(1.4 * look.radius) + 4
    patch, answer, word = _draw_patch(thing, look, side)
    if look.angle:
        patch = patch.rotate(look.angle, Image.Resampling.BICUBIC)
    corner = (round(look.x - side / 2), round(look.y - side / 2))
    mask = patch.getchannel("A")
    picture.paste(patch, corner, mask)
    owner.paste(index, corner, mask.point(lambda a: 255 * (a > 127)))
    placed = [_place(g, look, side) for g in answer]
    words = [_place(g, look, side) for g in word]
    x0, y0, x1, y1 = mask.getbbox() or (0, 0, side, side)
    box = (corner[0] + x0, corner[1] + y0, corner[0] + x1, corner[1] + y1)
    return replace(thing, box=box, text_box=bounding_box(placed) if placed else box, glyphs=(*words, *placed))
