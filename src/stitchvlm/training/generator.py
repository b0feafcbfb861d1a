"""Draws random pictures with labelled things in them. One seed gives one picture, always the same."""

import io
import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .drawing import Colour, Look, contrasting_ink, draw_thing, luminance, text_room
from .fonts import DEFAULT_FONT, load_font
from .grid import TILE, tile_boxes, tile_grid
from .scene import Scene, Thing
from .words import CLEAR_ALPHABET, COLOUR_NAMES, COLOURS, FULL_ALPHABET, SHAPES, SIGN_WORDS, TAG_ITEMS

WIDE_SIZES = ((640, 480),) * 11 + ((480, 640), (800, 600), (512, 512), (640, 360), (960, 320), (360, 720), (1000, 250))
SMALL_SIZES = ((240, 180), (224, 224), (200, 200), (180, 240), (256, 192))
LAYOUTS = {1: ((1, 1), (2, 2)), 2: ((1, 2), (2, 1), (2, 2)), 3: ((2, 2), (1, 4), (2, 3)), 4: ((2, 2), (2, 2), (1, 4), (2, 3))}
CROWDED_LAYOUTS = ((2, 4), (2, 4), (3, 3), (2, 3))


@dataclass(frozen=True)
class Style:
    """What a picture may hold: one point of the curriculum."""

    small: bool = False
    max_things: int = 9
    clear_codes: bool = False
    kinds: tuple[str, ...] = ("objects", "objects", "objects", "signs", "tags")


def _distance(a: Colour, b: Colour) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def _background(rng: random.Random, width: int, height: int) -> tuple[Image.Image, Colour]:
    """A plain, graded, striped or mottled background and its mean colour."""
    kind = rng.choices(("white", "light", "any", "graded", "striped", "mottled"), (36, 22, 12, 12, 8, 10))[0]
    if kind == "white":
        return Image.new("RGB", (width, height), (255, 255, 255)), (255, 255, 255)
    low = 20 if kind == "any" else rng.choice((60, 170, 200))
    base: Colour = (rng.randint(low, 255), rng.randint(low, 255), rng.randint(low, 255))
    picture = Image.new("RGB", (width, height), base)
    other = tuple(max(0, min(255, c + rng.randint(-45, 45))) for c in base)
    if kind == "graded":
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize((width, height))
        picture.paste(Image.new("RGB", (width, height), other), (0, 0), ramp)
    elif kind == "striped":
        draw, step = ImageDraw.Draw(picture), rng.randint(14, 60)
        for k in range(0, width + height, 2 * step):
            draw.line((k, 0, k - height if rng.random() < 0.02 else k, height), fill=other, width=step // 2)
    elif kind == "mottled":
        blobs = Image.effect_noise((max(2, width // 16), max(2, height // 16)), rng.uniform(20, 60))
        state = np.random.default_rng(rng.getrandbits(32))
        blobs = Image.fromarray(state.integers(0, 256, (blobs.height, blobs.width), dtype=np.uint8))
        picture.paste(Image.new("RGB", (width, height), other), (0, 0), blobs.resize((width, height)))
    return picture, base


def _code(rng: random.Random, clear: bool) -> str:
    alphabet = CLEAR_ALPHABET if clear else FULL_ALPHABET
    return "".join(rng.choices(alphabet, k=rng.choices((2, 3, 4, 5), (8, 74, 12, 6))[0]))


def _sign_text(rng: random.Random, clear: bool) -> str:
    draw = rng.random()
    if draw < 0.45:
        return rng.choice(SIGN_WORDS)
    if draw < 0.60:
        return f"{rng.choice(SIGN_WORDS)} {rng.randint(2, 99)}"
    if draw < 0.70:
        return " ".join(rng.sample([w for w in SIGN_WORDS if len(w) < 6], 2))
    if draw < 0.85:
        return str(rng.randint(10, 9999))
    return "".join(rng.choices((CLEAR_ALPHABET if clear else FULL_ALPHABET)[: 23 if clear else 26], k=rng.randint(3, 5)))


def _price(rng: random.Random) -> str:
    return f"${rng.randint(1, 99) if rng.random() < 0.3 else rng.randint(1, 9)}.{rng.choice((99, 95, 50, 0, rng.randint(1, 98))):02d}"


def _contents(rng: random.Random, kind: str, count: int, clear: bool) -> list[Thing]:
    """Nouns, colours and texts; at most one pair shares its colour and noun, texts never repeat."""
    things: list[Thing] = []
    items = rng.sample(TAG_ITEMS, count)
    with_items = rng.random() < 0.7
    few_nouns = rng.sample(SHAPES, rng.choice((2, 3, 4, len(SHAPES))))
    few_colours = rng.sample(COLOUR_NAMES, rng.choice((3, 5, len(COLOUR_NAMES), len(COLOUR_NAMES))))
    seen: set[tuple[str, str]] = set()
    texts: set[str] = set()
    while len(things) < count:
        noun = rng.choice(few_nouns) if kind == "objects" else kind[:-1]
        colour = rng.choice(few_colours if len(seen) < len(few_colours) * 2 // 3 else COLOUR_NAMES)
        text = {"objects": _code, "signs": _sign_text}.get(kind, lambda r, _: _price(r))(rng, clear)
        repeated = (colour, noun) in seen
        if text in texts or (repeated and (kind == "signs" or rng.random() < 0.97)):
            continue
        seen.add((colour, noun))
        texts.add(text)
        item = items[len(things)] if kind == "tags" and with_items else ""
        things.append(Thing(noun, colour, text, item, (0, 0, 0, 0), (0, 0, 0, 0)))
    return things


def _fit_font(thing: Thing, font: str, radius: float, wanted: int) -> int:
    """The largest size up to `wanted` at which the text fits into the thing."""
    half_width, half_height, _ = text_room(thing.noun)
    lines = [thing.text, thing.item.upper()] if thing.item else [thing.text]
    probe = load_font(font, 40)
    width = max(probe.getlength(line) for line in lines) / 40
    return int(min(wanted, 2 * half_width * radius / width, 2 * half_height * radius / (1.25 * len(lines) - 0.25)))


def _spot(rng: random.Random, cell: tuple[float, float, float, float], reach: float, scene: Scene) -> tuple[float, float]:
    """A centre within the cell; of a few tries the one whose text stays clearest of tile borders."""
    x0, y0, x1, y1 = cell
    edges = tile_boxes(scene.width, scene.height)
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
    rows, columns = rng.choice(layouts) if count < 9 else (3, 3)
    if height > 1.2 * width:
        rows, columns = columns, rows
    if max(width, height) > 2.4 * min(width, height):
        long = max(count, 2)
        rows, columns = (1, long) if width > height else (long, 1)
    w, h = width / columns, height / rows
    cells = [(c * w, r * h, (c + 1) * w, (r + 1) * h) for r in range(rows) for c in range(columns)]
    return rng.sample(cells, count)


def _look(
    rng: random.Random, thing: Thing, cell: tuple[float, float, float, float], scene: Scene, ground: Colour, font: str, calm: bool
) -> Look | None:
    """Size, place and colours of one thing, or None where its text would be too small to read in a tile."""
    columns, rows = tile_grid(scene.width, scene.height)
    scale_x, scale_y = TILE * columns / scene.width, TILE * rows / scene.height
    room = min(cell[2] - cell[0], cell[3] - cell[1]) / 2
    radius = room * rng.uniform(0.66, 0.86) / (1.15 if thing.noun in {"star", "rectangle", "sign", "tag"} else 1.05)
    smallest = max(11 / scale_y, 13.5 / scale_x)
    size = _fit_font(thing, font, radius, int(smallest * rng.uniform(1.05, 2.4)))
    if size < smallest:
        radius = 0.86 * room
        size = _fit_font(thing, font, radius, int(smallest * 1.3))
    if size < 0.8 * smallest:
        return None
    fill = rng.choice(COLOURS[thing.colour])
    if not calm:
        fill = tuple(max(0, min(255, c + rng.randint(-14, 14))) for c in fill)
    faint = _distance(fill, ground) < 110
    outline = None
    if faint or rng.random() < 0.25:
        outline = (0, 0, 0) if luminance(fill) > 90 else (255, 255, 255)
    x, y = _spot(rng, cell, 1.1 * radius, scene)
    angle = 0.0 if calm or rng.random() < 0.5 else rng.gauss(0, 6)
    return Look(x, y, radius, fill, contrasting_ink(rng, fill), outline, font, size, max(-18.0, min(18.0, angle)))


def _distract(rng: random.Random, picture: Image.Image) -> None:
    """Thin lines and small blank dots behind the things."""
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randint(1, 5)):
        colour = tuple(rng.randint(0, 255) for _ in range(3))
        x, y = rng.randrange(picture.width), rng.randrange(picture.height)
        if rng.random() < 0.6:
            draw.line((x, y, rng.randrange(picture.width), rng.randrange(picture.height)), fill=colour, width=rng.randint(1, 4))
        else:
            r = rng.randint(3, 9)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def weather(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Blur, noise and JPEG artefacts, each with its own chance."""
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3) * max(1.0, picture.width / 640)))
    if rng.random() < 0.25:
        state = np.random.default_rng(rng.getrandbits(32))
        pixels = np.asarray(picture, np.float32)
        pixels = pixels + state.normal(0, rng.uniform(2, 14), pixels.shape).astype(np.float32)
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(35, 90))
        picture = Image.open(buffer).convert("RGB")
    return picture


def draw_scene(seed: int | str, fonts: tuple[str, ...] = (DEFAULT_FONT,), style: Style | None = None) -> tuple[Image.Image, Scene, np.ndarray]:
    """The picture, its contents, and `uint8[height, width]`: 1 + index of the thing that owns each pixel, or 0."""
    style = style or Style()
    rng = random.Random(f"scene-{seed}")
    width, height = rng.choice(SMALL_SIZES if style.small else WIDE_SIZES)
    kind = rng.choice(style.kinds)
    calm = rng.random() < 0.4
    limit = min(style.max_things, {"objects": 9, "signs": 4, "tags": 6}[kind], 4 if style.small else 9)
    if max(width, height) > 2.4 * min(width, height):
        limit = min(limit, 5)
    count = min(limit, rng.choices(range(1, 10), (6, 12, 18, 24, 14, 10, 6, 6, 4))[0])
    if calm and rng.random() < 0.5:
        picture, ground = Image.new("RGB", (width, height), (255, 255, 255)), (255, 255, 255)
    else:
        picture, ground = _background(rng, width, height)
    owner = Image.new("L", (width, height), 0)
    if not calm and rng.random() < 0.4:
        _distract(rng, picture)
    scene = Scene(kind, width, height)
    common = rng.choice((DEFAULT_FONT, *rng.choices(fonts, k=7)))
    mixed = not calm and rng.random() < 0.5
    placed: list[Thing] = []
    contents = _contents(rng, kind, count, style.clear_codes or rng.random() < 0.5)
    blank = kind == "objects" and not calm and count > 2 and rng.random() < 0.25
    for k, (thing, cell) in enumerate(zip(contents, _cells(rng, count, width, height), strict=True)):
        if blank and k == 0:
            thing = replace(thing, text="")
        look = _look(rng, thing, cell, scene, ground, rng.choice(fonts) if mixed else common, calm) if thing.text else None
        if thing.text and look is None:
            continue
        if look is None:
            look = _look(rng, replace(thing, text="A"), cell, scene, ground, common, calm)
        if look is not None:
            placed.append(draw_thing(picture, owner, len(placed) + 1, thing, look))
    if not calm:
        picture = weather(rng, picture)
    return picture, replace(scene, things=tuple(placed)), np.asarray(owner)
