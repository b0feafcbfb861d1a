"""A whole InternVL2 folder - config, weights, sentencepiece model - answers through the front door."""

import gc
import json
import tempfile

import numpy as np
import pytest
import torch
from PIL import Image
from test_internvl2_checkpoint_tokenizer import _internlm2 as write_tokenizer
from test_internvl2_checkpoint_weights import _random_weights, _tiny_config, _write
from test_pairs_of_families import check_drafts, check_placeholder, save, spelling
from tiny import LLAVA

from stitchvlm import Sampling, Stitch, make_question
from stitchvlm.families import load_vlm
from stitchvlm.inspection import inspect_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("internvl2")
    _, tokens, _ = write_tokenizer(folder)
    config = _tiny_config()
    config["llm_config"] = {
        **config["llm_config"],
        "vocab_size": max(tokens.values()) + 1,
        "max_position_embeddings": 4096,
    }
    _write(folder, config, _random_weights(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 92543]}))
    return folder


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def test_it_guides_itself_and_answers(folder):
    vlm = Stitch.from_pretrained(
        str(folder), str(folder), exit="never", keep=0.3, layer=1, device="cpu", sampling=Sampling(4)
    )
    answer = vlm("What is it?", image=picture(640, 480))
    n_tiles = 12 + 1  # 4:3 is met exactly by 4 x 3 tiles, and a thumbnail follows
    assert answer.trace.n_visual == n_tiles * 4 and answer.trace.kept_per_layer == (52, int(0.3 * 52))
    ids = vlm.cascade.large().prepare([make_question("What is it?", picture(640, 480))]).token_ids[0].tolist()
    assert ids[0] == 1 and ids.count(1) == 1, "InternLM2 puts one BOS in front"
    assert ids.count(vlm.cascade.large().vlm.placeholder_id) == 52


def test_it_answers_from_disk_all_the_same(folder, tmp_path, monkeypatch):
    """Weights that the release fuses are split on the way, so that disk holds them once more as long as the model lives."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    question = make_question("What is it?", picture(640, 480))

    def answered(**placement) -> str:
        options = {"exit": "never", "keep": 0.3, "layer": 1, "device": "cpu", "sampling": Sampling(4)}
        vlm = Stitch.from_pretrained(str(folder), str(folder), **options, **placement)
        assert all(weight.is_meta == bool(placement) for weight in vlm.cascade.large().vlm.model.parameters())
        assert bool(list(tmp_path.iterdir())) == bool(placement)
        return vlm.answer([question])[0].text

    from_disk = answered(device_map={"": "disk"})
    gc.collect()
    assert from_disk == answered(), "and the folder is gone"


def test_the_templates_stop_token_ends_an_answer_whatever_the_generation_config_says(folder):
    vlm = load_vlm(str(folder), device="cpu")
    assert vlm.tokenizer.convert_tokens_to_ids("<|im_end|>") in vlm.stop_ids and 2 in vlm.stop_ids


def test_a_checkpoint_without_dynamic_tiles_sees_one(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"dynamic_image_size": False}))
    vlm = load_vlm(str(tmp_path), device="cpu")
    assert vlm.family.prepare(vlm, [make_question("?", picture(640, 480))], None).layouts[0].n_visual == 4


def test_it_is_inspected_without_its_weights(folder, tmp_path):
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    told = inspect_checkpoint(str(tmp_path), (640, 480), 0.3, layer=1)
    assert told.family == "InternVL" and told.kept_per_layer == (52, int(0.3 * 52))
    assert (told.detail.tile_columns, told.detail.tile_rows, told.n_tiles) == (4, 3, 13)


@pytest.mark.parametrize("guides", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["internvl", "qwen2_vl", LLAVA])
def test_it_goes_together_with_other_families(folder, tmp_path, kind, guides):
    """Drafts cross between its sentencepiece tokenizer and the bytes of the others."""
    other = spelling(load_vlm(save(tmp_path, kind, n_layers=2, seed=1), torch.float32, "cpu"))
    own = spelling(load_vlm(str(folder), torch.float32, "cpu"))
    small, large = (own, other) if guides else (other, own)
    check_drafts(small, large, 0)
    if kind != "internvl":  # which has the same placeholder, left out where a draft becomes text
        check_placeholder(small.vlm, large.vlm)
