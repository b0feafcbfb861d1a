"""Draws random pictures with labelled things in them. One seed gives one picture, always the same."""

import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .backdrop import background, distract, weather
from .contents import choose_contents
from .drawing import Colour, Look, contrasting_ink, draw_thing, luminance, text_room
from .fonts import DEFAULT_FONT, load_font
from .grid import TILES
from .scene import Scene, Thing
from .words import COLOURS

WIDE_SIZES = ((640, 480),) * 11 + ((480, 640), (800, 600), (512, 512), (640, 360), (960, 320), (360, 720), (1000, 250))
SMALL_SIZES = ((240, 180), (224, 224), (200, 200), (180, 240), (256, 192))
LAYOUTS = {
    1: ((1, 1), (2, 2)),
    2: ((1, 2), (2, 1), (2, 2)),
    3: ((2, 2), (1, 4), (2, 3)),
    4: ((2, 2), (2, 2), (1, 4), (2, 3)),
}
CROWDED_LAYOUTS = ((2, 3), (2, 3), (2, 4), (3, 3))


@dataclass(frozen=True)
class Style:
    """What a picture may hold: one point of the curriculum. Without `sizes` pictures are as wide, or as small, as usual."""

    small: bool = False
    max_things: int = 6
    clear_codes: bool = False
    kinds: tuple[str, ...] = ("objects", "objects", "objects", "signs", "tags")
    sizes: tuple[tuple[int, int], ...] = ()


def _distance(a: Colour, b: Colour) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def _fit_font(thing: Thing, font: str, radius: float, wanted: int) -> int:
    """The largest size up to `wanted` at which the text fits into the thing."""
    half_width, half_height, _ = text_room(thing.noun)
    lines = [thing.text, thing.item.upper()] if thing.item else [thing.text]
    probe = load_font(font, 40)
    width = max(probe.getlength(line) for line in lines) / 40
    return int(min(wanted, 2 * half_width * radius / width, 2 * half_height * radius / (1.25 * len(lines) - 0.25)))


def _spot(
    rng: random.Random, cell: tuple[float, float, float, float], reach: float, scene: Scene
) -> tuple[float, float]:
    """A centre within the cell; of a few tries the one whose text stays clearest of tile borders."""
    x0, y0, x1, y1 = cell
    edges = TILES.boxes(scene.width, scene.height)
    best, best_gap = ((x0 + x1) / 2, (y0 + y1) / 2), -1.0
    for _ in range(5 if rng.random() < 0.8 else 1):
        x = rng.uniform(min(x0 + reach, (x0 + x1) / 2), max(x1 - reach, (x0 + x1) / 2))
        y = rng.uniform(min(y0 + reach, (y0 + y1) / 2), max(y1 - reach, (y0 + y1) / 2))
        gap_x = min(abs(x - e) for box in edges for e in (box[0], box[2]))
        gap_y = min(abs(y - e) for box in edges for e in (box[1], box[3]))
        gap = min(gap_x, 2 * gap_y, 0.8 * reach)
        if gap > best_gap:
            best, best_gap = (x, y), gap
    return best


def _cells(rng: random.Random, count: int, width: int, height: int) -> list[tuple[float, float, float, float]]:
    """`count` distinct cells of a random layout that suits the picture's aspect."""
    layouts = [rc for rc in LAYOUTS.get(count, CROWDED_LAYOUTS) if rc[0] * rc[1] >= count]
    rows, columns = rng.choice(layouts)
    if height > 1.2 * width:
        rows, columns = columns, rows
    if max(width, height) > 2.4 * min(width, height):
        long = max(count, 2)
        rows, columns = (1, long) if width > height else (long, 1)
    w, h = width / columns, height / rows
    cells = [(c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns)]
    return rng.sample(cells, count)


def _look(
    rng: random.Random,
    thing: Thing,
    cell: tuple[float, float, float, float],
    scene: Scene,
    ground: Colour,
    font: str,
    calm: bool,
) -> Look | None:
    """Size, place and colours of one thing, or None where its text would be too small to read in a tile."""
    columns, rows = TILES.grid(scene.width, scene.height)
    scale_x, scale_y = TILES.side * columns / scene.width, TILES.side * rows / scene.height
    room = min(cell[2] - cell[0], cell[3] - cell[1]) / 2
    radius = room * rng.uniform(0.66, 0.86) / (1.15 if thing.noun in {"star", "rectangle", "sign", "tag"} else 1.05)
    smallest = max(15 / scale_y, 17 / scale_x)
    size = _fit_font(thing, font, radius, int(smallest * rng.uniform(1.05, 2.0)))
    if size < smallest:
        radius = 0.86 * room
        size = _fit_font(thing, font, radius, int(smallest * 1.3))
    if size < 0.8 * smallest:
        return None
    fill = rng.choice(COLOURS[thing.colour])
    if not calm:
        red, green, blue = (max(0, min(255, c + rng.randint(-14, 14))) for c in fill)
        fill = (red, green, blue)
    faint = _distance(fill, ground) < 110
    outline = None
    if faint or rng.random() < 0.25:
        outline = (0, 0, 0) if luminance(fill) > 90 else (255, 255, 255)
    x, y = _spot(rng, cell, 1.1 * radius, scene)
    angle = 0.0 if calm or rng.random() < 0.5 else rng.gauss(0, 5)
    return Look(x, y, radius, fill, contrasting_ink(rng, fill), outline, font, size, max(-14.0, min(14.0, angle)))


def _how_many(rng: random.Random, kind: str, style: Style, width: int, height: int) -> int:
    """How many things the picture gets: mostly three to five, fewer where there is little room."""
    limit = min(style.max_things, {"objects": 6, "signs": 4, "tags": 4}[kind], 4 if style.small else 6)
    if max(width, height) > 2.4 * min(width, height):
        limit = min(limit, 5)
    return min(limit, rng.choices(range(1, 7), (6, 14, 22, 30, 16, 12))[0])


def _empty_picture(rng: random.Random, width: int, height: int, calm: bool) -> tuple[Image.Image, Colour]:
    """The picture before any thing is in it, and the colour that things must stand out from."""
    if calm and rng.random() < 0.5:
        return Image.new("RGB", (width, height), (255, 255, 255)), (255, 255, 255)
    picture, ground = background(rng, width, height)
    if not calm and rng.random() < 0.4:
        distract(rng, picture)
    return picture, ground


def draw_scene(
    seed: int | str, fonts: tuple[str, ...] = (DEFAULT_FONT,), style: Style | None = None
) -> tuple[Image.Image, Scene, np.ndarray]:
    """The picture, its contents, and `uint8[height, width]`: 1 + index of the thing that owns each pixel, or 0."""
    style = style or Style()
    rng = random.Random(f"scene-{seed}")
    width, height = rng.choice(style.sizes or (SMALL_SIZES if style.small else WIDE_SIZES))
    kind = rng.choice(style.kinds)
    calm = rng.random() < 0.4
    count = _how_many(rng, kind, style, width, height)
    picture, ground = _empty_picture(rng, width, height, calm)
    owner = Image.new("L", (width, height), 0)
    scene = Scene(kind, width, height)
    common = rng.choice((DEFAULT_FONT, *rng.choices(fonts, k=7)))
    mixed = not calm and rng.random() < 0.5
    placed: list[Thing] = []
    contents = choose_contents(rng, kind, count, style.clear_codes or rng.random() < 0.8)
    if kind == "objects" and not calm and count > 2 and rng.random() < 0.25:
        contents[0] = replace(contents[0], text="")
    for thing, cell in zip(contents, _cells(rng, count, width, height), strict=True):
        font = rng.choice(fonts) if thing.text and mixed else common
        look = _look(rng, replace(thing, text=thing.text or "A"), cell, scene, ground, font, calm)
        if look is not None:
            placed.append(draw_thing(picture, owner, len(placed) + 1, thing, look))
    if not calm:
        picture = weather(rng, picture)
    return picture, replace(scene, things=tuple(placed)), np.asarray(owner)
