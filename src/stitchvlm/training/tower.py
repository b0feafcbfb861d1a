"""Dense pretraining of a vision tower and what joins it to a language model: each visual token learns to say what lies under it."""

import math
import random
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .cache import PictureSet, in_colour
from .grid import TOKENS_PER_TILE
from .kinds import kind_of
from .labels import IGNORE, SCENE_LABELS, Labels

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_EMPTY_WEIGHT = 0.15


def normalise(views: np.ndarray, device: torch.device) -> torch.Tensor:
    """`uint8[n, height, width, 1 or 3]` to what the image processor gives the model, `float32[n, 3, height, width]`."""
    pixels = torch.tensor(views, device=device)
    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


class DenseReader(nn.Module):
    """The vision parts of `model` under linear heads: the dense labels' columns, and the token's row and column in a tile.

    Without the last two a tower forgets where in the tile a token lies, and no language model behind it can say where a
    thing is or in which order its characters stand. A tower that is not told places has none to forget.
    """

    def __init__(self, model: PreTrainedModel, labels: Labels = SCENE_LABELS) -> None:
        super().__init__()
        kind, width = kind_of(model), model.config.text_config.hidden_size
        for name, part in kind.vision(model).items():
            self.add_module(name, part)
        self.labels, self._places = labels, kind.places(model)
        self.heads = nn.Linear(width, sum(labels.heads.values()))
        self.place_head = nn.Linear(width, 2 * self._places) if self._places else None
        self._features, self._model = kind.features, [model]

    def forward(self, pixels: torch.Tensor, corners: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Logits of every label column, then of row and column in the tile, each `[views, tokens, classes]`.

        With `corners[views, 2]` the pixels are windows of tiles that begin at these visual tokens.
        """
        features = self._features(self._model[0], pixels, corners)
        columns = self.heads(features).float().split(list(self.labels.heads.values()), -1)
        if self.place_head is None:
            return [*columns]
        return [*columns, *self.place_head(features).float().split(self._places, -1)]


def place_loss(
    rows: torch.Tensor, columns: torch.Tensor, corners: torch.Tensor | None = None
) -> tuple[torch.Tensor, float]:
    """Cross-entropy of telling each token's own row and column in its tile, and the share of tokens that know both."""
    side = math.isqrt(rows.shape[1])
    tokens = torch.arange(side * side, device=rows.device).expand(len(rows), -1)
    row, column = tokens // side, tokens % side
    if corners is not None:
        row, column = row + corners[:, :1], column + corners[:, 1:]
    loss = F.cross_entropy(rows.flatten(0, 1), row.flatten()) + F.cross_entropy(columns.flatten(0, 1), column.flatten())
    known = (rows.argmax(-1) == row) & (columns.argmax(-1) == column)
    return loss, known.float().mean().item()


def dense_loss(
    logits: list[torch.Tensor],
    told: torch.Tensor,
    labels: Labels = SCENE_LABELS,
    corners: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy over all columns, empty cells weighing little; the figures are accuracies on cells that hold something.

    `told[views, tokens, columns]` is what `labels` say of the views, or of their windows that begin at `corners`.
    """
    columns, places = logits[: len(labels.heads)], logits[len(labels.heads) :]
    total, figures = torch.zeros((), device=told.device), {}
    if places:
        rows, own_columns = places
        total, figures["place"] = place_loss(rows, own_columns, corners)
    right: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64, device=told.device))
    for column, (name, scores) in enumerate(zip(labels.heads, columns, strict=True)):
        target = told[..., column].long()
        weight = torch.where(target > 0, 1.0, _EMPTY_WEIGHT) * (target != IGNORE)
        if name in labels.loud:
            weight = weight * torch.tensor(labels.loud[name], device=told.device)[target.clamp(min=0)]
        losses = F.cross_entropy(scores.flatten(0, 1), target.clamp(min=0).flatten(), reduction="none")
        loss = (losses * weight.flatten()).sum() / weight.sum().clamp(min=1.0)
        total = total + labels.weights.get(name, 1.0) * loss
        if name in labels.figures:
            filled = target > 0
            right[labels.figures[name]] += torch.stack([((scores.argmax(-1) == target) & filled).sum(), filled.sum()])
    return total, figures | {name: (good / all.clamp(min=1)).item() for name, (good, all) in right.items()}


class ViewBatch(NamedTuple):
    """Views of equal shape (rows and columns), what their labels tell, and where they begin in their tiles if they are windows."""

    views: np.ndarray
    labels: np.ndarray
    corners: np.ndarray | None
    shape: tuple[int, int]


class Views:
    """Random views of equal shape, drawn evenly from several sets; shapes come as often as the sets' views have them."""

    def __init__(
        self, sets: list[PictureSet], characters: slice = SCENE_LABELS.characters, window: int | None = None
    ) -> None:
        """With `window` they are square parts of views, that many visual tokens wide. `characters` are labels' columns."""
        self._characters, self._window = characters, window
        self._groups: dict[tuple[int, int], list[tuple[PictureSet, list[int]]]] = defaultdict(list)
        weights: dict[tuple[int, int], float] = defaultdict(float)
        for pictures in sets:
            by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
            for index, where in enumerate(pictures.where):
                by_shape[where.rows, where.columns].append(index)
            for shape, group in by_shape.items():
                self._groups[shape].append((pictures, group))
                weights[shape] += len(group) / len(pictures)
        self._shapes, self._weights = list(weights), list(weights.values())

    def draw(self, rng: random.Random, tiles: int, tries: int) -> ViewBatch:
        """As many views as have the tokens of that many tiles of the embedded pair; each the one with most text of `tries`."""
        shape = rng.choices(self._shapes, self._weights)[0] if len(self._shapes) > 1 else self._shapes[0]
        groups, side = self._groups[shape], self._window
        count = max(1, round(tiles * TOKENS_PER_TILE / (side * side if side else shape[0] * shape[1])))
        views, labels, corners = [], [], []
        for number in range(count):
            pictures, group = groups[number % len(groups)]
            candidates = []
            for _ in range(tries):
                index = group[rng.randrange(len(group))]
                view = rng.randrange(pictures.where[index].views)
                corner = tuple(rng.randint(0, length - side) for length in shape) if side else (0, 0)
                told = self._part(pictures.labels(index)[view].reshape(*shape, -1), corner, 1)
                candidates.append((int((told[..., self._characters] > 0).sum()), index, view, corner))
            _, index, view, corner = max(candidates)
            views.append(self._part(pictures.tiles(index)[view], corner, pictures.cut.cell))
            told = self._part(pictures.labels(index)[view].reshape(*shape, -1), corner, 1)
            labels.append(told.reshape(-1, told.shape[-1]))
            corners.append(corner)
        own = (side, side) if side else shape
        return ViewBatch(np.stack(in_colour(views)), np.stack(labels), np.array(corners) if side else None, own)

    def _part(self, view: np.ndarray, corner: tuple[int, ...], cell: int) -> np.ndarray:
        """The window of `view[rows * cell, columns * cell, ...]` that begins at the corner, or all of it."""
        if self._window is None:
            return view
        (row, column), length = (cell * first for first in corner), cell * self._window
        return view[row : row + length, column : column + length]


def vary_light(pixels: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Random contrast and brightness for each view, small enough to leave colour names true."""
    scale = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(len(pixels))], device=pixels.device)
    shift = torch.tensor([rng.uniform(-0.15, 0.15) for _ in range(len(pixels))], device=pixels.device)
    return pixels * scale[:, None, None, None] + shift[:, None, None, None]
