"""Weights in fewer bits: what transformers is told, what is refused and how results are told apart; quantizers are stood in for."""

import importlib.metadata
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny import LLAVA, save_tiny
from torch import nn
from transformers import (
    InternVLForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)
from typer.testing import CliRunner

from stitchvlm import Stitch
from stitchvlm.attention import TAPPED_SDPA
from stitchvlm.cli import app
from stitchvlm.errors import DataError
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.exits.bound import difference
from stitchvlm.families import InternVL, check_quantizable, load_vlm

CLASSES = {
    "qwen2": InternVLForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
    LLAVA: LlavaOnevisionForConditionalGeneration,
}


@pytest.fixture
def bitsandbytes(monkeypatch):
    """A package that says it quantizes on a CPU, and does nothing."""
    version = importlib.metadata.version
    package = SimpleNamespace(supported_torch_devices={"cpu"})
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    monkeypatch.setattr("stitchvlm.families.quantize.is_bitsandbytes_available", lambda: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.49" if name == "bitsandbytes" else version(name))
    return package


@pytest.fixture
def told(monkeypatch):
    """The arguments of every load, by the model's folder; weights are loaded as they are."""
    heard = {}

    def listen(kind):
        load = kind.from_pretrained

        def loading(folder, **options):
            heard[str(folder)] = options
            return load(folder, **{name: value for name, value in options.items() if name != "quantization_config"})

        monkeypatch.setattr(kind, "from_pretrained", loading)

    for kind in CLASSES.values():
        listen(kind)
    return heard


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_every_family_hands_it_to_transformers(tmp_path, bitsandbytes, told, kind, bits):
    folder = str(save_tiny(tmp_path, kind, n_layers=1))
    vlm = load_vlm(folder, torch.bfloat16, "cpu", quantize=bits)
    config = told[folder]["quantization_config"]
    assert (config.load_in_8bit, config.load_in_4bit) == (bits == "int8", bits == "int4")
    if bits == "int4":
        assert config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_compute_dtype == torch.bfloat16
    assert told[folder]["device_map"] == {"": "cpu"} and told[folder]["dtype"] == torch.bfloat16
    assert vlm.model.config.text_config._attn_implementation == TAPPED_SDPA
    linear = {name for name, part in vlm.model.named_modules() if isinstance(part, nn.Linear)}
    decoder = {name for name in linear if name.startswith("model.language_model.layers.")}
    assert "lm_head" in linear - decoder and set(config.llm_int8_skip_modules) == linear - decoder


class Renamed(InternVLForConditionalGeneration):
    """A model whose parts are called as in no other one, with a linear layer of its own beside them."""

    def __init__(self, config):
        super().__init__(config)
        self.bridge = nn.Linear(2, 2)
        self.model.eyes = self.model.vision_tower
        del self.model.vision_tower


class Other(InternVL):
    """A family of that model; nothing but this class knows it."""

    name = "Other"

    def load(self, source, folder, dtype, device_map, quantize=None):
        vlm = super().load(source, folder, dtype, "meta")
        return replace(vlm, model=Renamed(vlm.model.config) if quantize is None else quantize)


def test_a_family_with_other_names_need_not_be_known_elsewhere(tmp_path, bitsandbytes, monkeypatch):
    folder = str(save_tiny(tmp_path, "qwen2", n_layers=1))
    monkeypatch.setattr("stitchvlm.families._BUILT_IN", (Other,))
    kept = load_vlm(folder, device="cpu", quantize="int8").model.llm_int8_skip_modules
    assert {"bridge", "lm_head", "model.eyes.encoder.layer.0.attention.q_proj"} <= set(kept)
    assert not [name for name in kept if name.startswith("model.language_model.layers.")]


def test_only_the_large_model_is_quantized(tiny_pair, bitsandbytes, told):
    vlm = Stitch.from_pretrained(*tiny_pair, device="cpu", quantize="int8")
    small, large = (told[folder] for folder in tiny_pair)
    assert "quantization_config" not in small and large["quantization_config"].load_in_8bit
    assert vlm.cascade.large().vlm.model.config.text_config._attn_implementation == TAPPED_SDPA


def test_without_a_wish_transformers_is_told_nothing(tiny_pair, told):
    Stitch.from_pretrained(*tiny_pair, device="cpu")
    assert not any("quantization_config" in options for options in told.values())


def test_a_missing_package_is_named_before_anything_is_loaded(tiny_pair, told, monkeypatch):
    monkeypatch.setattr("stitchvlm.families.quantize.is_bitsandbytes_available", lambda: False)
    with pytest.raises(ValueError, match="int4 needs the package bitsandbytes: install it, or leave quantize out"):
        Stitch.from_pretrained(*tiny_pair, device="cpu", quantize="int4")
    monkeypatch.setattr("stitchvlm.families.quantize.is_accelerate_available", lambda: False)
    with pytest.raises(ValueError, match="needs the package bitsandbytes and accelerate: install"):
        load_vlm(tiny_pair[1], quantize="int4")
    assert not told


def test_a_device_that_it_does_not_know_is_refused(tiny_pair, bitsandbytes, told):
    bitsandbytes.supported_torch_devices = {"cuda"}
    with pytest.raises(ValueError, match="int8 does not work on cpu with the installed bitsandbytes: choose a GPU"):
        Stitch.from_pretrained(*tiny_pair, device="cpu", quantize="int8")
    assert not told


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_parts_on_disk_are_refused_before_anything_is_loaded(tiny_pair, bitsandbytes, told, bits):
    folder, told_of_disk = tiny_pair[1], f"quantize {bits} does not go with parts on disk: give device_map a device for"
    on_disk = dict.fromkeys(("model.vision_tower", "model.language_model"), "cpu") | {"lm_head": "disk"}
    for ask in (
        lambda: load_vlm(folder, device_map=on_disk | {"model.multi_modal_projector": "cpu"}, quantize=bits),
        lambda: Stitch.from_pretrained(*tiny_pair, device_map=on_disk, quantize=bits, lazy_large=True),
        lambda: load_vlm(folder, device_map={"": "disk"}, quantize=bits),
    ):
        with pytest.raises(ValueError, match=told_of_disk) as refused:
            ask()
        assert not isinstance(refused.value, DataError)
    assert not told


@pytest.mark.parametrize("gpu", [0, "cuda:1"])
def test_parts_on_the_cpu_beside_a_gpu_are_refused(tiny_pair, bitsandbytes, gpu):
    bitsandbytes.supported_torch_devices = {"cpu", "cuda"}
    parts = {"model": gpu, "lm_head": "cpu"}
    with pytest.raises(
        ValueError, match="int4 does not go with parts on the CPU beside others on cuda: give device_map GPUs"
    ):
        check_quantizable(tiny_pair[1], "int4", device_map=parts)
    for fine in ({"model": gpu, "lm_head": 1}, {"model": "cpu", "lm_head": "cpu"}, "cpu", "auto"):
        check_quantizable(tiny_pair[1], "int4", device_map=fine)
    bitsandbytes.supported_torch_devices = {"cuda"}
    with pytest.raises(ValueError, match="int4 does not work on cpu with the installed bitsandbytes"):
        check_quantizable(tiny_pair[1], "int4", device_map="cpu")


def test_where_a_spread_model_does_not_fit_the_advice_is_not_to_fetch_it_alone(tiny_pair, bitsandbytes, monkeypatch):
    """As transformers refuses when accelerate has found no room for all of it."""

    def full(*_, **__):
        raise ValueError("Some modules are dispatched on the CPU or the disk.")

    for kind in CLASSES.values():
        monkeypatch.setattr(kind, "from_pretrained", full)
    with pytest.raises(
        DataError, match="dispatched on the CPU or the disk.*leave quantize out, give it devices with room"
    ):
        load_vlm(tiny_pair[1], device_map="auto", quantize="int8")


def test_other_kinds_are_refused(tiny_pair):
    with pytest.raises(ValueError, match="quantize must be one of int8, int4, not 'int2'"):
        Stitch.from_pretrained(*tiny_pair, device="cpu", quantize="int2")


def test_converted_checkpoints_are_refused(tmp_path, bitsandbytes, tiny_pair):
    parts = {"llm_config": {"num_hidden_layers": 2}, "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "internvl_chat"} | parts), encoding="utf-8")
    with pytest.raises(ValueError, match="converted while they are loaded and cannot be quantized"):
        Stitch.from_pretrained(tiny_pair[0], str(tmp_path), device="cpu", quantize="int8", lazy_large=True)


def test_results_of_other_bits_are_another_run(tiny_pair, tmp_path):
    plain = RunSettings(*tiny_pair, exit="never")
    identities = [replace(plain, quantize=bits).identity("task") for bits in (None, "int8", "int4")]
    assert [identity["quantize"] for identity in identities] == [None, "int8", "int4"]
    path = tmp_path / "results.jsonl"
    with ResultFile(path, identities[1]) as file:
        file.append({"id": "one"})
    with pytest.raises(ValueError, match=r"made with other settings, quantize int8 \(now None\)"):
        ResultFile(path, identities[0])
    assert difference({}, {"quantize": "int8"}) == "quantize None, not 'int8'"


@pytest.mark.parametrize("command", ["ask", "eval", "compare", "bench"])
def test_commands_offer_it(command):
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"]).stdout
    assert "--quantize" in shown and "int8|int4" in shown


def test_a_command_refuses_in_one_sentence(tiny_pair, tmp_path, monkeypatch, capsys):
    from PIL import Image

    from stitchvlm.cli import main

    monkeypatch.setattr("stitchvlm.families.quantize.is_bitsandbytes_available", lambda: False)
    Image.new("RGB", (30, 30)).save(tmp_path / "x.png")
    small, large = tiny_pair
    words = ["ask", str(tmp_path / "x.png"), "Why?", "--small", small, "--large", large, "--quantize", "int4"]
    monkeypatch.setattr(sys, "argv", ["stitch", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and "bitsandbytes" in error and "Traceback" not in error
