"""What the models share whatever their kind: sizes, how weights start, and growth that does not change what is computed."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Size:
    """Widths and depths of one model. Heads are 32 wide everywhere."""

    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    text_mlp: int
    text_kv_heads: int


HEAD = 32
EMBEDDING_SCALE = 0.3
"""Root mean square of token embeddings, and of visual features, where the language model starts."""
SHARPNESS = 1.5
"""Root mean square of queries and keys where the language model starts: attention can be sharp from there."""


@torch.no_grad()
def start_tower(tower: nn.Module) -> None:
    """Unit-gain matrices: from the usual 0.02 a narrow tower takes long to find its neighbours."""
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)


@torch.no_grad()
def start_language_model(model: PreTrainedModel) -> None:
    """Unit-gain inner matrices, quiet outputs, and an output layer that prefers nothing."""
    text = model.model.language_model
    for layer in text.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for inner in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            nn.init.normal_(inner.weight, std=inner.in_features**-0.5)
        for outer in (attention.o_proj, mlp.down_proj):
            nn.init.normal_(outer.weight, std=0.3 * outer.in_features**-0.5)
    nn.init.normal_(text.embed_tokens.weight, std=EMBEDDING_SCALE)
    nn.init.zeros_(model.lm_head.weight)


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
def grow_language_model(model: PreTrainedModel, layers: int, mlp: int) -> None:
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
