"""A plain attention kernel for training: two matrix products and a softmax in the products' own precision.

On CPUs with bfloat16 matrix units it is faster, forward and backward, than the fused kernel and than transformers' eager
one. The saved models carry no trace of it.
"""

from typing import Protocol

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "stitch_plain"


class Listener(Protocol):
    """What may be handed to a forward pass to hear of every layer's attention."""

    def hear(self, layer: int, query: torch.Tensor, key: torch.Tensor, moved: torch.Tensor | None = None) -> None:
        """`query[b, heads, n, d]`, scaled, and `key[b, kv heads, n, d]`.

        With `moved[b, length]` these are not in the sequence's order: it has the place of each.
        """


def additive(mask: torch.Tensor, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """A boolean mask as what is added to scores: made once for all layers and heads it costs a CPU less than to fill each."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def plain_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    grounding: Listener | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """`query[b, heads, n, d]`, `key`, `value` `[b, kv heads, n, d]`, mask to add (`additive`); gives `[b, n, heads, d]`.

    A `grounding` that is handed to the model's forward pass hears of every layer's queries and keys.
    """
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    query, key = query.to(value.dtype) * scale, key.to(value.dtype)
    if grounding is not None:
        grounding.hear(module.layer_idx, query, key)
    key, value = key[:, :, None], value[:, :, None]
    scores = query.reshape(batch, -1, groups, length, width) @ key.transpose(-1, -2)
    if attention_mask is not None:
        scores += attention_mask[:, :, None]
    with torch.autocast(scores.device.type, enabled=False):
        weights = scores.softmax(-1)
    return (weights @ value).reshape(batch, heads, length, width).transpose(1, 2).contiguous(), None


def use_plain_attention(model: PreTrainedModel) -> None:
    """Let `model` run on `plain_attention` from now on."""
    AttentionInterface.register(NAME, plain_attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    for part in model.modules():
        if isinstance(part, PreTrainedModel):
            part.config._attn_implementation = NAME
