"""``stitch models`` and ``stitch inspect``: what is told without weights is what the loaded model does."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from layouts import anyres
from test_cli import sentence, stitch
from test_engine import picture
from tiny import LLAVA, save_tiny, save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.families import Family, InternVL, available_families, load_hollow, load_vlm
from stitchvlm.families.known import known_lines, known_pairs
from stitchvlm.inspection import View, inspect_checkpoint, parse_size
from stitchvlm.methods import Guided
from stitchvlm.passes import Plan
from stitchvlm.records import Question


class Anything(InternVL):
    name = "anything"

    def matches(self, config):
        return True


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    """The small files of a checkpoint alone."""
    folder = save_tiny_internvl(tmp_path_factory.mktemp("hollow"), "llama", n_layers=8, seed=2, max_patches=6)
    whole = shutil.copytree(folder, tmp_path_factory.mktemp("whole") / "model")
    (folder / "model.safetensors").unlink()
    return str(folder), str(whole)


@pytest.mark.parametrize(("size", "most"), [((300, 200), None), ((300, 200), 2), ((64, 48), None)])
@pytest.mark.parametrize(("keep", "layer"), [("35%", None), (0.5, 3), ("100%", None)])
def test_it_tells_what_the_model_does(hollow, size, most, keep, layer):
    told = inspect_checkpoint(hollow[0], size, keep, layer, most)
    engine = Engine(load_vlm(hollow[1], torch.float32, "cpu"))
    inputs = engine.prepare([Question("What is this?", (picture(*size),))], most)
    (layout,) = inputs.layouts
    share = float(keep[:-1]) / 100 if isinstance(keep, str) else keep
    plan = Plan(Guided().scheduler(share, layer)(8), Guided(), [torch.rand(layout.n_visual)])
    prefilled = engine.prefill(engine.embed(inputs), plan)
    assert told.kept_per_layer == prefilled.kept_per_layer(0) and told.n_kept == len(prefilled.kept[0])
    assert (told.n_visual, told.n_tiles, told.n_layers) == (layout.n_visual, layout.n_tiles, 8)
    assert told.average_retention == pytest.approx(plan.schedule.average_retention(8, layout.n_visual))
    assert told.detail.tile_columns * told.detail.tile_rows + (told.overview is not None) == told.n_tiles
    assert told.detail.columns == 2 * told.detail.tile_columns and told.detail.n_tokens == 4 * told.n_tiles - 4 * (
        told.overview is not None
    )


@pytest.fixture(scope="module", params=["llama", "qwen3_vl", LLAVA])
def of_a_family(request, tmp_path_factory):
    """The kind, its folder, and the model."""
    folder = str(save_tiny(tmp_path_factory.mktemp(request.param), request.param))
    return request.param, folder, Engine(load_vlm(folder, torch.float32, "cpu"))


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (1, 200), (300, 200)])
def test_every_family_tells_what_its_model_does(of_a_family, size):
    """Thin pictures too: of those LLaVA-OneVision cuts all tokens of the crops off as padding."""
    kind, folder, engine = of_a_family
    told = inspect_checkpoint(folder, size, 0.35, 2)
    inputs = engine.prepare([Question("What is this?", (picture(*size),))])
    (layout,) = inputs.layouts
    plan = Plan(Guided().scheduler(0.35, 2)(4), Guided(), [torch.rand(layout.n_visual)])
    assert told.kept_per_layer == engine.prefill(engine.embed(inputs), plan).kept_per_layer(0)
    assert told.n_visual == len(engine.vlm.family.encode(engine.vlm, inputs))
    encoded = engine.vlm.family.encoded_tiles(engine.vlm, inputs, [torch.arange(layout.n_visual)])
    assert told.n_tiles == sum(map(len, encoded))
    shown = [
        (coarse, round(x, 5), round(y, 5))
        for coarse, (x, y, right, bottom) in zip(layout.coarse_mask.tolist(), layout.box.tolist(), strict=True)
        if right > x and bottom > y
    ]
    for view, is_coarse in ((told.detail, False), (told.overview, True)):
        corners = [(x, y) for coarse, x, y in shown if coarse == is_coarse]
        assert (view is None) == (not corners)
        if view is not None:
            assert view.n_tokens == len(corners)
            assert (view.columns, view.rows) == tuple(len(set(axis)) for axis in zip(*corners, strict=True))
    assert (told.detail is None) == (kind == LLAVA and 200 in size and 1 in size)


def test_a_picture_too_thin_for_details_is_told_of(tmp_path):
    folder = str(save_tiny(tmp_path, LLAVA))
    told = json.loads(stitch("inspect", folder, "--image-size", "1x200", "--json").stdout)
    assert told["detail"] is None and told["overview"]["n_tokens"] == 16 and told["tiles"] == 1
    assert "nothing, the picture is too thin" in stitch("inspect", folder, "--image-size", "1x200").stdout


def test_a_hollow_model_holds_no_memory(hollow):
    vlm = load_hollow(hollow[0])
    assert {parameter.device.type for parameter in vlm.model.parameters()} == {"meta"}


def test_crops_and_newlines_are_told_apart():
    layout = anyres(3, 2, 4, cut_off=1)
    assert View.of(layout, ~layout.coarse_mask & ~layout.structural_mask) == View(72, 12, 6, 3, 2)
    assert View.of(layout, layout.coarse_mask) == View(16, 4, 4, 1, 1)


def test_inspect_for_programs_and_for_people(hollow):
    told = json.loads(stitch("inspect", hollow[0], "--image-size", "300x200", "--keep", "35%", "--json").stdout)
    assert told["family"] == "InternVL" and told["layers"] == 8 and told["image_size"] == [300, 200]
    assert told["visual_tokens"] == 28 and told["tiles"] == 7 and told["overview"]["n_tokens"] == 4
    assert told["detail"] == {"n_tokens": 24, "columns": 6, "rows": 4, "tile_columns": 3, "tile_rows": 2}
    assert told["pruned_before_layer"] == 1 and told["kept"] == 7 and told["kept_per_layer"] == [28] + [7] * 7
    shown = stitch("inspect", hollow[0], "--image-size", "300x200", "--keep", "35%").stdout
    for words in (
        "InternVL, 8 layers",
        "28 visual tokens in 7 tiles",
        "6 x 4 tokens in 3 x 2 tiles",
        "from layer 1 on 7",
    ):
        assert words in shown
    assert "all stay in every layer" in stitch("inspect", hollow[0], "--keep", "1").stdout


def test_the_embedded_pair_is_inspected_unless_told_otherwise():
    told = json.loads(stitch("inspect", "--json").stdout)
    assert told["checkpoint"] == "embedded:large" and told["kept"] == 28 and told["visual_tokens"] == 320


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--image-size", "big"], "such as 1344x896, not 'big'"),
        (["--image-size", "0x5"], "not '0x5'"),
        (["--image-size", "-3x5"], "not '-3x5'"),
        (["--image-size", "20000x10000"], "100 million pixels"),
        (["--keep", "0"], "keep must be a share in (0, 1]"),
        (["--keep", "mass=0.8"], "depends on the question"),
        (["--layer", "8"], "layer 8 is beyond the model, which has layers 0 to 7"),
        (["--max-tiles", "0"], "max_tiles must be at least 1, not 0"),
    ],
)
def test_a_bad_setting_is_one_sentence(hollow, options, names):
    assert names in sentence(stitch("inspect", hollow[0], *options), 2)


def test_a_bad_checkpoint_is_one_sentence(hollow, tmp_path):
    assert "has no config.json" in sentence(stitch("inspect", str(tmp_path)), 2)
    assert "neither a folder" in sentence(stitch("inspect", "/no/such/model"), 2)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 2}')
    told = sentence(stitch("inspect", str(tmp_path)), 2)
    assert "bert" in told and all(family.name in told for family in available_families())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "bert" in sentence(stitch("inspect", str(tmp_path)), 2)
    broken = shutil.copytree(hollow[0], tmp_path / "broken")
    (broken / "preprocessor_config.json").unlink()
    assert str(broken) in sentence(stitch("inspect", str(broken)), 1)


def test_a_hub_id_that_is_not_here_is_one_sentence(monkeypatch):
    """Weights are not even asked for."""
    asked = []

    def absent(source, allow_patterns):
        asked.extend(allow_patterns)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", absent)
    assert "the hub does not give it (no network)" in sentence(stitch("inspect", "some/model"), 1)
    assert "*.json" in asked and not any("safetensors" in pattern for pattern in asked)


def test_sizes_are_read_in_both_spellings():
    assert parse_size("1344x896") == parse_size(" 1344 X 896 ") == parse_size("1344×896") == (1344, 896)


@pytest.mark.parametrize("columns", ["160", "60"])
def test_models_are_listed_for_people(columns):
    from typer.testing import CliRunner

    from stitchvlm.cli import app

    shown = CliRunner(env={"COLUMNS": columns}).invoke(app, ["models"])
    words = shown.stdout.replace("\n", " ").split()
    assert shown.exit_code == 0 and "…" not in shown.stdout
    for family in available_families():
        assert family.name in words
    assert "OpenGVLab/InternVL2-2B" in words and "embedded:large:" in words
    pair = "--small OpenGVLab/InternVL2-2B --large OpenGVLab/InternVL2-Llama3-76B"
    assert pair in shown.stdout, "a pair is one line that can be copied"


def test_models_are_listed_for_programs():
    told = json.loads(stitch("models", "--json").stdout)
    assert set(told["families"]) == {family.name for family in available_families()}
    assert told["families"]["InternVL"]["InternVL2"][-1] == "OpenGVLab/InternVL2-Llama3-76B"
    paper = {"small": "OpenGVLab/InternVL2-2B", "large": "OpenGVLab/InternVL2-26B", "source": "arXiv 2412.03324"}
    assert paper in told["pairs"] and Path(told["embedded"]["embedded:small"], "config.json").is_file()


def test_only_what_a_family_drives_is_listed():
    class Qwen(Family):
        name = "Qwen-VL"

        def matches(self, config):
            return config.get("model_type") in ("qwen2_vl", "qwen3_vl")

    Qwen.__abstractmethods__ = frozenset()
    lines = known_lines([Qwen()])
    assert [line.name for _, line in lines] == ["Qwen2-VL", "Qwen3-VL"] and not known_lines([])
    assert [pair.small for pair in known_pairs([Qwen()])] == ["Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen3-VL-2B-Instruct"]
    everything = known_pairs([Anything()])
    assert len(everything) == 12 and len({(pair.small, pair.large) for pair in everything}) == 12
    listed = {checkpoint for _, line in known_lines([Anything()]) for checkpoint in line.checkpoints}
    assert all({pair.small, pair.large} <= listed for pair in everything)


def test_it_tells_that_margins_are_cut_off():
    """Of the pair that reads documents, whose processor asks for it; of a blank page it could not be seen."""
    for source, cuts in (("embedded:documents-small", True), ("embedded:small", False)):
        assert inspect_checkpoint(source, (900, 2000)).cuts_margins == cuts
        assert ("margins" in stitch("inspect", source).output) == cuts
