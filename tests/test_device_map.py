"""Models whose parts lie on several places: accelerate's hooks fetch weights and move states, and nothing else changes."""

import pytest
import torch
from test_engine import QUESTIONS, picture, random_plan
from tiny import LLAVA, QWEN_VL, save_tiny
from typer.testing import CliRunner

from stitchvlm import Sampling, Stitch, make_question
from stitchvlm.cli import app
from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm

N_LAYERS, N_ANSWER = 4, 5
VISION = {
    "qwen2": ("model.vision_tower", "model.multi_modal_projector"),
    LLAVA: ("model.vision_tower", "model.multi_modal_projector", "model.image_newline"),
    **dict.fromkeys(QWEN_VL, ("model.visual",)),
}
"""What lies beside the language model; LLaVA-OneVision's newline is a weight of no module of its own."""
NEWLINE = pytest.mark.filterwarnings("ignore:The following device_map keys do not match any submodules")


@pytest.fixture(scope="module", params=VISION)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp(kind), kind, n_layers=N_LAYERS))


@pytest.fixture(scope="module")
def plain(folder):
    return Engine(load_vlm(folder, device="cpu"))


def placed(kind: str, on_disk: tuple[str, ...]) -> dict[str, str]:
    """A map by parts, those on disk by the last word of their names; the others on the CPU."""
    language = ["embed_tokens", "rotary_emb", "norm", *(f"layers.{layer}" for layer in range(N_LAYERS))]
    parts = [*VISION[kind], *(f"model.language_model.{part}" for part in language), "lm_head"]
    return {part: "disk" if part.rpartition(".")[2] in on_disk else "cpu" for part in parts}


MAPS = {
    "layers on disk": ("1", "3"),
    "vision and a layer on disk": ("visual", "vision_tower", "multi_modal_projector", "0"),
    "embedding and head on disk": ("embed_tokens", "lm_head", "norm"),
}


def answers(engine, rows: int, proposed=None):
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS[:rows])), random_plan((2, 0.4)), proposed=proposed)
    return prefilled, engine.decode(prefilled, Sampling(N_ANSWER), keep_logits=True)


def check_same(plain: Engine, spread: Engine) -> None:
    """One question, and a padded batch with drafts that are right at first, right to the end, and not there."""
    assert spread.decoder.spread and not plain.decoder.spread
    _, alone = answers(plain, 3)
    drafts = [[*alone.tokens[0][:2], 7], [*alone.tokens[1]][: N_ANSWER - 1], []]
    for rows, proposed in ((1, None), (3, drafts)):
        (before, expected), (after, found) = (answers(engine, rows, proposed) for engine in (plain, spread))
        assert found.tokens == expected.tokens and found.n_accepted == expected.n_accepted
        assert all(torch.equal(a, b) for a, b in zip(before.kept, after.kept, strict=True))
        torch.testing.assert_close(found.logits, expected.logits, rtol=1e-5, atol=1e-5)


@NEWLINE
@pytest.mark.parametrize("on_disk", MAPS.values(), ids=MAPS)
def test_parts_on_disk_change_no_answer(kind, folder, plain, on_disk):
    device_map = placed(kind, on_disk)
    spread = Engine(load_vlm(folder, device_map=device_map))
    absent = {name for name, weight in spread.vlm.model.named_parameters() if weight.is_meta}
    disk = tuple(part for part, place in device_map.items() if place == "disk")
    assert absent == {name for name, _ in spread.vlm.model.named_parameters() if name.startswith(disk)} != set()
    check_same(plain, spread)


def test_all_of_a_model_may_lie_on_disk(folder, plain):
    spread = Engine(load_vlm(folder, device_map={"": "disk"}))
    assert all(weight.is_meta for weight in spread.vlm.model.parameters())
    check_same(plain, spread)


@pytest.mark.parametrize("device_map", ["auto", "sequential", "cpu", {"": "cpu"}], ids=str)
def test_maps_that_need_no_hooks(folder, plain, device_map):
    _, expected = answers(plain, 3)
    _, found = answers(Engine(load_vlm(folder, device_map=device_map)), 3)
    assert found.tokens == expected.tokens and torch.equal(found.logits, expected.logits)


@NEWLINE
def test_a_spread_large_model_is_guided_like_a_whole_one(kind, folder):
    """With the guide map, the draft and tiles that are not encoded; the small model is the same checkpoint, whole."""
    options = {"exit": "never", "keep": 0.4, "layer": 0, "device": "cpu", "sampling": Sampling(N_ANSWER)}
    questions = [make_question("what?", picture(90, 30)), make_question("Why is that?", picture(30, 90, 1))]
    device_map = placed(kind, MAPS["vision and a layer on disk"])
    whole, spread = (
        Stitch.from_pretrained(folder, folder, **options, **more).answer(questions)
        for more in ({}, {"device_map": device_map})
    )
    assert [answer.text for answer in spread] == [answer.text for answer in whole]
    assert [answer.trace.kept for answer in spread] == [answer.trace.kept for answer in whole]
    assert [answer.trace.n_accepted for answer in spread] == [answer.trace.n_accepted for answer in whole]


# Maps that cannot be


def refused(kind, **changed) -> dict:
    return {part: place for part, place in (placed(kind, ()) | changed).items() if place is not None}


BAD_MAPS = [
    ("nearby", "device_map puts the model on 'nearby', which is not here: .* auto, balanced"),
    ({"": "cuda:9"}, "puts the model on 'cuda:9', which is not here: name cpu, disk or one of the 0 CUDA devices"),
    ({"lm_head": 7}, "puts lm_head on 'cuda:7', which is not here"),
    ({"lm_head": "meta"}, "puts lm_head on 'meta', which is not here"),
    ({"lm_head": None}, "device_map has no place for lm_head.weight: name that too"),
    ({}, "device_map has no place for .* and .* more weights: name that too"),
    ({"transformer.h.0": "cpu"}, "names 'transformer.h.0', which the model does not have: .*language_model.layers.0"),
    ({"": "cpu", "model.language_model.layers.1": "disk"}, "layers.1 on disk, and the whole model, .* one by one"),
    ({"": "disk", "lm_head": "cpu"}, "puts lm_head on cpu, and the whole model, of which it is a part, on disk"),
    ({"lm_head.weight": "disk"}, "puts lm_head.weight on disk, from where only whole modules are read"),
]


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts no CUDA devices")
@pytest.mark.parametrize(("device_map", "said"), BAD_MAPS, ids=str)
def test_a_map_that_cannot_be_is_refused_before_weights_are_read(kind, folder, device_map, said, monkeypatch):
    complete = isinstance(device_map, dict) and device_map and "" not in device_map
    monkeypatch.setattr(
        "stitchvlm.families.checkpoint.PreTrainedModel.from_pretrained",
        lambda *_, **__: pytest.fail("weights were read"),
    )
    with pytest.raises(ValueError, match=said) as error:
        load_vlm(folder, device_map=refused(kind, **device_map) if complete else device_map)
    assert type(error.value) is ValueError


def test_a_bad_map_is_found_although_the_large_model_is_lazy(folder):
    with pytest.raises(ValueError, match="puts the model on 'nearby'"):
        Stitch.from_pretrained(folder, folder, device_map="nearby", lazy_large=True)


def test_the_command_line_spreads_and_refuses(folder, tmp_path):
    picture(64, 48).save(tmp_path / "p.png")

    def ask(*options: str):
        pair = ["--small", folder, "--large", folder, "--max-new-tokens", "3", "--json"]
        return CliRunner().invoke(app, ["ask", str(tmp_path / "p.png"), "What?", *pair, *options])

    assert ask("--device-map", "auto", "--device", "cpu").exit_code == 0
    bad = ask("--device-map", "nearby")
    (told,) = bad.stderr.splitlines()
    assert bad.exit_code == 2 and "'nearby'" in told and "'auto', 'balanced'" in told and not bad.stdout
