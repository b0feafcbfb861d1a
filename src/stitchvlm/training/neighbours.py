"""A vision encoder whose attention begins as a convolution: every head looks at one neighbour of each patch.

Small print is read from what lies close by. A young encoder takes most of its training to find out which patches are
neighbours; here queries and keys say so from the start. The last `CODE` of the encoder's channels carry a patch's row and
column as waves of four lengths. Queries are the keys of the patch at the head's offset, and so sharp that all attention falls
on it. Nothing else writes to these channels, so what the encoder computes is what `local_states` computes with shifts
alone, at a third less work and without a score for each pair of patches. Beyond a tile's edge its opposite edge comes next.

The saved model is an ordinary InternVL (norms of queries and keys, RMS norms, as InternViT-6B has them) and knows nothing of this.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import nn
from transformers import InternVLForConditionalGeneration, InternVLVisionConfig

OFFSETS = ((-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1), (0, 1), (0, 2), (1, -1), (1, 0), (1, 1))
"""Rows down and columns to the right, for each head."""
HEADS, CODE = len(OFFSETS), 16
"""`CODE` is also a head's width."""
_WAVES = (1, 3, 8, 14)
"""Turns along a tile. No other patch has more than two thirds of the score of the one that is meant, on sides of 32 patches."""
_SHARPNESS = 3.3
"""Root mean square of queries and keys: other patches together have less than a thousandth of the attention."""


def is_local(config: InternVLVisionConfig) -> bool:
    """Whether a vision encoder of this config began as a convolution."""
    return config.use_qk_norm and config.num_attention_heads == HEADS and config.hidden_size == HEADS * CODE


def _code(side: int) -> torch.Tensor:
    """`[side * side, CODE]`: row and column of each patch."""
    angles = 2 * math.pi / side * torch.arange(side)[:, None] * torch.tensor(_WAVES)
    line = torch.stack([angles.cos(), angles.sin()], -1).flatten(1)
    return torch.cat([line.repeat_interleave(side, 0), line.repeat(side, 1)], -1)


def _turned(offset: tuple[int, int], side: int) -> torch.Tensor:
    """`[CODE, CODE]`: from a patch's code to that of the patch at `offset`."""
    blocks = []
    for steps in offset:
        for wave in _WAVES:
            angle = 2 * math.pi / side * wave * steps
            blocks.append(torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]))
    return torch.block_diag(*blocks)


@torch.no_grad()
def start_local(model: InternVLForConditionalGeneration) -> None:
    """Set positions, queries and keys, and keep everything else away from the channels that hold positions."""
    tower = model.model.vision_tower
    side = tower.embeddings.patch_embeddings.patch_shape[0]
    content = tower.config.hidden_size - CODE
    embeddings = tower.embeddings
    embeddings.patch_embeddings.projection.weight[content:] = 0
    embeddings.patch_embeddings.projection.bias.zero_()
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:, content:] = _code(side)
    embeddings.cls_token.zero_()
    for layer in tower.encoder.layer:
        attention = layer.attention
        for projection, turns in (
            (attention.q_proj, [_turned(offset, side) for offset in OFFSETS]),
            (attention.k_proj, [torch.eye(CODE)] * HEADS),
        ):
            projection.weight.zero_()
            projection.weight[:, content:] = torch.cat(turns)
        nn.init.constant_(attention.q_norm.weight, _SHARPNESS)
        nn.init.constant_(attention.k_norm.weight, _SHARPNESS)
        for outer in (attention.projection_layer, layer.mlp.fc2):
            outer.weight[content:] = 0
            nn.init.zeros_(outer.bias)
        nn.init.zeros_(layer.mlp.fc1.bias)


def _normed(hidden: torch.Tensor, norm: nn.Module, content: int) -> torch.Tensor:
    """The RMS norm; how loud positions are is no parameter."""
    weight = torch.cat([norm.weight[:content], torch.ones_like(norm.weight[content:])])
    size = hidden.square().mean(-1, keepdim=True)
    return hidden * torch.rsqrt(size + norm.variance_epsilon) * weight


def _neighbours(values: torch.Tensor) -> torch.Tensor:
    """Each head's part of `values[tiles, rows, columns, channels]`, taken from the patch at its offset."""
    parts = values.split(CODE, -1)
    moved = [part.roll((-down, -right), (1, 2)) for part, (down, right) in zip(parts, OFFSETS, strict=True)]
    return torch.cat(moved, -1)


def _layer(layer: nn.Module, hidden: torch.Tensor, content: int) -> torch.Tensor:
    attention = layer.attention
    quiet = torch.zeros(hidden.shape[-1], device=hidden.device)
    quiet[:content] = 1.0
    values = attention.v_proj(_normed(hidden, layer.layernorm_before, content))
    hidden = hidden + quiet * layer.lambda_1 * attention.projection_layer(_neighbours(values))
    return hidden + quiet * layer.lambda_2 * layer.mlp(_normed(hidden, layer.layernorm_after, content))


@cache
def _compiled_layer() -> Callable[[nn.Module, torch.Tensor, int], torch.Tensor]:
    return torch.compile(_layer, dynamic=False)


def local_states(model: InternVLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """`[tiles, rows, columns, width]`: what the encoder makes of whole tiles `pixels[tiles, 3, height, width]`, patch by patch."""
    tower = model.model.vision_tower
    embeddings, content = tower.embeddings, tower.config.hidden_size - CODE
    projection, patch = embeddings.patch_embeddings.projection, embeddings.patch_size[0]
    tiles, side = len(pixels), pixels.shape[-1] // patch
    cut = pixels.reshape(tiles, -1, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5).flatten(3)
    hidden = nn.functional.linear(cut, projection.weight[:content].flatten(1), projection.bias[:content]).float()
    code = embeddings.position_embeddings[0, 1:, content:].detach()
    hidden = torch.cat([hidden, code.reshape(side, side, CODE).expand(tiles, -1, -1, -1)], -1)
    for layer in tower.encoder.layer:
        through = _compiled_layer() if layer._compiled_call_impl is not None else _layer
        hidden = through(layer, hidden, content)
    return hidden
