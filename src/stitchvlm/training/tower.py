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


class Said(NamedTuple):
    """Logits about views, the last dimension being classes.

    Attributes:
        columns: of every label column, `[views, tokens, classes]`.
        places: of each token's row and column in its tile, `[views, tokens, rows or columns]`; None for towers without places.
        patches: of everything that patches say, `[views, rows, columns, ...]`; None where labels tell nothing of them.
    """

    columns: list[torch.Tensor]
    places: tuple[torch.Tensor, torch.Tensor] | None
    patches: torch.Tensor | None


class DenseReader(nn.Module):
    """The vision parts of `model` under linear heads: the dense labels' columns, and the token's row and column in a tile.

    Without the last two a tower forgets where in the tile a token lies, and no language model behind it can say where a
    thing is or in which order its characters stand. A tower that is not told places has none to forget. Where labels tell
    what patches show, there is a head before these are joined into tokens as well.
    """

    def __init__(self, model: PreTrainedModel, labels: Labels = SCENE_LABELS) -> None:
        super().__init__()
        kind, width = kind_of(model), model.config.text_config.hidden_size
        for name, part in kind.vision(model).items():
            self.add_module(name, part)
        self.labels, self._places = labels, kind.places(model)
        self.heads = nn.Linear(width, sum(labels.heads.values()))
        self.place_head = nn.Linear(width, 2 * self._places) if self._places else None
        self.patch_head = None
        if labels.patches is not None:
            self.patch_head = nn.Linear(model.config.vision_config.hidden_size, labels.patches.classes)
        self._model, self._kind = [model], kind

    def own_weights(self) -> dict[str, torch.Tensor]:
        """Those of the heads, which are no part of the model."""
        return {name: weight for name, weight in self.state_dict().items() if "head" in name.split(".")[0]}

    def forward(self, pixels: torch.Tensor) -> Said:
        states = self._kind.states(self._model[0], pixels)
        features = self._kind.joined(self._model[0], states)
        columns = self.heads(features).float().split(list(self.labels.heads.values()), -1)
        places = self.place_head(features).float().split(self._places, -1) if self.place_head is not None else None
        return Said([*columns], places, self.patch_head(states).float() if self.patch_head is not None else None)


def place_loss(rows: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross-entropy of telling each token's own row and column in its tile, and the share of tokens that know both."""
    side = math.isqrt(rows.shape[1])
    tokens = torch.arange(side * side, device=rows.device).expand(len(rows), -1)
    row, column = tokens // side, tokens % side
    loss = F.cross_entropy(rows.flatten(0, 1), row.flatten()) + F.cross_entropy(columns.flatten(0, 1), column.flatten())
    known = (rows.argmax(-1) == row) & (columns.argmax(-1) == column)
    return loss, known.float().mean().item()


def weighted_loss(
    scores: torch.Tensor, target: torch.Tensor, loud: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of `scores[..., classes]`, empty places weighing little and `IGNORE` nothing; how many of those that hold
    something are right, and how many there are. `loud` weighs classes.
    """
    weight = torch.where(target > 0, 1.0, _EMPTY_WEIGHT) * (target != IGNORE)
    if loud is not None:
        weight = weight * loud[target.clamp(min=0)]
    losses = F.cross_entropy(scores.flatten(0, -2), target.clamp(min=0).flatten(), reduction="none")
    loss = (losses * weight.flatten()).sum() / weight.sum().clamp(min=1.0)
    filled = target > 0
    return loss, torch.stack([((scores.argmax(-1) == target) & filled).sum(), filled.sum()])


def dense_loss(said: Said, told: torch.Tensor, labels: Labels = SCENE_LABELS) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy over all columns, empty cells weighing little; the figures are accuracies on cells that hold something.

    `told[views, tokens, columns]` is what `labels` say of the views.
    """
    total, figures = torch.zeros((), device=told.device), {}
    if said.places is not None:
        total, figures["place"] = place_loss(*said.places)
    right: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64, device=told.device))
    loud = {name: torch.tensor(weights, device=told.device) for name, weights in labels.loud.items()}
    for column, (name, scores) in enumerate(zip(labels.heads, said.columns, strict=True)):
        loss, known = weighted_loss(scores, told[..., column].long(), loud.get(name))
        total = total + labels.weights.get(name, 1.0) * loss
        if name in labels.figures:
            right[labels.figures[name]] += known
    if said.patches is not None and labels.patches is not None:
        for name, scores, target in labels.patches.parts(said.patches, told):
            loss, known = weighted_loss(scores, target, loud.get(name))
            total = total + labels.patches.weight * loss
            right[f"patch {labels.figures[name]}"] += known
    return total, figures | {name: (good / cells.clamp(min=1)).item() for name, (good, cells) in right.items()}


class ViewBatch(NamedTuple):
    """Views of equal shape (rows and columns), and what their labels tell."""

    views: np.ndarray
    labels: np.ndarray
    shape: tuple[int, int]


class Views:
    """Random views of equal shape, drawn evenly from several sets; shapes come as often as the sets' views have them."""

    def __init__(self, sets: list[PictureSet], characters: slice = SCENE_LABELS.characters) -> None:
        """`characters` are labels' columns."""
        self._characters = characters
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
        groups = self._groups[shape]
        first = rng.randrange(len(groups))
        views, labels = [], []
        for number in range(first, first + max(1, round(tiles * TOKENS_PER_TILE / (shape[0] * shape[1])))):
            pictures, group = groups[number % len(groups)]
            candidates = []
            for _ in range(tries):
                index = group[rng.randrange(len(group))]
                view = rng.randrange(pictures.where[index].views)
                told = pictures.labels(index)[view]
                candidates.append((int((told[..., self._characters] > 0).sum()), index, view))
            _, index, view = max(candidates)
            views.append(pictures.tiles(index)[view])
            labels.append(pictures.labels(index)[view])
        return ViewBatch(np.stack(in_colour(views)), np.stack(labels), shape)


def vary_light(pixels: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Random contrast and brightness for each view, small enough to leave colour names true."""
    scale = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(len(pixels))], device=pixels.device)
    shift = torch.tensor([rng.uniform(-0.15, 0.15) for _ in range(len(pixels))], device=pixels.device)
    return pixels * scale[:, None, None, None] + shift[:, None, None, None]
