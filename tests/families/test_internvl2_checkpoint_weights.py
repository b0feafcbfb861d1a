"""InternVL2 release checkpoints load into native classes: golden outputs, all seven published sizes, damaged files."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from released import load_released
from safetensors.torch import load_file, save_file
from transformers import InternVLConfig, InternVLForConditionalGeneration

from stitchvlm.errors import DataError
from stitchvlm.families.internvl2_checkpoint import is_internvl2, load_model, native_config
from stitchvlm.families.internvl2_checkpoint.weights import release_class

_REPOSITORY = Path(__file__).parents[2]
_GOLDEN_FOLDERS = (_REPOSITORY / "tests/data/golden", _REPOSITORY.parent / "shared/golden")

# --- the release's configurations, from its repositories

_VIT_300M = {
    "architectures": ["InternVisionModel"],
    "model_type": "intern_vit_6b",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 448,
    "patch_size": 14,
    "hidden_act": "gelu",
    "norm_type": "layer_norm",
    "layer_norm_eps": 1e-06,
    "qk_normalization": False,
    "qkv_bias": True,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "attention_dropout": 0.0,
    "dropout": 0.0,
    "drop_path_rate": 0.0,
    "use_flash_attn": True,
}
_VIT_6B = {
    **_VIT_300M,
    "hidden_size": 3200,
    "intermediate_size": 12800,
    "num_hidden_layers": 45,
    "num_attention_heads": 25,
    "norm_type": "rms_norm",
    "qk_normalization": True,
    "qkv_bias": False,
    "initializer_factor": 0.1,
}


def _llm(architecture: str, hidden: int, inner: int, layers: int, heads: int, groups: int, vocab: int, **more) -> dict:
    return {
        "architectures": [architecture],
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": vocab,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-05,
        "initializer_range": 0.02,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        **more,
    }


def _internlm2(hidden: int, inner: int, layers: int, heads: int, ntk_factor: float) -> dict:
    scaling = {"type": "dynamic", "factor": ntk_factor}
    rope = {"rope_theta": 1000000, "rope_scaling": scaling, "max_position_embeddings": 32768}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "bias": False, "model_type": "internlm2"}
    return _llm("InternLM2ForCausalLM", hidden, inner, layers, heads, 8, 92553, **rope, **tokens)


_PHI3_ROPE = {"type": "su", "short_factor": [1.05] * 48, "long_factor": [2.5] * 48}
_SIZES = {  # size: (vision, language model, template, parameters as published on the model card, in billions)
    "1B": (
        _VIT_300M,
        _llm(
            "Qwen2ForCausalLM", 896, 4864, 24, 14, 2, 151655,
            rope_theta=1000000.0, rms_norm_eps=1e-06, max_position_embeddings=32768,
            use_sliding_window=False, sliding_window=32768, max_window_layers=24,
            bos_token_id=151643, eos_token_id=151645,
        ),
        "Hermes-2",
        0.938,
    ),
    "2B": (_VIT_300M, _internlm2(2048, 8192, 24, 16, 2.0), "internlm2-chat", 2.21),
    "4B": (
        _VIT_300M,
        _llm(
            "Phi3ForCausalLM", 3072, 8192, 32, 32, 32, 32020,
            rope_theta=10000.0, rope_scaling=_PHI3_ROPE, max_position_embeddings=131072,
            original_max_position_embeddings=4096, sliding_window=262144,
            bos_token_id=1, eos_token_id=32000, pad_token_id=32000,
        ),
        "phi3-chat",
        4.15,
    ),
    "8B": (_VIT_300M, _internlm2(4096, 14336, 32, 32, 2.0), "internlm2-chat", 8.08),
    "26B": (_VIT_6B, _internlm2(6144, 16384, 48, 48, 3.0), "internlm2-chat", 25.5),
    "40B": (
        _VIT_6B,
        _llm(
            "LlamaForCausalLM", 7168, 20480, 60, 56, 8, 64008,
            rope_theta=5000000.0, max_position_embeddings=4096, bos_token_id=1, eos_token_id=7, pad_token_id=0,
        ),
        "Hermes-2",
        40.1,
    ),
    "76B": (
        _VIT_6B,
        _llm(
            "LlamaForCausalLM", 8192, 28672, 80, 64, 8, 128265,
            rope_theta=500000.0, max_position_embeddings=8192, bos_token_id=128000, eos_token_id=128003,
        ),
        "internlm2-chat",
        76.3,
    ),
}  # fmt: skip


def _release_config(vision: dict, llm: dict, template: str, force_image_size: int = 448) -> dict:
    return {
        "model_type": "internvl_chat",
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
        "vision_config": vision,
        "llm_config": llm,
        "template": template,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "force_image_size": force_image_size,
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "pad2square": False,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 12,
    }


# --- the release's weight names and shapes, from its module structure alone


def _norm(name: str, width: int, kind: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    if kind == "layer_norm":
        yield f"{name}.bias", (width,)


def _linear(name: str, rows: int, columns: int, bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)


def _vision_shapes(vit: dict) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner, kind, patch = vit["hidden_size"], vit["intermediate_size"], vit["norm_type"], vit["patch_size"]
    top = "vision_model.embeddings"
    yield f"{top}.class_embedding", (1, 1, width)
    yield f"{top}.position_embedding", (1, (vit["image_size"] // patch) ** 2 + 1, width)
    yield f"{top}.patch_embedding.weight", (width, 3, patch, patch)
    yield f"{top}.patch_embedding.bias", (width,)
    for index in range(vit["num_hidden_layers"]):
        layer = f"vision_model.encoder.layers.{index}"
        yield from _linear(f"{layer}.attn.qkv", 3 * width, width, vit["qkv_bias"])
        yield from _linear(f"{layer}.attn.proj", width, width, True)
        if vit["qk_normalization"]:
            yield from _norm(f"{layer}.attn.q_norm", width, "rms_norm")
            yield from _norm(f"{layer}.attn.k_norm", width, "rms_norm")
        yield from _linear(f"{layer}.mlp.fc1", inner, width, True)
        yield from _linear(f"{layer}.mlp.fc2", width, inner, True)
        yield from _norm(f"{layer}.norm1", width, kind)
        yield from _norm(f"{layer}.norm2", width, kind)
        yield f"{layer}.ls1", (width,)
        yield f"{layer}.ls2", (width,)


def _language_shapes(llm: dict) -> Iterator[tuple[str, tuple[int, ...]]]:
    architecture, vocab, width = llm["architectures"][0], llm["vocab_size"], llm["hidden_size"]
    inner, heads, groups = llm["intermediate_size"], llm["num_attention_heads"], llm["num_key_value_heads"]
    head = width // heads
    internlm = architecture == "InternLM2ForCausalLM"
    top = "language_model.model"
    yield f"{top}.{'tok_embeddings' if internlm else 'embed_tokens'}.weight", (vocab, width)
    yield f"{top}.norm.weight", (width,)
    yield f"language_model.{'output' if internlm else 'lm_head'}.weight", (vocab, width)
    for index in range(llm["num_hidden_layers"]):
        layer = f"{top}.layers.{index}"
        if internlm:
            yield f"{layer}.attention.wqkv.weight", ((heads + 2 * groups) * head, width)
            yield f"{layer}.attention.wo.weight", (width, heads * head)
            yield f"{layer}.feed_forward.w1.weight", (inner, width)
            yield f"{layer}.feed_forward.w3.weight", (inner, width)
            yield f"{layer}.feed_forward.w2.weight", (width, inner)
            yield f"{layer}.attention_norm.weight", (width,)
            yield f"{layer}.ffn_norm.weight", (width,)
            continue
        if architecture == "Phi3ForCausalLM":
            yield f"{layer}.self_attn.qkv_proj.weight", ((heads + 2 * groups) * head, width)
            yield f"{layer}.mlp.gate_up_proj.weight", (2 * inner, width)
        else:
            biased = architecture == "Qwen2ForCausalLM"
            yield from _linear(f"{layer}.self_attn.q_proj", heads * head, width, biased)
            yield from _linear(f"{layer}.self_attn.k_proj", groups * head, width, biased)
            yield from _linear(f"{layer}.self_attn.v_proj", groups * head, width, biased)
            yield f"{layer}.mlp.gate_proj.weight", (inner, width)
            yield f"{layer}.mlp.up_proj.weight", (inner, width)
        yield f"{layer}.self_attn.o_proj.weight", (width, heads * head)
        yield f"{layer}.mlp.down_proj.weight", (width, inner)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)


def _release_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    vision, llm = config["vision_config"], config["llm_config"]
    shuffled = vision["hidden_size"] * round(1 / config["downsample_ratio"]) ** 2
    projector = [
        *_norm("mlp1.0", shuffled, "layer_norm"),
        *_linear("mlp1.1", llm["hidden_size"], shuffled, True),
        *_linear("mlp1.3", llm["hidden_size"], llm["hidden_size"], True),
    ]
    return dict([*_vision_shapes(vision), *_language_shapes(llm), *projector])


@pytest.mark.parametrize("size", _SIZES)
def test_every_weight_of_a_published_size_converts(size: str) -> None:
    vision, llm, template, billions = _SIZES[size]
    config = _release_config(vision, llm, template)
    shapes = _release_shapes(config)
    load_released(release_class(), native_config(config), shapes, billions)


# --- tiny checkpoints on disk

_TINY_VIT_300M = {**_VIT_300M, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
_TINY_VIT_300M |= {"num_attention_heads": 2, "image_size": 56}
_TINY_VIT_6B = {**_TINY_VIT_300M, "norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}
_TINY_LLMS = {
    "InternLM2": {**_internlm2(24, 32, 2, 6, 2.0), "num_key_value_heads": 2, "vocab_size": 50},
    "Llama": _llm("LlamaForCausalLM", 24, 32, 2, 6, 2, 50, rope_theta=5000000.0, max_position_embeddings=64),
    "Phi3": _llm(
        "Phi3ForCausalLM", 24, 32, 2, 6, 6, 50,
        rope_theta=10000.0, rope_scaling={"type": "su", "short_factor": [1.1, 1.3], "long_factor": [2.0, 3.0]},
        max_position_embeddings=64, original_max_position_embeddings=16, sliding_window=4096, pad_token_id=0,
    ),
    "Qwen2": _llm("Qwen2ForCausalLM", 24, 32, 2, 6, 2, 50, rope_theta=1000000.0, use_sliding_window=False),
}  # fmt: skip


def _tiny_config(llm: str = "InternLM2", vision: dict = _TINY_VIT_300M) -> dict:
    return _release_config(vision, _TINY_LLMS[llm], "internlm2-chat", force_image_size=56)


def _random_weights(config: dict) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in _release_shapes(config).items()}


def _write(folder: Path, config: dict, weights: dict[str, torch.Tensor], shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    weight_map = {}
    for index in range(shards):
        name = f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        part = {key: weights[key] for position, key in enumerate(weights) if position % shards == index}
        save_file(part, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    index_file = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index_file))
    return folder


@pytest.mark.parametrize("llm", _TINY_LLMS)
@pytest.mark.parametrize("vision", [_TINY_VIT_300M, _TINY_VIT_6B], ids=["300M", "6B"])
def test_every_number_of_a_checkpoint_arrives(tmp_path: Path, llm: str, vision: dict) -> None:
    config = _tiny_config(llm, vision)
    weights = _random_weights(config)
    model = load_model(_write(tmp_path, config, weights), dtype=torch.float32)
    arrived = torch.cat([parameter.flatten() for parameter in model.parameters()]).sort().values
    stored = torch.cat([weight.flatten() for weight in weights.values()]).sort().values
    assert torch.equal(arrived, stored)
    assert type(model) is InternVLForConditionalGeneration
    assert not model.training
    assert model.config._attn_implementation == "sdpa"


def _golden(pair: str) -> Path:
    for folder in _GOLDEN_FOLDERS:
        if (folder / pair).is_dir():
            return folder / pair
    pytest.skip(f"golden pair {pair} is neither in tests/data/golden nor in ../shared/golden")


@pytest.mark.parametrize("pair", ["qwen2-llama", "ilm2-ilm2"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_golden_features_and_first_logits(pair: str, size: str) -> None:
    folder = _golden(pair)
    inputs, expected = load_file(folder / "inputs.safetensors"), load_file(folder / "expected.safetensors")
    model = load_model(folder / size, dtype=torch.float32)
    model.config.image_token_id = json.loads((folder / "inputs.json").read_text())["img_context_token_id"]
    for sample in ("s0", "s1", "s2", "s3", "s4"):
        pixels, ids = inputs[f"{sample}.pixel_values"].float(), inputs[f"{sample}.input_ids"][None]
        with torch.no_grad():
            features = model.model.get_image_features(pixel_values=pixels).pooler_output
            logits = model(input_ids=ids, pixel_values=pixels).logits[0, -1]
        reference = expected[f"{sample}.{size}.vit_embeds"]
        torch.testing.assert_close(features.reshape(reference.shape), reference, atol=1e-4, rtol=0)
        first = expected[f"{sample}.large.unpruned.raw_logits" if size == "large" else f"{sample}.small.raw_logits"][0]
        torch.testing.assert_close(logits, first, atol=1e-4, rtol=1e-4)


def test_wqkv_gives_the_attention_of_a_hand_written_internlm2(tmp_path: Path) -> None:
    config = _tiny_config("InternLM2")
    weights = _random_weights(config)
    model = load_model(_write(tmp_path, config, weights), dtype=torch.float32)
    groups, queries, head, length = 2, 3, 4, 5
    hidden = torch.randn(1, length, 24, generator=torch.Generator().manual_seed(1))

    frequencies = 1000000.0 ** (-torch.arange(0, head, 2) / head)
    angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)

    def rotate(x: torch.Tensor) -> torch.Tensor:  # [length, head]
        first, second = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()

    rows = hidden[0] @ weights["language_model.model.layers.1.attention.wqkv.weight"].T
    outputs = []
    for group in range(groups):
        start = group * (queries + 2) * head
        block = rows[:, start : start + (queries + 2) * head].split(
            head, dim=1
        )  # queries, then the key, then the value
        for query in block[:queries]:
            scores = rotate(query) @ rotate(block[queries]).T / math.sqrt(head)
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -math.inf)
            outputs.append(scores.softmax(-1) @ block[queries + 1])
    reference = torch.cat(outputs, dim=1) @ weights["language_model.model.layers.1.attention.wo.weight"].T

    text = model.model.language_model
    rope = text.rotary_emb(hidden, torch.arange(length)[None])
    with torch.no_grad():
        result, _ = text.layers[1].self_attn(hidden, position_embeddings=rope, attention_mask=None)
    torch.testing.assert_close(result[0], reference, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_shards_give_what_one_file_gives(tmp_path: Path, dtype: torch.dtype) -> None:
    config = _tiny_config()
    weights = {name: weight.bfloat16() for name, weight in _random_weights(config).items()}
    single = load_model(_write(tmp_path / "single", config, weights), dtype=dtype).state_dict()
    sharded = load_model(_write(tmp_path / "sharded", config, weights, shards=3), dtype=dtype).state_dict()
    placed = load_model(tmp_path / "sharded", dtype=dtype, device_map={"": "cpu"}).state_dict()
    assert single.keys() == sharded.keys()
    for name, weight in single.items():
        assert weight.dtype == dtype
        assert torch.equal(weight, sharded[name])
        assert torch.equal(weight, placed[name])


def test_a_loaded_model_saves_as_a_native_checkpoint(tmp_path: Path) -> None:
    config = _tiny_config()
    model = load_model(_write(tmp_path / "release", config, _random_weights(config)), dtype=torch.float32)
    model.save_pretrained(tmp_path / "native")
    again, report = InternVLForConditionalGeneration.from_pretrained(tmp_path / "native", output_loading_info=True)
    assert not report["missing_keys"] | report["unexpected_keys"]
    assert json.loads((tmp_path / "native/config.json").read_text())["model_type"] == "internvl"
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_native_checkpoints_still_load_after_a_release_checkpoint(tmp_path: Path) -> None:
    config = _tiny_config("Qwen2")
    load_model(_write(tmp_path / "release", config, _random_weights(config)), dtype=torch.float32)
    native = InternVLForConditionalGeneration(native_config(config))
    native.save_pretrained(tmp_path / "native")
    again, report = InternVLForConditionalGeneration.from_pretrained(tmp_path / "native", output_loading_info=True)
    assert not report["missing_keys"] | report["unexpected_keys"]
    for name, weight in native.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_leftover_rope_buffers_are_ignored(tmp_path: Path) -> None:
    config = _tiny_config("Llama")
    weights = _random_weights(config)
    weights["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    load_model(_write(tmp_path, config, weights), dtype=torch.float32)


def test_image_token_comes_from_the_tokenizer_files(tmp_path: Path) -> None:
    config = _tiny_config()
    _write(tmp_path, config, _random_weights(config))
    assert load_model(tmp_path, dtype=torch.float32).config.image_token_id == -1
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<img>": 41, "<IMG_CONTEXT>": 43}))
    assert load_model(tmp_path, dtype=torch.float32).config.image_token_id == 43


# --- rotary embeddings


def _cosines(config: dict, length: int) -> torch.Tensor:
    text = InternVLForConditionalGeneration(native_config(config)).model.language_model
    return text.rotary_emb(torch.zeros(1, length, 24), torch.arange(length)[None])[0][0, :, : 24 // 6 // 2]


@pytest.mark.parametrize("length", [32, 100])
def test_dynamic_ntk_of_internlm2(length: int) -> None:
    config = _tiny_config("InternLM2")
    config["llm_config"] = {**config["llm_config"], "max_position_embeddings": 64}
    base, head, factor = 1000000.0, 4, 2.0
    if length > 64:
        base *= (factor * length / 64 - (factor - 1)) ** (head / (head - 2))
    angles = torch.outer(torch.arange(length), base ** (-torch.arange(0, head, 2) / head))
    torch.testing.assert_close(_cosines(config, length), angles.cos(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("length", "factors"), [(16, [1.1, 1.3]), (40, [2.0, 3.0])])
def test_su_scaling_of_phi3(length: int, factors: list[float]) -> None:
    frequencies = 1 / (torch.tensor(factors) * 10000.0 ** (torch.arange(0, 4, 2) / 4))
    attention = math.sqrt(1 + math.log(64 / 16) / math.log(16))
    angles = torch.outer(torch.arange(length), frequencies)
    torch.testing.assert_close(_cosines(_tiny_config("Phi3"), length), angles.cos() * attention, atol=1e-4, rtol=0)


# --- bad input


def _drop_weight(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    del weights["mlp1.3.bias"]
    save_file(weights, folder / "model.safetensors")


def _add_weight(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights | {"language_model.adapter.weight": torch.ones(2)}, folder / "model.safetensors")


def _misshape_weight(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights | {"mlp1.1.bias": torch.ones(7)}, folder / "model.safetensors")


def _misshape_wqkv(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    name = "language_model.model.layers.0.attention.wqkv.weight"
    save_file(weights | {name: torch.ones(41, 24)}, folder / "model.safetensors")


def _cut_file(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _only_bin(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").unlink()


def _missing_shard(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").unlink()
    _write(folder, _tiny_config(), weights, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()


def _broken_config(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "config.json").write_text('{"model_type": ')


def _no_config(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_drop_weight, ValueError, "missing model.multi_modal_projector.linear_2.bias"),
        (_add_weight, ValueError, "unexpected .*adapter.weight"),
        (_misshape_weight, ValueError, "linear_1.bias"),
        (_misshape_wqkv, ValueError, "self_attn.q_proj"),
        (_cut_file, ValueError, "model.safetensors is damaged"),
        (_only_bin, ValueError, "as .bin only"),
        (_no_weights, DataError, "neither model.safetensors nor"),
        (_missing_shard, DataError, "model-00002-of-00002.safetensors is missing"),
        (_broken_config, ValueError, "config.json is not valid JSON"),
        (_no_config, DataError, "config.json is missing"),
    ],
)
def test_damaged_checkpoints_are_named(tmp_path: Path, damage: Callable, error: type, message: str) -> None:
    config = _tiny_config()
    weights = _random_weights(config)
    damage(_write(tmp_path, config, weights), weights)
    with pytest.raises(error, match=message):
        load_model(tmp_path, dtype=torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ps_version": "v1"}, "ps_version is 'v1'"),
        ({"pad2square": True}, "pad2square is True"),
        ({"llm_config": {**_TINY_LLMS["Llama"], "architectures": ["MambaForCausalLM"]}}, "'MambaForCausalLM'"),
        ({"llm_config": {**_TINY_LLMS["Phi3"], "rope_scaling": {"type": "yarn"}}}, "'yarn'"),
        ({"vision_config": {**_TINY_VIT_6B, "layer_norm_eps": 1e-5}}, "layer_norm_eps is 1e-05"),
        ({"llm_config": {**_TINY_LLMS["Llama"], "hidden_size": "many"}}, "hidden_size"),
        ({"llm_config": {**_TINY_LLMS["Llama"], "rope_scaling": {"type": "dynamic"}}}, "factor"),
        ({"vision_config": {**_TINY_VIT_6B, "patch_size": None}}, "patch_size"),
    ],
)
def test_settings_that_cannot_be_converted_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        native_config(_tiny_config() | change)


def test_which_configurations_are_in_the_release_layout() -> None:
    assert is_internvl2(_tiny_config())
    assert is_internvl2({"architectures": ["InternVLChatModel"], "llm_config": {}, "vision_config": {}})
    assert not is_internvl2(InternVLConfig().to_dict())
    assert not is_internvl2({"model_type": "qwen2_vl"})
    assert not is_internvl2({"model_type": "internvl_chat"})
