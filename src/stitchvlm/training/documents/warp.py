"""Where a scanner or camera sees what lies on flat paper: shift, turn, perspective and curl, for pixels and for points alike."""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..scene import Box

_CELL = 48
"""Between the corners of cells of this many pixels the map is taken as bilinear (half as many in height with an uneven feed)."""


@dataclass(frozen=True)
class Wave:
    """On paper, points move along `axis` (0 is x) by up to `reach` pixels, in waves of `length` along the axis `over`.

    Over the other axis that is curl, over the same one an uneven feed, which squeezes some lines and stretches others.
    """

    axis: int
    over: int
    reach: float
    length: float
    phase: float


@dataclass(frozen=True, eq=False)
class Warp:
    """A map between paper and picture, both in pixels. `matrix` (3 x 3) takes picture points to paper, then waves move them."""

    matrix: np.ndarray
    waves: tuple[Wave, ...] = ()

    def to_paper(self, points: np.ndarray) -> np.ndarray:
        """`float[n, 2]` points on paper for points of the picture."""
        flat = _project(self.matrix, points)
        return flat + self._moved(flat)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """`float[n, 2]` points of the picture for points on paper; the inverse of `to_paper`."""
        flat = points
        for _ in range(6 if self.waves else 0):
            flat = points - self._moved(flat)
        return _project(np.linalg.inv(self.matrix), flat)

    def pull(self, canvas: Image.Image, corner: tuple[int, int], window: Box) -> Image.Image:
        """The picture's window (whole pixels) of a canvas whose upper left pixel lies at `corner` of the paper.

        What the canvas does not hold becomes white.
        """
        x0, y0, x1, y1 = (round(edge) for edge in window)
        size = x1 - x0, y1 - y0
        white = 255 if canvas.mode == "L" else (255, 255, 255)
        if not self.waves and abs(self.matrix[2, :2]).max() < 1e-9:
            a, b, c, d, e, f = self.matrix[:2].ravel()
            data = (a, b, a * x0 + b * y0 + c - corner[0], d, e, d * x0 + e * y0 + f - corner[1])
            return canvas.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=white)
        high = _CELL // 2 if any(wave.axis == wave.over for wave in self.waves) else _CELL
        columns, rows = math.ceil(size[0] / _CELL), math.ceil(size[1] / high)
        xs, ys = np.minimum(np.arange(columns + 1) * _CELL, size[0]), np.minimum(np.arange(rows + 1) * high, size[1])
        grid = np.stack(np.meshgrid(xs, ys), -1)
        seen = (self.to_paper(grid.reshape(-1, 2) + np.array((x0, y0))) - corner).reshape(rows + 1, columns + 1, 2)
        cells = [
            (
                (int(xs[c]), int(ys[r]), int(xs[c + 1]), int(ys[r + 1])),
                (*seen[r, c], *seen[r + 1, c], *seen[r + 1, c + 1], *seen[r, c + 1]),
            )
            for r in range(rows)
            for c in range(columns)
        ]
        return canvas.transform(size, Image.Transform.MESH, cells, Image.Resampling.BILINEAR, fillcolor=white)

    def _moved(self, flat: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(flat, dtype=float)
        for wave in self.waves:
            moved[:, wave.axis] += wave.reach * np.sin(2 * math.pi * flat[:, wave.over] / wave.length + wave.phase)
        return moved


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    found = points @ matrix[:, :2].T + matrix[:, 2]
    return found[:, :2] / found[:, 2:]


def corners(box: Box) -> np.ndarray:
    """`float[4, 2]`: the corners of a box, clockwise from the upper left one."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


@dataclass(frozen=True)
class Frame:
    """How a picture may show its paper.

    `most` is the greatest width and height in pixels; `margins` the range of what is seen beyond the paper's edge, as a share
    of its width (below zero: cut off); `unrest` scales turns, perspective and curl.
    """

    most: tuple[int, int]
    margins: tuple[float, float]
    unrest: float = 1.0


def choose_warp(rng: random.Random, paper: tuple[int, int], printed: Box, frame: Frame) -> tuple[Warp, int, int]:
    """A random warp and the picture's width and height; all that is printed lies in the picture."""
    width, height = paper
    angle = 0.0
    if rng.random() < 0.6 * frame.unrest:
        angle = max(-4.0, min(4.0, rng.gauss(0, 1.3 if height < 2 * width else 0.8)))
    turn = math.radians(angle)
    forward = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    forward = forward @ np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    if rng.random() < 0.2 * frame.unrest:
        lean = np.eye(3)
        lean[2, :2] = rng.gauss(0, 0.03) / width, rng.gauss(0, 0.04) / height
        forward = lean @ forward
    waves = []
    if rng.random() < 0.3 * frame.unrest:
        waves.append(Wave(0, 1, rng.uniform(0.5, 5), height * rng.uniform(0.7, 2), rng.uniform(0, 6.28)))
    if rng.random() < 0.3 * frame.unrest:
        waves.append(Wave(1, 0, rng.uniform(0.5, 5), width * rng.uniform(1, 3), rng.uniform(0, 6.28)))
    if rng.random() < 0.1 * frame.unrest:
        waves.append(Wave(1, 1, rng.uniform(2, 6), rng.uniform(260, 700), rng.uniform(0, 6.28)))
    placed = Warp(np.linalg.inv(forward), tuple(waves))
    sheet, text = placed.to_picture(corners((0, 0, width, height))), placed.to_picture(corners(printed))
    spare = 8.0
    low, high = np.minimum(sheet.min(0), text.min(0) - spare), np.maximum(sheet.max(0), text.max(0) + spare)
    for side in (0, 1):
        low[side] = min(low[side] - rng.uniform(*frame.margins) * width, text[:, side].min() - spare)
        high[side] = max(high[side] + rng.uniform(*frame.margins) * width, text[:, side].max() + spare)
    scale = min(1.0, *(most / size for most, size in zip(frame.most, high - low, strict=True)))
    if angle == 0 and not waves and scale == 1.0:
        low = np.floor(low) + (np.array([width, height]) / 2 % 1)  # pixels of paper become pixels of the picture
    fit = np.array([[scale, 0, -scale * low[0]], [0, scale, -scale * low[1]], [0, 0, 1]])
    size = np.minimum(np.ceil(scale * (high - low)), frame.most).astype(int)
    return Warp(np.linalg.inv(fit @ forward), tuple(waves)), int(size[0]), int(size[1])
