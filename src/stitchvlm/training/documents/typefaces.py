"""Type that documents are set in: fonts squeezed, stretched, forced to one pitch, or printed in dots; glyphs are kept."""

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

from ..fonts import DEFAULT_FONT

_SPECIAL = "€£~|"


@lru_cache(maxsize=1024)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    """As `fonts.load_font`, but without ligatures: every character keeps a glyph of its own."""
    if path == DEFAULT_FONT:
        font = ImageFont.load_default(size)
        if not isinstance(font, ImageFont.FreeTypeFont):
            raise RuntimeError("Pillow was built without FreeType, so text cannot be drawn at a chosen size")
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1024)
def _family(path: str) -> str:
    return Path(path).stem.split("-")[0]


@dataclass(frozen=True)
class Faces:
    """Paths of fonts by what they suit. Each group has at least one."""

    fixed: tuple[str, ...]
    plain: tuple[str, ...]
    bold: tuple[str, ...]

    def bold_of(self, face: str, rng: random.Random) -> str:
        """A bold font of the same family; any bold one where there is none."""
        return rng.choice([path for path in self.bold if _family(path) == _family(face)] or self.bold)


@lru_cache(maxsize=8)
def sort_faces(fonts: tuple[str, ...]) -> Faces:
    """Groups the fonts: fixed pitch, proportional and not bold, bold. Fonts without the signs of money are left out."""
    fixed, plain, bold = [], [], []
    for path in fonts:
        font = _load(path, 20)
        missing = bytes(font.getmask("\uffff"))
        if any(bytes(font.getmask(char)) == missing for char in _SPECIAL):
            continue
        is_bold = any(word in path for word in ("Bold", "Demi", "Semibold"))
        if font.getlength("i") == font.getlength("W"):
            fixed.append(path)
        elif is_bold:
            bold.append(path)
        else:
            plain.append(path)
    whole = tuple(plain or bold or fixed or fonts)
    return Faces(tuple(fixed) or whole, whole, tuple(bold) or whole)


@dataclass(frozen=True)
class Stamp:
    """One character ready to be printed: its ink (None for a space) and where that begins, seen from the pen on the baseline."""

    ink: Image.Image | None
    dx: int = 0
    dy: int = 0


class Type:
    """A font at a size in pixels, `wide` and `tall` times stretched.

    With `pitch` every character takes that many pixels. With `dots` the capitals are that many printed dots high. `heavy`
    adds a pixel to the strokes.
    """

    def __init__(self, path: str, size: int, wide: float, tall: float, pitch: float, dots: int, heavy: bool) -> None:
        self._font = _load(path, size)
        self._wide, self._tall, self._pitch, self._dots, self._heavy = wide, tall, pitch, dots, heavy
        self._stamps: dict[str, Stamp] = {}
        self._advances: dict[str, float] = {}
        top = self._font.getbbox("H", anchor="ls")[1]
        self.capitals: float = -top * tall
        """Height of a capital letter in pixels."""

    def stamp(self, char: str) -> Stamp:
        """The character's ink."""
        found = self._stamps.get(char)
        if found is None:
            found = self._stamps[char] = self._make(char)
        return found

    def advance(self, char: str) -> float:
        """How far the character moves the pen, in pixels."""
        if self._pitch:
            return self._pitch
        found = self._advances.get(char)
        if found is None:
            found = self._advances[char] = self._font.getlength(char) * self._wide
        return found

    def measure(self, text: str) -> float:
        """Width of the text in pixels."""
        return len(text) * self._pitch or sum(map(self.advance, text))

    def _make(self, char: str) -> Stamp:
        mask, (left, top) = self._font.getmask2(char, mode="L", anchor="ls")
        if 0 in mask.size:
            return Stamp(None)
        ink = Image.frombytes("L", mask.size, bytes(mask))
        wide = self._wide
        if self._pitch:
            wide *= min(1.0, self._pitch / max(1.0, ink.width * self._wide))
        x, y = left * wide, top * self._tall
        if wide != 1.0 or self._tall != 1.0:
            size = max(1, round(ink.width * wide)), max(1, round(ink.height * self._tall))
            ink = ink.resize(size, Image.Resampling.BILINEAR)
        if self._pitch:
            spare = self._pitch - self._font.getlength(char) * self._wide
            x = min(max(0.0, x + spare / 2), max(0.0, self._pitch - ink.width))
        if self._dots:
            ink = _in_dots(ink, self.capitals / self._dots)
        if self._heavy:
            thick = Image.new("L", (ink.width + 1, ink.height), 0)
            thick.paste(ink, (0, 0))
            thick.paste(255, (1, 0), ink)
            ink = thick
        return Stamp(ink, round(x), round(y))


def _in_dots(ink: Image.Image, pitch: float) -> Image.Image:
    """The same ink as round dots, `pitch` pixels apart from row to row and overlapping within a row."""
    columns, rows = max(1, round(1.7 * ink.width / pitch)), max(1, round(ink.height / pitch))
    sampled = np.asarray(ink.resize((columns, rows), Image.Resampling.BOX))
    struck = sampled >= max(1.0, 0.4 * sampled.max())
    ys, xs = ((np.arange(n) + 0.5) * m / n for n, m in ((ink.height, rows), (ink.width, columns)))
    off = np.hypot((ys % 1 - 0.5)[:, None], 0.6 * (xs % 1 - 0.5)[None, :])
    dot = np.clip(1.3 - 1.5 * off, 0, 1) * struck[ys.astype(int)][:, xs.astype(int)]
    return Image.fromarray((255 * dot).astype(np.uint8))


@lru_cache(maxsize=192)
def typeface(
    path: str,
    size: int,
    wide: float = 1.0,
    tall: float = 1.0,
    pitch: float = 0.0,
    dots: int = 0,
    heavy: bool = False,
) -> Type:
    """The kept `Type` of these values."""
    return Type(path, size, wide, tall, pitch, dots, heavy)
