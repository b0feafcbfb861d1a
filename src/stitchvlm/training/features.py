"""Visual features of pictures, computed once for a frozen tower."""

import numpy as np
import torch
from transformers import PreTrainedModel

from .cache import PictureSet, in_colour
from .kinds import features
from .tower import normalise

MOST_BYTES = 4 * 2**30
"""Memory for the visual features that are kept."""
_VIEWS = 4


class FeatureBank:
    """Visual features of pictures, computed once for a frozen tower and kept in bfloat16, up to `most_bytes`.

    What finds no room any more is computed again whenever it is asked for.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, most_bytes: int = MOST_BYTES) -> None:
        self._model, self._device, self._room = model, device, most_bytes
        self._kept: dict[tuple[str, int], torch.Tensor] = {}

    def _computed(self, chosen: list[tuple[PictureSet, int]]) -> torch.Tensor:
        """In parts of equal size, for which a compiled tower needs no other code."""
        views = np.concatenate(in_colour([pictures.tiles(index) for pictures, index in chosen]))
        found = []
        for first in range(0, len(views), _VIEWS):
            part = normalise(views[first : first + _VIEWS], self._device)
            missing = _VIEWS - len(part) if len(views) > _VIEWS else 0
            part = torch.cat([part, part[:1].expand(missing, -1, -1, -1)])
            with torch.autocast(self._device.type, torch.bfloat16):
                found.append(features(self._model, part).float()[: _VIEWS - missing])
        return torch.cat(found).unflatten(0, (len(chosen), -1)).flatten(1, 2)

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
            for (pictures, index), found in zip(missing, self._computed(missing), strict=True):
                known[pictures.name, index] = kept = found.bfloat16()
                if kept.nbytes <= self._room:
                    self._kept[pictures.name, index] = kept
                    self._room -= kept.nbytes
        return torch.stack([known[pictures.name, index] for pictures, index in chosen]).float()
