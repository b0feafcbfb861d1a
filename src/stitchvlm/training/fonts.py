"""Fonts used to draw training pictures; needed for training only, never at run time."""

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

DEBIAN_PACKAGES = (
    "fonts-dejavu-core",
    "fonts-liberation",
    "fonts-freefont-ttf",
    "fonts-roboto-unhinted",
    "fonts-open-sans",
    "fonts-lato",
    "fonts-inconsolata",
    "fonts-hack",
    "fonts-cantarell",
    "fonts-comfortaa",
    "fonts-urw-base35",
    "fonts-firacode",
    "fonts-crosextra-carlito",
    "fonts-cabin",
)
_LEFT_OUT = (
    *("Thin", "Hairline", "Light", "D050000L", "StandardSymbols", "Z003", "Math", "Vollkorn"),
    *("Italic", "Oblique", "Ita.", "Black", "Heavy", "ExtraBold"),
)
"""Faces without letters or hardly readable ones, slanted ones, and the heaviest."""
DEFAULT_FONT = ""
"""The name that stands for Pillow's built-in font."""


def find_fonts(folder: str | Path | None = None) -> tuple[str, ...]:
    """Paths of the usable font files under `folder`, in a stable order; Pillow's built-in font comes first.

    Raises:
        ValueError: if a folder is named that is none.
    """
    root = Path(folder or "/usr/share/fonts")
    if folder is not None and not root.is_dir():
        raise ValueError(f"{folder} is no folder of fonts: name one, or none for those of the system")
    files = sorted(p for p in root.rglob("*") if p.suffix in {".ttf", ".otf"})
    kept = [str(p) for p in files if not any(word in p.name for word in _LEFT_OUT)]
    return (DEFAULT_FONT, *kept)


@lru_cache(maxsize=4096)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The font at `path`, or Pillow's own when `path` is `DEFAULT_FONT`."""
    font = ImageFont.load_default(size) if path == DEFAULT_FONT else ImageFont.truetype(path, size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, so text cannot be drawn at a chosen size")
    return font
