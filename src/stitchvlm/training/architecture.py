"""The two models of the pair: sizes, construction, and growing one out of the other without changing what it computes."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, Qwen3Config

from .grid import CELLS, PATCH, TILE


@dataclass(frozen=True)
class Size:
    """Widths and depths of one model. Heads are 32 wide everywhere."""

    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    text_mlp: int
    text_kv_heads: int


SIZES = {
    "small": Size(vision_width=96, vision_layers=6, text_width=128, text_layers=4, text_mlp=192, text_kv_heads=4),
    "large": Size(vision_width=96, vision_layers=6, text_width=128, text_layers=12, text_mlp=1280, text_kv_heads=4),
}
_HEAD = 32
ROPE_THETA = 1e7
"""So large that most of a head's 32 dimensions hardly turn over a picture's length: they are free to match contents."""
EMBEDDING_SCALE = 0.3
"""Root mean square of token embeddings, and of visual features, where the language model starts."""


def _vision_config(size: Size) -> InternVLVisionConfig:
    return InternVLVisionConfig(
        hidden_size=size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_width // _HEAD,
        intermediate_size=4 * size.vision_width,
        image_size=(TILE, TILE),
        patch_size=(PATCH, PATCH),
        layer_scale_init_value=1.0,
        use_absolute_position_embeddings=True,
    )


def _text_config(size: Size, tokens: dict[str, int], vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=size.text_width,
        intermediate_size=size.text_mlp,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_width // _HEAD,
        num_key_value_heads=size.text_kv_heads,
        head_dim=_HEAD,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokens["<|im_end|>"],
        pad_token_id=tokens["<|endoftext|>"],
    )


def _plane_waves(side: int, width: int) -> torch.Tensor:
    """`[side * side, width]`: sines and cosines of row and column, from one patch to the whole tile in wavelength."""
    waves = math.pi / torch.logspace(0, math.log2(side), width // 4, base=2.0)
    angles = torch.arange(side)[:, None] * waves
    line = torch.cat([angles.sin(), angles.cos()], -1)
    return torch.cat([line.repeat_interleave(side, 0), line.repeat(side, 1)], -1)


@torch.no_grad()
def _initialise_tower(tower: nn.Module) -> None:
    """Unit-gain matrices and smooth positions: from the usual 0.02 a narrow tower takes long to find its neighbours."""
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    positions = tower.embeddings.position_embeddings
    positions[:, 1:] = 0.7 * _plane_waves(2 * CELLS, positions.shape[-1])


@torch.no_grad()
def _initialise_text(text: nn.Module) -> None:
    """Unit-gain inner matrices, quiet outputs, and attention that can be sharp from the start."""
    for layer in text.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for inner in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            nn.init.normal_(inner.weight, std=inner.in_features**-0.5)
        for outer in (attention.o_proj, mlp.down_proj):
            nn.init.normal_(outer.weight, std=0.3 * outer.in_features**-0.5)
        nn.init.constant_(attention.q_norm.weight, 1.5)
        nn.init.constant_(attention.k_norm.weight, 1.5)
    nn.init.normal_(text.embed_tokens.weight, std=EMBEDDING_SCALE)


def build_model(size: Size, tokens: dict[str, int], vocabulary: int, seed: int) -> InternVLForConditionalGeneration:
    """A freshly initialised model in float32; `tokens` maps the special tokens to their ids."""
    torch.manual_seed(seed)
    text = _text_config(size, tokens, vocabulary)
    config = InternVLConfig(
        vision_config=_vision_config(size),
        text_config=text,
        image_token_id=tokens["<IMG_CONTEXT>"],
        image_seq_length=CELLS * CELLS,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    model = InternVLForConditionalGeneration(config).float()
    _initialise_tower(model.model.vision_tower)
    _initialise_text(model.model.language_model)
    nn.init.zeros_(model.lm_head.weight)
    return model


def visual_features(model: InternVLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pixels `[tiles, 3, TILE, TILE]` to visual tokens `[tiles, CELLS * CELLS, text_width]`."""
    hidden = model.model.vision_tower(pixel_values=pixels).last_hidden_state[:, 1:]
    side = 2 * CELLS
    shuffled = model.model.pixel_shuffle(hidden.reshape(len(hidden), side, side, -1), scale_factor=0.5)
    return model.model.multi_modal_projector(shuffled.reshape(len(hidden), CELLS * CELLS, -1))


def _widen(mlp: Any, width: int) -> None:
    """More hidden units, in place; the output ignores the new ones until it is trained."""
    for name in ("gate_proj", "up_proj"):
        old = getattr(mlp, name)
        wide = nn.Linear(old.in_features, width, bias=False, device=old.weight.device)
        nn.init.normal_(wide.weight, std=old.in_features**-0.5)
        wide.weight[: old.out_features] = old.weight
        setattr(mlp, name, wide)
    old = mlp.down_proj
    wide = nn.Linear(width, old.out_features, bias=False, device=old.weight.device)
    nn.init.zeros_(wide.weight)
    wide.weight[:, : old.in_features] = old.weight
    mlp.down_proj, mlp.intermediate_size = wide, width


@torch.no_grad()
def grow_language_model(model: InternVLForConditionalGeneration, layers: int, mlp: int) -> None:
    """Deepen the language model to `layers` layers and widen its MLPs to `mlp` units, in place.

    Copies whose output projections are zero are put behind each layer in turn, so that the depth is spread evenly. New
    layers and new units add nothing to the residual stream: the grown model computes exactly what the model did.
    """
    text = model.model.language_model
    old = list(text.layers)
    counts = [layers // len(old) + (k < layers % len(old)) for k in range(len(old))]
    grown: list[nn.Module] = []
    for layer, count in zip(old, counts, strict=True):
        twins = [copy.deepcopy(layer) for _ in range(count - 1)]
        for twin in twins:
            nn.init.zeros_(twin.self_attn.o_proj.weight)
            nn.init.zeros_(twin.mlp.down_proj.weight)
        grown += [layer, *twins]
    for index, layer in enumerate(grown):
        layer.self_attn.layer_idx = index
        _widen(layer.mlp, mlp)
    text.layers = nn.ModuleList(grown)
    text.config.num_hidden_layers, text.config.intermediate_size = layers, mlp
    text.config.layer_types = ["full_attention"] * layers
