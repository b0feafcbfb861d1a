"""What a printer leaves of the ink it should have printed: paler, in patches and bands, with broken strokes."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops


@dataclass(frozen=True)
class Print:
    """How strongly a printer prints: `ink` is the grey of full ink, `uneven` how much of it is lost in patches and `bands` how
    much in bands along the paper, `broken` how much of every stroke is.
    """

    ink: int = 20
    uneven: float = 0.0
    bands: float = 0.0
    broken: float = 0.0


def printed(canvas: Image.Image, press: Print, state: np.random.Generator) -> Image.Image:
    """The canvas with its ink as strong as the printer had it."""
    if not (press.uneven or press.bands or press.broken):
        return canvas.point([press.ink + v * (255 - press.ink) // 255 for v in range(256)] * len(canvas.getbands()))
    rows, columns = canvas.height // 24 + 2, canvas.width // 24 + 2
    lost = 255.0 * press.uneven * state.random((rows, columns)) ** 2
    if press.bands:
        lost = lost + 255 * press.bands * (state.random(columns) < 0.15)[None, :]
    kept = _grown(255 - lost, canvas.size)
    if press.broken:
        spots = grain(state, canvas.size, 1.6)
        kept = ImageChops.multiply(
            kept, spots.point([min(255, int(255 - press.broken * max(0, 150 - v) * 4)) for v in range(256)])
        )
    kept = kept.point([v * (255 - press.ink) // 255 for v in range(256)])
    if canvas.mode == "RGB":
        kept = Image.merge("RGB", (kept, kept, kept))
    return ImageChops.invert(ImageChops.multiply(ImageChops.invert(canvas), kept))


def grain(state: np.random.Generator, size: tuple[int, int], scale: float = 1.0) -> Image.Image:
    """Grain around 128, coarser with a greater scale."""
    width, height = int(size[0] / scale) + 1, int(size[1] / scale) + 1
    values = state.integers(0, 256, (height, width), dtype=np.uint8)
    image = Image.fromarray(values)
    return image.crop((0, 0, *size)) if scale == 1.0 else image.resize(size, Image.Resampling.BILINEAR)


def _grown(small: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Values 0 to 255 as a smooth picture of the size."""
    grid = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8))
    return grid.resize(size, Image.Resampling.BILINEAR)
