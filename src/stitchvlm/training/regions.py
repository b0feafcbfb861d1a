"""Which visual tokens show a thing, and which of them its text: to drop others in training, and to say where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from .grid import TILES, Cut
from .scene import Box


class Sized(Protocol):
    """Whatever knows how large its picture is."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


class Place(Protocol):
    """Something in a picture: `text_box` is what is read, `box` also what is around it. Both are in pixels."""

    @property
    def box(self) -> Box: ...

    @property
    def text_box(self) -> Box: ...


@dataclass(frozen=True)
class Spot:
    """A place in a picture that is no thing."""

    box: Box
    text_box: Box


def token_boxes(scene: Sized, cut: Cut = TILES) -> np.ndarray:
    """`float[tokens, 4]`: the picture rectangle of every visual token, in sequence order."""
    return _token_boxes(scene.width, scene.height, cut)


@lru_cache(maxsize=1000)
def _token_boxes(width: int, height: int, cut: Cut) -> np.ndarray:
    rows = []
    for view in cut.views(width, height):
        x0, y0, x1, y1 = view.box
        w, h = (x1 - x0) / view.columns, (y1 - y0) / view.rows
        rows += [
            (x0 + c * w, y0 + r * h, x0 + (c + 1) * w, y0 + (r + 1) * h)
            for r in range(view.rows)
            for c in range(view.columns)
        ]
    return np.array(rows)


def tokens_touching(boxes: np.ndarray, box: Box) -> np.ndarray:
    """Numbers of the tokens that share area with `box`."""
    inside = (boxes[:, 0] < box[2]) & (boxes[:, 2] > box[0]) & (boxes[:, 1] < box[3]) & (boxes[:, 3] > box[1])
    return np.flatnonzero(inside)


def keep_around(
    scene: Sized,
    things: Sequence[Place],
    count: int,
    rng: np.random.Generator,
    lost: float = 0.0,
    cut: Cut = TILES,
    others: Sequence[Box] = (),
) -> list[int]:
    """About `count` tokens: those that touch the things' texts, then some of `others`, of the things and of the rest.

    Each of the first is missing with probability `lost`, as a guide may miss some. Of `others` a few are kept whole, as a guide
    keeps what might be the answer without what would tell that it is not.
    """
    boxes = token_boxes(scene, cut)
    text = np.unique(np.concatenate([tokens_touching(boxes, t.text_box) for t in things]))
    taken = set(text.tolist())
    room = max(0, count - len(text))
    if others:
        enough = len(taken) + room * rng.uniform(0.0, 0.8)
        for k in rng.permutation(len(others)).tolist():
            if len(taken) >= enough:
                break
            taken |= set(tokens_touching(boxes, others[k]).tolist())
    body = np.setdiff1d(np.concatenate([tokens_touching(boxes, t.box) for t in things]), list(taken))
    rest = np.setdiff1d(np.arange(len(boxes)), [*taken, *body.tolist()])
    room = max(0, count - len(taken))
    some_body = rng.permutation(body)[: round(room * rng.uniform(0.0 if others else 0.3, 0.9))]
    some_rest = rng.permutation(rest)[: max(0, room - len(some_body))]
    missing = text[rng.random(len(text)) < lost]
    return sorted((taken - set(missing.tolist())) | set(some_body.tolist()) | set(some_rest.tolist()))


def asked_tokens(scene: Sized, boxes: Sequence[Sequence[Box]], kept: list[int], cut: Cut = TILES) -> list[list[int]]:
    """For each question's boxes (picture fractions), which of the kept tokens touch one, counted among the kept ones.

    Those of the thumbnail are among them.
    """
    tokens = token_boxes(scene, cut)[kept] / [scene.width, scene.height, scene.width, scene.height]
    found = [[tokens_touching(tokens, box) for box in own] for own in boxes]
    return [np.unique(np.concatenate(own)).tolist() if own else [] for own in found]


def pointed_tokens(
    scene: Sized, words: Sequence[str], boxes: Sequence[Box], kept: list[int], cut: Cut = TILES
) -> list[list[int]]:
    """For each character of `words` with a space between them, which of the kept tokens show it, counted among the kept ones.

    `boxes` are those of the words, as fractions of the picture, over which characters are spread evenly. A space is shown where
    its word ends. The thumbnail does not count where there is more.
    """
    views = cut.views(scene.width, scene.height)
    each = views[0].rows * views[0].columns
    seen = np.array(kept) < each * max(1, len(views) - 1)
    tokens = token_boxes(scene, cut)[kept] / [scene.width, scene.height, scene.width, scene.height]
    found: list[list[int]] = []
    for word, (x0, y0, x1, y1) in zip(words, boxes, strict=True):
        if found:
            found.append(found[-1])
        pitch, middle = (x1 - x0) / len(word), (y0 + y1) / 2
        for k in range(len(word)):
            left = x0 + k * pitch
            near = left + 0.2 * pitch, middle - 0.2 * (y1 - y0), left + 0.8 * pitch, middle + 0.2 * (y1 - y0)
            touched = tokens_touching(tokens, near)
            found.append(touched[seen[touched]].tolist())
    return found
