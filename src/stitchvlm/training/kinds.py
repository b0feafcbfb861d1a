"""The kinds of models that can be trained, and what training has to know of each: all that is not the same for them."""

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .architecture import Size
from .attention import Listener
from .grid import Tiles
from .internvl import InternVL
from .packing import Batch, Chat
from .qwen2_vl import Qwen2VL


class Kind(Protocol):
    """Attributes:
    picture_tokens: the tokenizer's names for the tokens around and in place of pictures, and these.
    chat: how a picture stands in a prompt.
    """

    @property
    def picture_tokens(self) -> dict[str, str]: ...

    @property
    def chat(self) -> Chat: ...

    def build(self, size: Size, tokens: dict[str, int], vocabulary: int, seed: int) -> PreTrainedModel:
        """A freshly initialised model in float32; `tokens` maps the special tokens to their ids."""

    def vision(self, model: Any) -> dict[str, nn.Module]:
        """The parts in front of the language model, by name."""

    def last_projection(self, model: Any) -> nn.Linear:
        """The layer that visual features come out of."""

    def places(self, model: Any) -> int:
        """Rows, and columns, of visual tokens in a tile; 0 where the tower knows how tokens lie to each other and not where."""

    def states(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:
        """What the encoder makes of normalised pixels of equal views `[views, 3, height, width]`, patch by patch.

        `[views, rows, columns, width]` where a model's patches lie in rows, else `[views, patches, width]`.
        """

    def joined(self, model: Any, states: torch.Tensor) -> torch.Tensor:
        """The patches' states to visual tokens `[views, tokens, text width]`."""

    def answer_states(
        self, model: Any, embedded: torch.Tensor, batch: Batch, grounding: Listener | None
    ) -> torch.Tensor:
        """The language model's last states `[batch, length, width]`; a `grounding` hears of every layer's queries and keys."""

    def deepen_vision(self, model: Any, layers: int) -> None:
        """Give the encoder so many layers, in place; the new ones, the last, add nothing to what it computes."""

    def save_processor(self, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
        """Write tokenizer, chat template, image processor and processor settings as `AutoProcessor` expects them."""


KINDS: dict[str, Kind] = {
    "internvl": InternVL(),
    "internvl_448": InternVL(Tiles(448, 14, 4, 8), local=True, pages=True),
    "qwen2_vl": Qwen2VL(),
}
"""By the names that recipes use; plain ones are the `model_type` of their configs."""


def kind_of(model: PreTrainedModel) -> Kind:
    """The kind that a model is of, whatever tiles its pictures are cut into."""
    return KINDS[model.config.model_type]


def features(model: PreTrainedModel, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pixels of equal views `[views, 3, height, width]` to visual tokens `[views, tokens, text width]`."""
    kind = kind_of(model)
    return kind.joined(model, kind.states(model, pixels))
