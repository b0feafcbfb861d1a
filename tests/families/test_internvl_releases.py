"""The published sizes of InternVL3 and 3.5 in transformers' layout, on the meta device: every weight finds its place.

Configurations and the shapes of the weights are those of the releases, written down here from their module structure alone.
"""

import pytest
from released import load_released
from test_qwen_vl_releases import Shapes, _language_shapes, _linear, _norm, _text
from transformers import InternVLConfig, InternVLForConditionalGeneration

from stitchvlm.families import InternVL, text_layers
from stitchvlm.families.base import VLM

_SMALL_TOWER = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
_SMALL_TOWER |= {"norm_type": "layer_norm", "attention_bias": True, "use_qk_norm": False, "layer_norm_eps": 1e-6}
_LARGE_TOWER = {"hidden_size": 3200, "intermediate_size": 12_800, "num_hidden_layers": 45, "num_attention_heads": 25}
_LARGE_TOWER |= {"norm_type": "rms_norm", "attention_bias": False, "use_qk_norm": True, "layer_norm_eps": 1e-6}
"""InternViT-300M and InternViT-6B, both of which see tiles of 448 pixels in patches of 14."""


def _config(text: dict, tower: dict, image_token_id: int) -> dict:
    vision = tower | {"model_type": "internvl_vision", "image_size": [448, 448], "patch_size": [14, 14]}
    vision |= {"num_channels": 3, "use_absolute_position_embeddings": True, "use_mask_token": False}
    own = {"image_token_id": image_token_id, "image_seq_length": 256, "downsample_ratio": 0.5}
    own |= {"vision_feature_layer": -1, "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu"}
    parts = {"vision_config": vision, "text_config": text | {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}}
    return {"model_type": "internvl", "tie_word_embeddings": False} | own | parts


def _third(text: dict, tower: dict = _SMALL_TOWER) -> dict:
    own = {"model_type": "qwen2", "vocab_size": 151_674, "max_position_embeddings": 32_768, "rope_theta": 1e6}
    return _config(text | own | {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, tower, 151_667)


def _third_and_a_half(text: dict, tower: dict = _SMALL_TOWER) -> dict:
    own = {"model_type": "qwen3", "vocab_size": 151_936, "max_position_embeddings": 40_960, "rope_theta": 1e6}
    return _config(text | own | {"head_dim": 128, "attention_bias": False}, tower, 151_671)


_SIZES = {
    "InternVL3-1B": (_third(_text(896, 4864, 24, 14, 2)), 0.938),
    "InternVL3-2B": (_third(_text(1536, 8960, 28, 12, 2)), 2.09),
    "InternVL3-8B": (_third(_text(3584, 18_944, 28, 28, 4)), 7.94),
    "InternVL3-14B": (_third(_text(5120, 13_824, 48, 40, 8)), 15.1),
    "InternVL3-38B": (_third(_text(5120, 27_648, 64, 40, 8), _LARGE_TOWER), 38.4),
    "InternVL3-78B": (_third(_text(8192, 29_568, 80, 64, 8), _LARGE_TOWER), 78.4),
    "InternVL3.5-1B": (_third_and_a_half(_text(1024, 3072, 28, 16, 8)), 1.06),
    "InternVL3.5-2B": (_third_and_a_half(_text(2048, 6144, 28, 16, 8)), 2.35),
    "InternVL3.5-4B": (_third_and_a_half(_text(2560, 9728, 36, 32, 8)), 4.73),
    "InternVL3.5-8B": (_third_and_a_half(_text(4096, 12_288, 36, 32, 8)), 8.53),
    "InternVL3.5-14B": (_third_and_a_half(_text(5120, 17_408, 40, 40, 8)), 15.12),
    "InternVL3.5-38B": (_third_and_a_half(_text(5120, 25_600, 64, 64, 8), _LARGE_TOWER), 38.40),
}
"""Each release's config and the billions of parameters that are told of it."""


def _tower_shapes(vision: dict) -> Shapes:
    width, inner, top = vision["hidden_size"], vision["intermediate_size"], "vision_tower"
    yield f"{top}.embeddings.cls_token", (1, 1, width)
    yield f"{top}.embeddings.position_embeddings", (1, 32 * 32 + 1, width)
    yield f"{top}.embeddings.patch_embeddings.projection.weight", (width, 3, 14, 14)
    yield f"{top}.embeddings.patch_embeddings.projection.bias", (width,)
    for number in range(vision["num_hidden_layers"]):
        layer = f"{top}.encoder.layer.{number}"
        for name in ("q_proj", "k_proj", "v_proj"):
            yield from _linear(f"{layer}.attention.{name}", width, width, bias=vision["attention_bias"])
        yield from _linear(f"{layer}.attention.projection_layer", width, width)
        if vision["use_qk_norm"]:
            yield f"{layer}.attention.q_norm.weight", (width,)
            yield f"{layer}.attention.k_norm.weight", (width,)
        yield from _linear(f"{layer}.mlp.fc1", inner, width)
        yield from _linear(f"{layer}.mlp.fc2", width, inner)
        for name in ("layernorm_before", "layernorm_after"):
            yield from _norm(f"{layer}.{name}", width, bias=vision["norm_type"] == "layer_norm")
        yield f"{layer}.lambda_1", (width,)
        yield f"{layer}.lambda_2", (width,)


def _projector_shapes(config: dict) -> Shapes:
    width, shuffled = config["text_config"]["hidden_size"], 4 * config["vision_config"]["hidden_size"]
    yield from _norm("multi_modal_projector.layer_norm", shuffled, bias=True)
    yield from _linear("multi_modal_projector.linear_1", width, shuffled)
    yield from _linear("multi_modal_projector.linear_2", width, width)


@pytest.mark.parametrize("size", _SIZES)
def test_every_weight_of_a_published_size_finds_its_place(size):
    config, billions = _SIZES[size]
    language = _language_shapes(config, "language_model.model", "language_model.lm_head")
    shapes = dict([*_tower_shapes(config["vision_config"]), *_projector_shapes(config), *language])
    model = load_released(InternVLForConditionalGeneration, InternVLConfig.from_dict(config), shapes, billions)
    family = InternVL()
    decoder = family.decoder(VLM(size, family, model, None, None, (), config["image_token_id"]))
    depth = text_layers(config)
    assert family.matches(config) and decoder.windows == (None,) * depth and len(decoder.layers) == depth
    assert decoder.max_positions == (40_960 if "3.5" in size else 32_768)
