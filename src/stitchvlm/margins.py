"""Where a scanned page is written on: blank margins cost visual tokens and make all type smaller on the tiles that are left."""

import math

import numpy as np
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
_NEIGHBOURS = 6
"""A block counts if so many of the 5 x 5 blocks around it are inked, itself included; with fewer it is a speck."""
_FILLED, _MOST_FILLED = 0.9, 0.2
"""Blocks with more ink than the first are filled; where more than the second share of the inked ones are, they show things and no
writing."""
_NARROWEST, _FULLEST = 0.38, 0.19
"""Width over height: at the first, tiles chosen by aspect (four to eight of them) begin to come in two columns, which show type
larger than one does as long as the picture is wider than the second."""


def page_window(picture: Image.Image) -> Window:
    """What to show of a page: all that is written on it, without blank margins.

    A narrow page is given margins instead, beyond the picture if need be, so that tiles come in two columns: in one column type
    would be half as large.
    """
    left, top, right, bottom = written_window(picture)
    width, height = right - left, bottom - top
    if _FULLEST * height < width < _NARROWEST * height:
        missing = math.ceil(_NARROWEST * height) - width
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

    A picture without any ink is whole, and so is one in which it mostly fills areas, as in photographs, drawings and charts.
    """
    grey = picture.convert("L")
    paper, darkest = _level(grey, _PAPER), _level(grey, _DARKEST)
    width, height = grey.size
    share = _in_blocks(np.asarray(grey) < paper - max(_FAINTEST, min(_DARKER, (paper - darkest) / 2)))
    ink = share > _INKED
    rows, columns = ink.shape
    around = np.pad(ink, 2).astype(np.int64)
    ink &= sum(around[y : y + rows, x : x + columns] for y in range(5) for x in range(5)) >= _NEIGHBOURS
    if not ink.any() or (share > _FILLED).sum() > _MOST_FILLED * ink.sum():
        return 0, 0, width, height
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis))[[0, -1]].tolist() for axis in (1, 0))
    left, top = (max(0, _BLOCK * (first - 1)) for first in (left, top))
    right, bottom = (min(whole, _BLOCK * (last + 2)) for last, whole in ((right, width), (bottom, height)))
    return left, top, right, bottom


def _level(band: Image.Image, share: float) -> int:
    """The brightness that this share of the pixels have at most."""
    counts = np.cumsum(band.histogram())
    return int(np.searchsorted(counts, share * counts[-1]))


def _in_blocks(dark: np.ndarray) -> np.ndarray:
    """The share of dark pixels in every block; those at the right and lower edge go on as the picture ends."""
    height, width = dark.shape
    padded = np.pad(dark, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    return padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).mean((1, 3))
