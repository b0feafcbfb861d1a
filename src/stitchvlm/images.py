"""Pictures as users hand them over - paths, PIL images, arrays - to decoded RGB, or one clear sentence."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stitchvlm.errors import DataError

MAX_PIXELS = 100_000_000
"""Pictures beyond this many pixels are refused before they are decoded: a small file can claim to be enormous."""


def load_image(source: Any) -> Image.Image:
    """An RGB picture, turned upright as its camera meant it.

    Args:
        source: a path, a PIL image, or an array of shape (height, width), (height, width, 3) or (height, width, 4) holding
            uint8 values or floats in [0, 1].

    Raises:
        ValueError: if it is missing, empty, gigantic or nothing that could be a picture.
        DataError: if the file is broken.
    """
    if isinstance(source, Image.Image):
        _check_size(source.size, "the picture")
        return _as_rgb(source)
    if isinstance(source, str | Path):
        return _open(Path(source))
    return _as_rgb(Image.fromarray(_as_bytes(np.asarray(source))))


def _open(path: Path) -> Image.Image:
    with _explained(path), Image.open(path) as image:
        size = image.size
    _check_size(size, str(path))
    with _explained(path), Image.open(path) as image:
        image.load()
    return _as_rgb(image)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever a file does to Pillow, as one sentence; decoders raise many kinds of error for a broken file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileNotFoundError:
        raise ValueError(f"there is no picture {path}: check the path") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder, not a picture: name a file in it") from None
    except PermissionError:
        raise DataError(f"{path} may not be read: check its permissions") from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"{path} claims more pixels than the {MAX_PIXELS:,} that are accepted: shrink it first"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path} is not a picture in a known format: use PNG, JPEG or WebP, for instance") from None
    except Exception as error:
        raise DataError(f"{path} is broken ({error}): fetch or save the picture again") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"{name} is {width}x{height} pixels: an empty picture cannot be asked about")
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{name} has {width * height:,} pixels, more than the {MAX_PIXELS:,} that are accepted: shrink it first"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    """Decoded pixels in RGB; 16-bit values keep their upper half, transparent parts become white, as on a page."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values >> 8 if values.max() > 255 else values).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("a picture of floating-point values has no agreed brightness: save it as 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(
            f"an array of shape {array.shape} is no picture: use (height, width), (height, width, 3) or (height, width, 4)"
        )
    _check_size((array.shape[1], array.shape[0]), "the picture")
    if array.dtype == np.uint8:
        return array
    if np.issubdtype(array.dtype, np.floating) and array.min() >= 0 and array.max() <= 1:
        return (array * 255).round().astype(np.uint8)
    raise ValueError(f"an array of {array.dtype} is no picture: use uint8, or floats between 0 and 1")
