"""The kinds of models that can be trained, and what training has to know of each: all that is not the same for them."""

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .architecture import Size
from .internvl import InternVL
from .packing import Chat
from .qwen2_vl import Qwen2VL


class Kind(Protocol):
    """Attributes:
    picture_tokens: the tokenizer's names for the tokens around and in place of pictures, and these.
    chat: how a picture stands in a prompt.
    tower_knows_places: whether the vision tower is told where a token lies, and not only how tokens lie to each other.
    """

    picture_tokens: dict[str, str]
    chat: Chat
    tower_knows_places: bool

    def build(self, size: Size, tokens: dict[str, int], vocabulary: int, seed: int) -> PreTrainedModel:
        """A freshly initialised model in float32; `tokens` maps the special tokens to their ids."""

    def vision(self, model: Any) -> dict[str, nn.Module]:
        """The parts in front of the language model, by name."""

    def last_projection(self, model: Any) -> nn.Linear:
        """The layer that visual features come out of."""

    def features(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels of equal views `[views, 3, height, width]` to visual tokens `[views, tokens, text width]`."""

    def save_processor(self, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
        """Write tokenizer, chat template, image processor and processor settings as `AutoProcessor` expects them."""


KINDS: dict[str, Kind] = {"internvl": InternVL(), "qwen2_vl": Qwen2VL()}
"""By the `model_type` of their configs."""


def kind_of(model: PreTrainedModel) -> Kind:
    """The kind that a model is of."""
    return KINDS[model.config.model_type]
