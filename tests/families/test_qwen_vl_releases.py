"""The published sizes of Qwen-VL, on the meta device: every weight finds its place, and pictures give the tokens they should.

Configurations and the shapes of the weights are those of the releases, written down here from their module structure alone.
"""

from collections.abc import Iterator

import pytest
import torch
from PIL import Image
from released import load_released
from tiny import QWEN_TOKENS, QWEN_VL, qwen_tokenizer
from transformers import Qwen2VLImageProcessorPil

from stitchvlm.families import QwenVL, text_layers
from stitchvlm.families.base import VLM
from stitchvlm.records import Question

_TEXT = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
_IDS = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
_FLAT = {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "rms_norm_eps": 1e-6}
_FLAT |= {"use_sliding_window": False, "sliding_window": 32_768}

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _text(*numbers: int) -> dict:
    return dict(zip(_TEXT, numbers, strict=True))


def _qwen2(text: dict, vocabulary: int, tied: bool = False) -> dict:
    vision = {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3, "patch_size": 14}
    vision |= {"hidden_size": text["hidden_size"], "spatial_merge_size": 2, "spatial_patch_size": 14}
    own = {"model_type": "qwen2_vl", "vocab_size": vocabulary, "max_position_embeddings": 32_768}
    depth = {"max_window_layers": text["num_hidden_layers"]}
    return text | own | depth | _FLAT | _IDS | {"tie_word_embeddings": tied, "vision_config": vision}


def _qwen2_5(text: dict, vocabulary: int, inner: int, tied: bool = False) -> dict:
    vision = {"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": inner, "num_heads": 16}
    vision |= {"in_chans": 3, "out_hidden_size": text["hidden_size"], "patch_size": 14, "spatial_merge_size": 2}
    vision |= {"spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]}
    vision |= {"tokens_per_second": 2, "temporal_patch_size": 2}
    own = {"model_type": "qwen2_5_vl", "vocab_size": vocabulary, "max_position_embeddings": 128_000}
    depth = {"max_window_layers": text["num_hidden_layers"]}
    return text | own | depth | _FLAT | _IDS | {"tie_word_embeddings": tied, "vision_config": vision}


def _qwen3(text: dict, vision: tuple[int, int, int], deepstack: list[int], tied: bool = False) -> dict:
    rope = {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"}
    own = {"model_type": "qwen3_vl_text", "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 262_144}
    own |= {"rope_theta": 5e6, "rope_scaling": rope, "rms_norm_eps": 1e-6, "attention_bias": False}
    tower = dict(zip(("depth", "hidden_size", "intermediate_size"), vision, strict=True))
    tower |= {"model_type": "qwen3_vl", "num_heads": 16, "in_channels": 3, "out_hidden_size": text["hidden_size"]}
    tower |= {"patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 2304}
    tower |= {"deepstack_visual_indexes": deepstack, "hidden_act": "gelu_pytorch_tanh"}
    parts = {"text_config": text | own | {"tie_word_embeddings": tied}, "vision_config": tower}
    return {"model_type": "qwen3_vl", "tie_word_embeddings": tied} | _IDS | parts


_SIZES = {
    "Qwen2-VL-2B": (_qwen2(_text(1536, 8960, 28, 12, 2), 151_936, tied=True), 2.21),
    "Qwen2-VL-7B": (_qwen2(_text(3584, 18_944, 28, 28, 4), 152_064), 8.29),
    "Qwen2-VL-72B": (_qwen2(_text(8192, 29_568, 80, 64, 8), 152_064), 73.4),
    "Qwen2.5-VL-3B": (_qwen2_5(_text(2048, 11_008, 36, 16, 2), 151_936, 3420, tied=True), 3.75),
    "Qwen2.5-VL-7B": (_qwen2_5(_text(3584, 18_944, 28, 28, 4), 152_064, 3420), 8.29),
    "Qwen2.5-VL-32B": (_qwen2_5(_text(5120, 27_648, 64, 40, 8), 152_064, 3456), 33.5),
    "Qwen2.5-VL-72B": (_qwen2_5(_text(8192, 29_568, 80, 64, 8), 152_064, 3456), 73.4),
    "Qwen3-VL-2B": (_qwen3(_text(2048, 6144, 28, 16, 8), (24, 1024, 4096), [5, 11, 17], tied=True), 2.13),
    "Qwen3-VL-4B": (_qwen3(_text(2560, 9728, 36, 32, 8), (24, 1024, 4096), [5, 11, 17], tied=True), 4.44),
    "Qwen3-VL-8B": (_qwen3(_text(4096, 12_288, 36, 32, 8), (27, 1152, 4304), [8, 16, 24]), 8.77),
    "Qwen3-VL-32B": (_qwen3(_text(5120, 25_600, 64, 64, 8), (27, 1152, 4304), [8, 16, 24]), 33.4),
}
"""Each release's config and the billions of parameters that its card tells."""


def _linear(name: str, rows: int, columns: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)


def _norm(name: str, width: int, bias: bool) -> Shapes:
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def _vision_shapes(config: dict, top: str) -> Shapes:
    kind, vision = config["model_type"], config["vision_config"]
    width, out = (
        vision.get("embed_dim") or vision["hidden_size"],
        vision.get("out_hidden_size") or vision["hidden_size"],
    )
    inner, layer_norm = vision.get("intermediate_size") or width * vision["mlp_ratio"], kind != "qwen2_5_vl"
    yield f"{top}.patch_embed.proj.weight", (width, 3, 2, vision["patch_size"], vision["patch_size"])
    if kind == "qwen3_vl":
        yield f"{top}.patch_embed.proj.bias", (width,)
        yield f"{top}.pos_embed.weight", (vision["num_position_embeddings"], width)
    for number in range(vision["depth"]):
        block = f"{top}.blocks.{number}"
        yield from _norm(f"{block}.norm1", width, layer_norm)
        yield from _norm(f"{block}.norm2", width, layer_norm)
        yield from _linear(f"{block}.attn.qkv", 3 * width, width)
        yield from _linear(f"{block}.attn.proj", width, width)
        mlp = {"qwen2_vl": ("fc1", "fc2"), "qwen3_vl": ("linear_fc1", "linear_fc2")}
        *up, down = mlp.get(kind, ("gate_proj", "up_proj", "down_proj"))
        for name in up:
            yield from _linear(f"{block}.mlp.{name}", inner, width)
        yield from _linear(f"{block}.mlp.{down}", width, inner)
    mergers = [(f"{top}.merger", width)]
    mergers += [
        (f"{top}.deepstack_merger_list.{n}", 4 * width)
        for n, _ in enumerate(vision.get("deepstack_visual_indexes", ()))
    ]
    norm, first, last = ("norm", "linear_fc1", "linear_fc2") if kind == "qwen3_vl" else ("ln_q", "mlp.0", "mlp.2")
    for merger, normed in mergers:
        yield from _norm(f"{merger}.{norm}", normed, layer_norm)
        yield from _linear(f"{merger}.{first}", 4 * width, 4 * width)
        yield from _linear(f"{merger}.{last}", out, 4 * width)


def _language_shapes(config: dict, top: str, head_name: str = "lm_head") -> Shapes:
    text = config.get("text_config", config)
    is_third = text["model_type"].startswith("qwen3")
    width, inner, n_layers, heads, groups = (text[name] for name in _TEXT)
    head = text.get("head_dim") or width // heads
    yield f"{top}.embed_tokens.weight", (text["vocab_size"], width)
    yield f"{top}.norm.weight", (width,)
    if not config["tie_word_embeddings"]:
        yield f"{head_name}.weight", (text["vocab_size"], width)
    for number in range(n_layers):
        layer = f"{top}.layers.{number}"
        for name, rows in (("q_proj", heads * head), ("k_proj", groups * head), ("v_proj", groups * head)):
            yield from _linear(f"{layer}.self_attn.{name}", rows, width, bias=not is_third)
        yield f"{layer}.self_attn.o_proj.weight", (width, heads * head)
        if is_third:
            yield f"{layer}.self_attn.q_norm.weight", (head,)
            yield f"{layer}.self_attn.k_norm.weight", (head,)
        yield f"{layer}.mlp.gate_proj.weight", (inner, width)
        yield f"{layer}.mlp.up_proj.weight", (inner, width)
        yield f"{layer}.mlp.down_proj.weight", (width, inner)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)


@pytest.mark.parametrize("size", _SIZES)
def test_every_weight_of_a_published_size_finds_its_place(size):
    config, billions = _SIZES[size]
    tops = ("model.visual", "model.language_model") if size.startswith("Qwen3") else ("visual", "model")
    shapes = dict([*_vision_shapes(config, tops[0]), *_language_shapes(config, tops[1])])
    config_class, model_class = QWEN_VL[config["model_type"]]
    model = load_released(model_class, config_class.from_dict(config), shapes, billions)
    family = QwenVL()
    decoder = family.decoder(VLM(size, family, model, None, None, (), 151_655))
    depth = text_layers(config)
    assert family.matches(config) and decoder.windows == (None,) * depth and len(decoder.layers) == depth
    assert decoder.max_positions == {"2": 32_768, "2.5": 128_000, "3": 262_144}[size[4:].partition("-")[0]]


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        (
            {"min_pixels": 3136, "max_pixels": 12_845_056, "patch_size": 14},
            {
                (1280, 720): (46, 26),
                (640, 480): (23, 17),
                (30, 30): (2, 2),
                (5000, 4000): (143, 114),
                (448, 448): (16, 16),
            },
        ),
        (
            {"size": {"longest_edge": 16_777_216, "shortest_edge": 65_536}, "patch_size": 16},
            {
                (1280, 720): (40, 22),
                (640, 480): (20, 15),
                (30, 30): (8, 8),
                (5000, 4000): (143, 114),
                (512, 512): (16, 16),
            },
        ),
    ],
    ids=["Qwen2-VL and Qwen2.5-VL", "Qwen3-VL"],
)
def test_pictures_give_as_many_tokens_as_the_releases_make_of_them(settings, counts, monkeypatch):
    """(columns, rows) by hand: sides to whole tokens of 28 or 32 pixels, within the releases' bounds."""
    tokenizer, kind = qwen_tokenizer(), QWEN_VL["qwen2_vl"][0]
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(QWEN_TOKENS[at])
        for name, at in zip(("vision_start", "vision_end", "image", "video"), (0, 1, 3, 4), strict=True)
    }
    model = type("NoModel", (), {"config": kind(**ids)})
    vlm = VLM("release", QwenVL(), model, tokenizer, Qwen2VLImageProcessorPil(**settings), (), ids["image_token_id"])
    monkeypatch.setattr("stitchvlm.families.qwen_vl._picture", lambda *_: torch.empty(1, 3, 28, 28))
    for size, (columns, rows) in counts.items():
        layout = vlm.family.prepare(vlm, [Question("?", (Image.new("RGB", size),))], None).layouts[0]
        assert layout.n_visual == columns * rows
        torch.testing.assert_close(layout.box[-1], torch.tensor([1 - 1 / columns, 1 - 1 / rows, 1, 1]))
