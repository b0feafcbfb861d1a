"""Dense pretraining of a vision tower and its projector: each visual token learns to say what lies under it."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import InternVLForConditionalGeneration

from .architecture import visual_features
from .cache import PictureSet
from .grid import CELLS
from .labels import COLUMN, HEADS, IGNORE

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_EMPTY_WEIGHT = 0.15


def normalise(tiles: np.ndarray, device: torch.device) -> torch.Tensor:
    """`uint8[n, side, side, 3]` to what the image processor gives the model, `float32[n, 3, side, side]`."""
    pixels = torch.tensor(tiles, device=device)
    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


class DenseReader(nn.Module):
    """The tower and projector of `model` under linear heads: the dense labels' columns, and the token's row and column.

    Without the last two a tower forgets where in the tile a token lies, and no language model behind it can say where a
    thing is or in which order its characters stand.
    """

    def __init__(self, model: InternVLForConditionalGeneration) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        self.projector = model.model.multi_modal_projector
        self.heads = nn.Linear(model.config.text_config.hidden_size, sum(HEADS.values()))
        self.place_head = nn.Linear(model.config.text_config.hidden_size, 2 * CELLS)
        self._model = [model]

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Logits of every label column, then of row and column in the tile, each `[tiles, tokens, classes]`."""
        features = visual_features(self._model[0], pixels)
        columns = self.heads(features).float().split(list(HEADS.values()), -1)
        return [*columns, *self.place_head(features).float().split(CELLS, -1)]


def place_loss(rows: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross-entropy of telling each token's own row and column, and the share of tokens that know both."""
    tokens = torch.arange(CELLS * CELLS, device=rows.device).expand(len(rows), -1)
    row, column = tokens // CELLS, tokens % CELLS
    loss = F.cross_entropy(rows.flatten(0, 1), row.flatten()) + F.cross_entropy(columns.flatten(0, 1), column.flatten())
    known = (rows.argmax(-1) == row) & (columns.argmax(-1) == column)
    return loss, known.float().mean().item()


def dense_loss(logits: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy over all columns, empty cells weighing little; the figures are accuracies on cells that hold something."""
    total, known = place_loss(*logits[-2:])
    figures = {"place": known}
    for column, (name, scores) in enumerate(zip(HEADS, logits[:-2], strict=True)):
        target = labels[..., column].long()
        weight = torch.where(target > 0, 1.0, _EMPTY_WEIGHT) * (target != IGNORE)
        losses = F.cross_entropy(scores.flatten(0, 1), target.clamp(min=0).flatten(), reduction="none")
        total = total + (losses * weight.flatten()).sum() / weight.sum().clamp(min=1.0)
        if name not in ("begins", "ends"):
            filled = target > 0
            figures[name] = ((scores.argmax(-1) == target) & filled).sum().item() / max(1, int(filled.sum()))
    return total, figures


def tile_batch(sets: list[PictureSet], rng: random.Random, count: int, tries: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Random tiles and their labels, drawn evenly from the sets; of `tries` candidates the one with most text is taken."""
    tiles, labels = [], []
    for number in range(count):
        chosen = sets[number % len(sets)]
        candidates = []
        for _ in range(tries):
            index = rng.randrange(len(chosen))
            tile = rng.randrange(chosen.where[index][2])
            characters = int((chosen.labels(index)[tile][:, COLUMN["char0"] : COLUMN["order0"]] > 0).sum())
            candidates.append((characters, index, tile))
        _, index, tile = max(candidates)
        tiles.append(chosen.tiles(index)[tile])
        labels.append(chosen.labels(index)[tile])
    return np.stack(tiles), np.stack(labels)


def vary_light(pixels: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Random contrast and brightness for each tile, small enough to leave colour names true."""
    scale = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(len(pixels))], device=pixels.device)
    shift = torch.tensor([rng.uniform(-0.15, 0.15) for _ in range(len(pixels))], device=pixels.device)
    return pixels * scale[:, None, None, None] + shift[:, None, None, None]
