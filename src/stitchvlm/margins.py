"""Where a scanned page is written on: blank margins cost visual tokens and make all type smaller on the tiles that are left."""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

Window = tuple[int, int, int, int]
"""Left, upper, right and lower edge of a part of a picture, in pixels; it may reach beyond the picture."""

CUTS_MARGINS = "cut_margins"
"""The key in a checkpoint's ``preprocessor_config.json`` that asks for pages so; transformers' processors know nothing of it."""

_PAPER = 0.75
"""Paper is as bright as this share of a page's pixels are at most."""
_DARKEST = 0.01
"""Ink is at least as dark as the brightest of this share of the pixels."""
_BLOCK = 8
"""Pixels along one side of the blocks that are looked at."""
_DARKER = 60
"""How much darker than paper ink is, in grey levels, or half as dark as the darkest ink where all of it is faint."""
_FAINTEST = 20
"""Grey levels; what is not even that much darker is paper."""
_INKED = 0.06
"""Share of a block's pixels that are ink where something is written."""
_TOGETHER = ((2, 2, 6), (1, 5, 7))
"""A block counts if so many blocks around it are inked, itself included, so far up and down and to either side: those of a
paragraph, or of a line that stands alone. With fewer it is a speck."""
_LONGEST = 1440
"""Pixels; pages with longer sides are looked at about that small."""
_FILLED, _MOST_FILLED = 0.9, 0.2
"""Blocks with more ink than the first are filled; where more than the second share of the inked ones are, they show things and no
writing."""
_WIDER, _FULLEST = 0.38, 0.19
"""Width over height: what is narrower than the first is made as wide where that makes two columns of tiles out of one. Between the
second and it type is larger in two half-empty ones."""


def page_window(picture: Image.Image, columns: Callable[[int, int], int]) -> Window:
    """What to show of a page: all that is written on it, without blank margins.

    A narrow page is given margins instead, beyond the picture if need be, where its tiles then come in two columns.

    Args:
        picture: in grey (mode L) or RGB.
        columns: of tiles into which a picture of that width and height is cut.
    """
    left, top, right, bottom = written_window(picture)
    width, height = right - left, bottom - top
    wider = math.ceil(_WIDER * height)
    if _FULLEST * height < width < wider and columns(width, height) == 1 and columns(wider, height) == 2:
        missing = wider - width
        left, right = left - missing // 2, right + missing - missing // 2
    return left, top, right, bottom


def show_window(picture: Image.Image, window: Window) -> Image.Image:
    """The picture in that window; beyond its edges it is as bright as paper."""
    left, top, right, bottom = window
    paper = tuple(_level(band, _PAPER) for band in picture.split())
    shown = Image.new(picture.mode, (right - left, bottom - top), paper)
    shown.paste(picture, (-left, -top))
    return shown


def written_window(picture: Image.Image) -> Window:
    """The smallest window that holds all that is darker than the paper and no speck, with one block of margin.

    A picture without any ink is whole, and so is one in which it mostly fills areas, as in photographs, drawings and charts. Of a
    page with dark writing what is lighter than the paper, or nearly as light, does not count.
    """
    smaller = max(1, round(max(picture.size) / _LONGEST))
    grey = picture.convert("L").reduce(smaller)
    paper, darkest = _level(grey, _PAPER), _level(grey, _DARKEST)
    share = _in_blocks(np.asarray(grey) < paper - max(_FAINTEST, min(_DARKER, (paper - darkest) / 2)))
    ink = share > _INKED
    ink &= np.any([_inked_around(ink, *reach) >= least for *reach, least in _TOGETHER], axis=0)
    if not ink.any() or (share > _FILLED).sum() > _MOST_FILLED * ink.sum():
        return 0, 0, *picture.size
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    left, top = (max(0, _BLOCK * (first - 1)) for first in (left, top))
    right, bottom = (_BLOCK * (last + 2) for last in (right, bottom))
    return smaller * left, smaller * top, min(picture.width, smaller * right), min(picture.height, smaller * bottom)


def _inked_around(ink: np.ndarray, down: int, across: int) -> np.ndarray:
    """How many blocks are inked up to so far above, below and beside each, itself included."""
    around = np.pad(ink, ((down, down), (across, across)))
    return sliding_window_view(around, (2 * down + 1, 2 * across + 1)).sum((2, 3))


def _level(band: Image.Image, share: float) -> int:
    """The brightness that this share of the pixels have at most."""
    counts = np.cumsum(band.histogram())
    return int(np.searchsorted(counts, share * counts[-1]))


def _in_blocks(dark: np.ndarray) -> np.ndarray:
    """The share of dark pixels in every block; those at the right and lower edge go on as the picture ends."""
    height, width = dark.shape
    padded = np.pad(dark, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    return padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).mean((1, 3))
