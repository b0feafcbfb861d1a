"""Pages full of codes, for the tower's pretraining only: ten times as many characters a tile as in a scene."""

import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from .backdrop import weather
from .drawing import Look, bounding_box, contrasting_ink, write_line
from .fonts import DEFAULT_FONT, load_font
from .scene import Scene, Thing
from .words import CLEAR_ALPHABET, COLOUR_NAMES, COLOURS, FULL_ALPHABET, GLYPHS

PAGE_SIZE = (640, 480)
SMALL_PAGE_SIZES = ((320, 240), (280, 280), (240, 320))
"""Of the aspects that small pictures have."""


def draw_page(
    seed: int | str, fonts: tuple[str, ...] = (DEFAULT_FONT,), small: bool = False
) -> tuple[Image.Image, Scene, np.ndarray]:
    """Rows of coloured plates with two to six random characters each; the result is as of `generator.draw_scene`."""
    rng = random.Random(f"page-{seed}")
    width, height = rng.choice(SMALL_PAGE_SIZES) if small else PAGE_SIZE
    picture = Image.new("RGB", (width, height), tuple(rng.randint(150, 255) for _ in range(3)))
    owner = Image.new("L", (width, height), 0)
    things: list[Thing] = []
    common = rng.choice(fonts)
    y = rng.randint(0, 12)
    while y < height - 24 and len(things) < 250:
        size = rng.choice((30, 34, 36, 40, 44, 50, 58, 68))
        x = rng.randint(-20, 20)
        while x < width - 20 and len(things) < 250:
            font = common if rng.random() < 0.5 else rng.choice(fonts)
            alphabet = rng.choices((CLEAR_ALPHABET, FULL_ALPHABET, GLYPHS), (70, 15, 15))[0]
            text = "".join(rng.choices(alphabet, k=rng.randint(2, 6)))
            length, pad = load_font(font, size).getlength(text), rng.randint(3, 26)
            things.append(
                _draw_plate(
                    rng,
                    picture,
                    owner,
                    len(things) + 1,
                    text,
                    font,
                    size,
                    (x, y, x + length + 2 * pad, y + 1.25 * size),
                )
            )
            x = int(x + length + 2 * pad + rng.randint(0, 24))
        y += int(size * rng.uniform(1.25, 1.6))
    return weather(rng, picture), Scene("page", width, height, tuple(things)), np.asarray(owner)


def _draw_plate(
    rng: random.Random,
    picture: Image.Image,
    owner: Image.Image,
    index: int,
    text: str,
    font: str,
    size: int,
    box: tuple[float, float, float, float],
) -> Thing:
    """One plate with its text, drawn in place."""
    colour = rng.choice(COLOUR_NAMES)
    fill = rng.choice(COLOURS[colour])
    look = Look(0, 0, 0, fill, contrasting_ink(rng, fill), None, font, size, 0)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(box, fill=fill)
    ImageDraw.Draw(owner).rectangle(box, fill=index)
    glyphs = write_line(draw, text, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), look, size)
    thing = Thing("rectangle", colour, text, "", box, box)
    return replace(thing, text_box=bounding_box(glyphs), glyphs=tuple(glyphs))
