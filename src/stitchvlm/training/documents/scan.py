"""What printing, time and a scanner do to a document: faint print, paper, folds, borders, blur, noise, JPEG."""

import io
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ..scene import Box
from .page import Page
from .press import Print, grain, printed
from .warp import Warp, corners

_COARSE = 8
"""Pixels of the picture for one of the shading."""
_PIVOT = 158
"""The grey that stays as it is when contrast is raised."""


@dataclass(frozen=True)
class Scan:
    """How a picture comes to be.

    `slope` is what the light changes over the picture in grey levels, `shadow` how dark it is at its left edge, or at its right
    one if it is below zero, `outside` one of the names in `_BEYOND`, `ghost` the
    strength of print that shines through. What is random in the effects comes from `seed`.
    """

    seed: int
    press: Print
    paper: tuple[int, int, int]
    mottle: float
    slope: tuple[float, float]
    shadow: float
    folds: int
    outside: str
    torn: bool
    ghost: float
    specks: int
    blur: float
    sharp: float
    noise: float
    contrast: float
    quality: int | None


CLEAN = Scan(0, Print(0), (255, 255, 255), 0, (0, 0), 0, 0, "paper", False, 0, 0, 0, 0, 0, 1, None)
"""No effect at all."""


_BEYOND = {
    "till": {"paper": 24, "black": 38, "white": 26, "dark": 6, "desk": 6},
    "page": {"paper": 40, "black": 10, "white": 50},
    "office": {"paper": 60, "black": 20, "white": 14, "dark": 6},
    "desk": {"paper": 20, "black": 20, "white": 20, "dark": 15, "desk": 25},
    "wall": {"paper": 10, "white": 10, "dark": 25, "desk": 55},
    "screen": {"paper": 1},
}
"""Where a document lies, and how often which of what may be seen beyond its paper."""


def choose_scan(rng: random.Random, place: str, colour: bool = False) -> Scan:
    """A random scan of a document that lies on a scanner or elsewhere; those on a screen or a wall are kept well."""
    calm, till = place in ("screen", "wall"), place in ("till", "page")
    thermal = till and rng.random() < 0.5
    press = Print(
        rng.choice((15, 30, 50, 75, 100, 125, 145)) if thermal else rng.choice((5, 15, 30, 45)),
        rng.uniform(0.1, 0.5) if not calm and rng.random() < 0.5 else 0.0,
        rng.uniform(0.1, 0.45) if till and rng.random() < 0.2 else 0.0,
        rng.uniform(0.1, 0.35) if place != "page" and not calm and rng.random() < 0.22 else 0.0,
    )
    level = rng.choice((255, 255, 250, 245, 238, 230, 215, 195)) if not calm else rng.choice((255, 255, 250, 240))
    tint = (0, -rng.randint(0, 6), -rng.randint(0, 22)) if colour and rng.random() < 0.4 else (0, 0, 0)
    rough = 0.4 if calm else 1.0
    return Scan(
        rng.getrandbits(32),
        press,
        (level + tint[0], level + tint[1], level + tint[2]),
        rng.uniform(0, 3.5) * rough,
        (rng.gauss(0, 14) * rough, rng.gauss(0, 14) * rough),
        rng.uniform(-90, 90) if not calm and rng.random() < 0.2 else 0.0,
        rng.choices((0, 1, 2, 4), (55, 20, 15, 10))[0] if not calm else 0,
        rng.choices(tuple(_BEYOND[place]), tuple(_BEYOND[place].values()))[0],
        till and rng.random() < 0.6,
        rng.uniform(0.04, 0.16) if not calm and rng.random() < 0.15 else 0.0,
        rng.choice((0, 0, 0, 3, 6, 15)) if not calm else 0,
        rng.uniform(0.35, 1.0) if rng.random() < 0.45 else 0.0,
        rng.uniform(0.4, 1.6) if not calm and rng.random() < 0.2 else 0.0,
        rng.choice((0, 0, 2, 3, 5, 9)) if not calm else rng.choice((0, 0, 3)),
        rng.choice((1.0, 1.0, 1.15, 1.4, 2.2)) if not calm else 1.0,
        rng.randint(30, 92) if rng.random() < 0.6 else None,
    )


def take(scan: Scan, page: Page, warp: Warp, size: tuple[int, int], window: Box) -> Image.Image:
    """The window (whole pixels) of the scan of a page whose picture has that size. Mode L, or RGB for pages with colour."""
    seen = warp.to_paper(_border(window))
    x0, y0 = (int(edge) for edge in np.floor(seen.min(0)) - 2)
    x1, y1 = (int(edge) for edge in np.ceil(seen.max(0)) + 2)
    box = (max(x0, -8), max(y0, -8), min(x1, page.width + 8), min(y1, page.height + 8))
    if box[0] >= box[2] or box[1] >= box[3]:
        box = (0, 0, 1, 1)
    canvas = printed(page.paint(box), scan.press, _state(scan, 1, *(edge & 0xFFFF for edge in box)))
    ink = warp.pull(canvas, (box[0], box[1]), window)
    if scan == CLEAN:
        return ink
    shade = _shade(scan, size, window)
    if scan.ghost:
        shade = _ghost(scan, ink, shade)
    picture = ImageChops.multiply(_tinted(scan, shade) if page.colour else shade, ink)
    _soil(scan, picture, page, warp, size, window)
    return _finish(scan, picture, window)


def _border(window: Box) -> np.ndarray:
    """Points along the edge of the window."""
    c = corners(window)
    return np.concatenate([c + (np.roll(c, -1, 0) - c) * t for t in (0.0, 0.25, 0.5, 0.75)])


def _state(scan: Scan, *what: int) -> np.random.Generator:
    return np.random.default_rng((scan.seed, *what))


def _shade(scan: Scan, size: tuple[int, int], window: Box) -> Image.Image:
    """Brightness of the bare paper in the window, mode L."""
    state = _state(scan, 2)
    columns, rows = size[0] // _COARSE + 2, size[1] // _COARSE + 2
    xs, ys = np.linspace(-0.5, 0.5, columns)[None, :], np.linspace(-0.5, 0.5, rows)[:, None]
    light = scan.paper[0] + scan.slope[0] * xs + scan.slope[1] * ys
    if scan.mottle:
        blots = Image.fromarray(state.normal(0, scan.mottle, (rows // 5 + 2, columns // 5 + 2)).astype(np.float32))
        light = light + np.asarray(blots.resize((columns, rows), Image.Resampling.BICUBIC))
    if scan.noise:
        light = light + state.normal(0, 0.35 * scan.noise**0.5, columns)[None, :]
    if scan.shadow:
        away = xs + 0.5 if scan.shadow > 0 else 0.5 - xs
        light = light - abs(scan.shadow) * np.exp(-away / state.uniform(0.03, 0.15))
    for _ in range(scan.folds):
        angle, place, depth = state.normal(0, 0.25), state.uniform(-0.45, 0.45), state.uniform(4, 26)
        along = (ys - place) * rows + np.tan(angle) * xs * columns
        if state.random() < 0.25:
            along = (xs - place) * columns + np.tan(angle) * ys * rows
        width = state.uniform(0.7, 2.0)
        light = (
            light
            - depth * np.exp(-((along / width) ** 2))
            + 0.6 * depth * np.exp(-(((along - 1.4 * width) / width) ** 2))
        )
    x0, y0, x1, y1 = window
    image = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    part = (max(0, x0 / _COARSE), max(0, y0 / _COARSE), min(columns, x1 / _COARSE), min(rows, y1 / _COARSE))
    return image.resize((round(x1 - x0), round(y1 - y0)), Image.Resampling.BILINEAR, box=part)


def _tinted(scan: Scan, shade: Image.Image) -> Image.Image:
    """The shade in the colour of the paper."""
    return Image.merge("RGB", [shade.point([v * c // max(1, scan.paper[0]) for v in range(256)]) for c in scan.paper])


def _ghost(scan: Scan, ink: Image.Image, shade: Image.Image) -> Image.Image:
    """The shade with a faint mirrored print from the back of the paper."""
    quarter = ink.convert("L").resize((max(1, ink.width // 3), max(1, ink.height // 3)), Image.Resampling.BOX)
    back = quarter.transpose(Image.Transpose.FLIP_LEFT_RIGHT).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    faint = back.point([255 - int(scan.ghost * (255 - v)) for v in range(256)])
    return ImageChops.multiply(shade, faint.resize(ink.size, Image.Resampling.BILINEAR))


def _outline(scan: Scan, page: Page, warp: Warp) -> np.ndarray:
    """`float[n, 2]`: the edge of the paper in the picture; its ends may be torn off."""
    state = _state(scan, 3)
    c = corners((0, 0, page.width, page.height))
    sides = []
    for k in range(4):
        steps = np.linspace(0, 1, 60 if k % 2 == 0 else 12, endpoint=False)[:, None]
        side = c[k] + (c[(k + 1) % 4] - c[k]) * steps
        if scan.torn and k % 2 == 0:
            side[:, 1] += state.uniform(-1, 1, len(side)) * 0.005 * page.width + np.cumsum(
                state.normal(0, 0.7, len(side))
            )
        sides.append(side)
    return warp.to_picture(np.concatenate(sides))


def _soil(scan: Scan, picture: Image.Image, page: Page, warp: Warp, size: tuple[int, int], window: Box) -> None:
    """Paints what lies beyond the paper, its edge, and specks of dust."""
    state = _state(scan, 4)
    shift = np.array(window[:2])
    draw = ImageDraw.Draw(picture)
    if scan.outside != "paper":
        edge = [tuple(point) for point in (_outline(scan, page, warp) - shift).tolist()]
        mask = Image.new("L", picture.size, 255)
        ImageDraw.Draw(mask).polygon(edge, fill=0)
        low, high = {"black": (0, 25), "white": (248, 255), "dark": (40, 110), "desk": (120, 190)}[scan.outside]
        ground = int(state.integers(low, high))
        picture.paste(ground if picture.mode == "L" else (ground,) * 3, (0, 0), mask)
        rim = ground if scan.outside == "black" else int(state.integers(120, 225))
        draw.line([*edge, edge[0]], fill=rim if picture.mode == "L" else (rim,) * 3, width=int(state.integers(1, 3)))
    for _ in range(scan.specks):
        x, y = state.random(2) * size - shift
        radius, grey_level = 0.4 + state.exponential(0.5), int(state.integers(20, 190))
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=grey_level if picture.mode == "L" else (grey_level,) * 3)


def _finish(scan: Scan, picture: Image.Image, window: Box) -> Image.Image:
    """Sharpening, blur, contrast, noise and JPEG."""
    if scan.sharp:
        around_it = (-scan.sharp / 8,) * 4
        picture = picture.filter(ImageFilter.Kernel((3, 3), (*around_it, 1 + scan.sharp, *around_it), 1))
    if scan.blur:
        side, corner = np.exp(-0.5 / scan.blur**2), np.exp(-1.0 / scan.blur**2)
        weights = (corner, side, corner, side, 1.0, side, corner, side, corner)
        picture = picture.filter(ImageFilter.Kernel((3, 3), weights))
    if scan.contrast != 1.0:
        curve = np.clip(_PIVOT + (np.arange(256) - _PIVOT) * scan.contrast, 0, 255).astype(int).tolist()
        picture = picture.point(curve * len(picture.getbands()))
    if scan.noise:
        state = _state(scan, 5, *(int(edge) & 0xFFFF for edge in window))
        spots = grain(state, picture.size, 1.0 if scan.noise < 5 else 1.5)
        scaled = spots.point([int(128 + (v - 128) * scan.noise / 74 + 0.5) for v in range(256)])
        if picture.mode == "RGB":
            scaled = Image.merge("RGB", (scaled, scaled, scaled))
        picture = ImageChops.add(picture, scaled, 1, -128)
    if scan.quality is not None:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=scan.quality)
        picture = Image.open(buffer).convert(picture.mode)
    return picture
