"""What a model makes of packed questions about visual features: its last states, and what it answers."""

import torch
from transformers import PreTrainedModel

from .attention import Listener
from .grounding import Grounding
from .kinds import kind_of
from .packing import UNSEEN, Batch


def answer_states(
    model: PreTrainedModel, batch: Batch, features: torch.Tensor, listener: Listener | None = None
) -> torch.Tensor:
    """The language model's last states `[batch, length, width]`; a `listener` hears of the attention on the way."""
    embedded = model.model.language_model.embed_tokens(batch.tokens)
    embedded = embedded.masked_scatter(batch.visual[..., None], features.to(embedded.dtype))
    with torch.autocast(embedded.device.type, torch.bfloat16):
        return kind_of(model).answer_states(model, embedded, batch, listener)


def answers_in(model: PreTrainedModel, batch: Batch, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets of the last states where they predict an answer token: `[answers, vocabulary]` and `[answers]`."""
    asked = batch.targets != UNSEEN
    with torch.autocast(hidden.device.type, torch.bfloat16):
        return model.lm_head(hidden[asked]).float(), batch.targets[asked]


def answer_logits(
    model: PreTrainedModel,
    batch: Batch,
    features: torch.Tensor,
    grounding: Grounding | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets at the places that predict an answer token: `[answers, vocabulary]` and `[answers]`.

    A `grounding` hears of the attention on the way.
    """
    hidden = answer_states(model, batch, features, grounding)
    if grounding is not None:
        with torch.autocast(hidden.device.type, torch.bfloat16):
            grounding.hear_end(hidden, model.lm_head)
    return answers_in(model, batch, hidden)
