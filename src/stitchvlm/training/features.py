"""Visual features of pictures, computed once for a frozen tower."""

import numpy as np
import torch
from transformers import PreTrainedModel

from .cache import PictureSet, in_colour
from .kinds import kind_of
from .tower import normalise

MOST_BYTES = 4 * 2**30
"""Memory for the visual features that are kept."""


class FeatureBank:
    """Visual features of pictures, computed once for a frozen tower and kept in bfloat16, up to `most_bytes`.

    What finds no room any more is computed again whenever it is asked for.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, most_bytes: int = MOST_BYTES) -> None:
        self._model, self._device, self._room = model, device, most_bytes
        self._kept: dict[tuple[str, int], torch.Tensor] = {}

    def _computed(self, chosen: list[tuple[PictureSet, int]]) -> torch.Tensor:
        views = in_colour([pictures.tiles(index) for pictures, index in chosen])
        pixels = normalise(np.concatenate(views), self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            return (
                kind_of(self._model).features(self._model, pixels).float().unflatten(0, (len(chosen), -1)).flatten(1, 2)
            )

    @torch.no_grad()
    def features(self, chosen: list[tuple[PictureSet, int]]) -> torch.Tensor:
        """`[pictures, tokens, width]`; all pictures must have views of the same number and shape."""
        known = {
            (pictures.name, index): self._kept[pictures.name, index]
            for pictures, index in chosen
            if (pictures.name, index) in self._kept
        }
        missing = [(p, i) for p, i in dict.fromkeys(chosen) if (p.name, i) not in known]
        if missing:
            for (pictures, index), features in zip(missing, self._computed(missing), strict=True):
                known[pictures.name, index] = kept = features.bfloat16()
                if kept.nbytes <= self._room:
                    self._kept[pictures.name, index] = kept
                    self._room -= kept.nbytes
        return torch.stack([known[pictures.name, index] for pictures, index in chosen]).float()
