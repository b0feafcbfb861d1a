"""Dense pretraining of a vision tower and what joins it to a language model: each visual token learns to say what lies under it."""

import random
from collections import defaultdict

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .cache import PictureSet
from .grid import CELLS, TOKENS_PER_TILE
from .kinds import kind_of
from .labels import COLUMN, HEADS, IGNORE

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_EMPTY_WEIGHT = 0.15


def normalise(views: np.ndarray, device: torch.device) -> torch.Tensor:
    """`uint8[n, height, width, 3]` to what the image processor gives the model, `float32[n, 3, height, width]`."""
    pixels = torch.tensor(views, device=device)
    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


class DenseReader(nn.Module):
    """The vision parts of `model` under linear heads: the dense labels' columns, and the token's row and column in a tile.

    Without the last two a tower forgets where in the tile a token lies, and no language model behind it can say where a
    thing is or in which order its characters stand. A tower that is not told places has none to forget.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        kind, width = kind_of(model), model.config.text_config.hidden_size
        for name, part in kind.vision(model).items():
            self.add_module(name, part)
        self.heads = nn.Linear(width, sum(HEADS.values()))
        self.place_head = nn.Linear(width, 2 * CELLS) if kind.tower_knows_places else None
        self._features, self._model = kind.features, [model]

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Logits of every label column, then of row and column in the tile, each `[views, tokens, classes]`."""
        features = self._features(self._model[0], pixels)
        columns = self.heads(features).float().split(list(HEADS.values()), -1)
        return [*columns, *([] if self.place_head is None else self.place_head(features).float().split(CELLS, -1))]


def place_loss(rows: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross-entropy of telling each token's own row and column, and the share of tokens that know both."""
    tokens = torch.arange(CELLS * CELLS, device=rows.device).expand(len(rows), -1)
    row, column = tokens // CELLS, tokens % CELLS
    loss = F.cross_entropy(rows.flatten(0, 1), row.flatten()) + F.cross_entropy(columns.flatten(0, 1), column.flatten())
    known = (rows.argmax(-1) == row) & (columns.argmax(-1) == column)
    return loss, known.float().mean().item()


def dense_loss(logits: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy over all columns, empty cells weighing little; the figures are accuracies on cells that hold something."""
    columns, places = logits[: len(HEADS)], logits[len(HEADS) :]
    total, figures = torch.zeros((), device=labels.device), {}
    if places:
        total, figures["place"] = place_loss(*places)
    for column, (name, scores) in enumerate(zip(HEADS, columns, strict=True)):
        target = labels[..., column].long()
        weight = torch.where(target > 0, 1.0, _EMPTY_WEIGHT) * (target != IGNORE)
        losses = F.cross_entropy(scores.flatten(0, 1), target.clamp(min=0).flatten(), reduction="none")
        total = total + (losses * weight.flatten()).sum() / weight.sum().clamp(min=1.0)
        if name not in ("begins", "ends"):
            filled = target > 0
            figures[name] = ((scores.argmax(-1) == target) & filled).sum().item() / max(1, int(filled.sum()))
    return total, figures


class Views:
    """Random views of equal shape, drawn evenly from several sets; shapes come as often as the sets' views have them."""

    def __init__(self, sets: list[PictureSet]) -> None:
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

    def draw(self, rng: random.Random, tiles: int, tries: int = 3) -> tuple[np.ndarray, np.ndarray]:
        """As many views as have the tokens of that many tiles, and their labels; each the one with most text of `tries`."""
        shape = rng.choices(self._shapes, self._weights)[0] if len(self._shapes) > 1 else self._shapes[0]
        groups, count = self._groups[shape], max(1, round(tiles * TOKENS_PER_TILE / (shape[0] * shape[1])))
        views, labels = [], []
        for number in range(count):
            pictures, group = groups[number % len(groups)]
            candidates = []
            for _ in range(tries):
                index = group[rng.randrange(len(group))]
                view = rng.randrange(pictures.where[index].views)
                characters = int((pictures.labels(index)[view][:, COLUMN["char0"] : COLUMN["order0"]] > 0).sum())
                candidates.append((characters, index, view))
            _, index, view = max(candidates)
            views.append(pictures.tiles(index)[view])
            labels.append(pictures.labels(index)[view])
        return np.stack(views), np.stack(labels)


def vary_light(pixels: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Random contrast and brightness for each view, small enough to leave colour names true."""
    scale = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(len(pixels))], device=pixels.device)
    shift = torch.tensor([rng.uniform(-0.15, 0.15) for _ in range(len(pixels))], device=pixels.device)
    return pixels * scale[:, None, None, None] + shift[:, None, None, None]
