"""A whole run in miniature: drawing, stages, interruptions, saved models, and what goes wrong."""

import copy
import errno
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from test_engine import picture

from stitchvlm import Stitch
from stitchvlm.errors import DataError
from stitchvlm.families import load_vlm
from stitchvlm.training import cache, checkpoint, language, train
from stitchvlm.training.__main__ import main
from stitchvlm.training.checkpoint import load_state, save_state
from stitchvlm.training.fonts import find_fonts
from stitchvlm.training.generator import draw_scene
from stitchvlm.training.grid import TILES
from stitchvlm.training.guiding import Guide
from stitchvlm.training.language import FeatureBank
from stitchvlm.training.loop import Budget, Deadline, run_stage
from stitchvlm.training.optim import rate_at
from stitchvlm.training.pipeline import Pipeline, compile_layers
from stitchvlm.training.recipe import adapt
from stitchvlm.training.recipes import RECIPES
from stitchvlm.training.saved import load_saved

NEVER = Deadline(None)


@pytest.fixture
def out(tiny_world, tmp_path):
    """An output folder in which the pictures are drawn already."""
    shutil.copytree(tiny_world, tmp_path / "out" / "data")
    return tmp_path / "out"


@pytest.fixture
def no_fonts(tmp_path):
    (tmp_path / "fonts").mkdir()
    return tmp_path / "fonts"


def weights(folder):
    return load_state(folder / "last.pt")["module"]


class Forgetful(FeatureBank):
    """A bank that computes a batch's features all at once, always: which ones are known would change their rounding."""

    def features(self, chosen):
        self._kept.clear()
        return super().features(chosen)


def test_an_interrupted_run_ends_with_the_same_weights(make_pipeline, stop_after, tmp_path, monkeypatch):
    monkeypatch.setattr(language, "FeatureBank", Forgetful)
    assert make_pipeline(tmp_path / "whole").run(NEVER)
    pieces, finished = 0, False
    while not finished:
        finished = make_pipeline(tmp_path / "pieces").run(stop_after(3))
        pieces += 1
    assert pieces > 3
    whole, pieced = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    assert whole.keys() == pieced.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, pieced[name]), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tracing, torch warns of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_a_compiled_tower_learns_the_same(tiny_world, make_pipeline, tmp_path):
    plain = make_pipeline(tmp_path / "plain")
    stage = plain.recipe.stages["small"][0]
    compiled = Pipeline("small", plain.recipe, tiny_world, tmp_path / "compiled", 7, torch.device("cpu"))
    compile_layers(compiled.model)
    losses = [each._tower_loss(each._reader, stage)(0, 0.0)[0] for each in (plain, compiled)]
    for loss in losses:
        loss.backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=2e-3)
    first, second = (dict(each._reader.named_parameters()) for each in (plain, compiled))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        if weight.grad is not None:
            assert torch.allclose(weight.grad, second[name].grad, atol=0.03 * weight.grad.abs().max().item()), name


def test_the_small_model_guides_the_large_one(out, no_fonts, monkeypatch, tokenizer, capsys):
    """The large model's lessons ask the finished small one of their pair; where there is none, they say so and go on."""
    lesson = replace(RECIPES["tiny"].stages["large"][0].lesson, dropped_share=1.0, guided_share=1.0)
    stages = {"large": tuple(replace(stage, lesson=lesson) for stage in RECIPES["tiny"].stages["large"])}
    monkeypatch.setitem(RECIPES, "tiny", replace(RECIPES["tiny"], stages=RECIPES["tiny"].stages | stages))
    asked, looks = [], Guide.looks
    monkeypatch.setattr(Guide, "looks", lambda self, *given: asked.append(self) or looks(self, *given))
    common = {"fonts": no_fonts, "workers": 1, "device": "cpu"}
    assert train("tiny", out, **common)
    small = load_saved(out / "pair" / "small", tokenizer).state_dict()
    assert len(asked) >= 8 and len({id(guide) for guide in asked}) == len(stages["large"])
    for name, weight in asked[-1].model.state_dict().items():
        assert torch.equal(weight, small[name]), name
    assert "no smaller model" not in capsys.readouterr().out
    shutil.rmtree(out / "pair" / "small")
    (out / "large" / "last.pt").unlink()
    before = len(asked)
    assert train("tiny", out, only="large", **common)
    assert len(asked) > before and "no smaller model" not in capsys.readouterr().out
    alone = out.parent / "alone"
    shutil.copytree(out / "data", alone / "data")
    assert train("tiny", alone, only="large", init_from=out / "pair" / "large", **common)
    assert "no smaller model that could guide" in capsys.readouterr().out


def test_the_saved_pair_loads_and_answers(out, no_fonts):
    assert train("tiny", out, fonts=no_fonts, workers=1, device="cpu")
    small, large = (str(out / "pair" / which) for which in ("small", "large"))
    assert [load_vlm(f, device="cpu").model.config.text_config.num_hidden_layers for f in (small, large)] == [3, 4]
    vlm = Stitch.from_pretrained(small=small, large=large, device="cpu")
    answer = vlm("What is written on the red circle?", image=picture(640, 480))
    assert isinstance(answer.text, str) and answer.trace.n_visual == 320


def test_a_saved_pair_is_taken_up_without_its_training_state(out, no_fonts, tmp_path, capsys):
    common = {"only": "small", "fonts": no_fonts, "workers": 1, "device": "cpu"}
    assert train("tiny", out, **common)
    for name in ("tower", "find", "wide", "last"):
        (out / "small" / f"{name}.pt").unlink()
    capsys.readouterr()
    assert train("tiny", out, init_from=out / "pair", **common)
    assert not (out / "small" / "wide.pt").exists() and (out / "small" / "last.pt").exists()
    assert "no fonts under" in capsys.readouterr().out
    shutil.rmtree(out / "small")
    with pytest.raises(ValueError, match="no stage 'fin'"):
        train("tiny", out, init_from=out / "pair", begin="fin", **common)
    with pytest.raises(ValueError, match="other sizes than the large one"):
        train("tiny", out, init_from=out / "pair" / "small", **(common | {"only": "large"}))
    with pytest.raises(ValueError, match="holds no model to begin with"):
        train("tiny", out, init_from=tmp_path, **common)


def test_the_large_model_grows_out_of_a_small_one_on_disk(out, no_fonts, tmp_path):
    """The same large model, whether the small one's training state is there or only the model itself, but for bfloat16."""
    common = {"fonts": no_fonts, "workers": 1, "device": "cpu"}
    assert train("tiny", out, only="small", **common)
    saved = tmp_path / "saved"
    shutil.copytree(out / "pair" / "small", saved / "small")
    for pair in ("small", "pair"):
        shutil.rmtree(out / pair)
    assert train("tiny", out, only="large", init_from=saved, **common)
    assert load_vlm(str(out / "pair" / "large"), device="cpu").model.config.text_config.num_hidden_layers == 4
    begun = Pipeline("large", RECIPES["tiny"], out / "data", tmp_path / "large", 7, torch.device("cpu"))
    begun.grow_from(
        Pipeline("small", RECIPES["tiny"], out / "data", tmp_path / "small", 7, torch.device("cpu")), saved / "small"
    )
    weights = load_vlm(str(saved / "small"), device="cpu", dtype=torch.float32).model.state_dict()
    grown = begun.model.state_dict()
    same = [name for name in weights if "embed" in name or "vision" in name]
    assert same and all(torch.equal(grown[name], weights[name]) for name in same)


def test_a_model_with_another_tokenizer_is_refused(make_pipeline, tmp_path):
    pipeline = make_pipeline(tmp_path / "state")
    pipeline.save(tmp_path / "saved")
    pipeline.tokenizer = copy.deepcopy(pipeline.tokenizer)
    pipeline.tokenizer.add_tokens(["novel"])
    with pytest.raises(ValueError, match="another tokenizer"):
        pipeline.begin_with(tmp_path / "saved", "find")


@pytest.mark.parametrize("broken", ["no safetensors", "other heads", "other sizes"])
def test_heads_of_another_tower_are_refused(make_pipeline, tmp_path, broken):
    pipeline = make_pipeline(tmp_path / "state")
    pipeline.save(tmp_path / "saved")
    heads = {name: weight.clone() for name, weight in pipeline._reader.own_weights().items()}
    if broken == "other heads":
        heads["heads.more"] = heads.pop("heads.bias")
    elif broken == "other sizes":
        heads["heads.bias"] = heads["heads.bias"][:-1].clone()
    save_file(heads, tmp_path / "saved-heads.safetensors")
    if broken == "no safetensors":
        (tmp_path / "saved-heads.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="saved-heads.safetensors does not hold the heads of this tower"):
        pipeline.begin_with(tmp_path / "saved", "find")


def test_minutes_bound_the_drawing_of_pictures_too(tiny_world, tmp_path, no_fonts, capsys):
    out = tmp_path / "out"
    assert not train("tiny", out, minutes=0, fonts=no_fonts, workers=1, device="cpu")
    assert not list((out / "data").glob("*.json")) and not (out / "pair").exists()


def test_drawing_goes_on_with_the_missing_shards(tmp_path, monkeypatch, stop_after, log, capsys):
    monkeypatch.setattr(cache, "SHARD_PICTURES", 2)
    style = RECIPES["scenes"].pictures["small"].style

    def draw(deadline: Deadline) -> bool:
        return cache.render_set(tmp_path, "small", 6, 1, style, ("",), 1, deadline, log)

    assert not draw(stop_after(2))
    drawn = {path: path.stat().st_mtime_ns for path in tmp_path.glob("small-*")}
    assert len(drawn) == 6 and draw(NEVER)
    assert all(path.stat().st_mtime_ns == before for path, before in drawn.items())
    assert len(cache.PictureSet(tmp_path, "small")) == 6
    assert '"drawn": "small", "pictures": 6, "of": 6' in capsys.readouterr().out.splitlines()[-1]


def test_a_shard_holds_what_the_generator_draws(tmp_path, monkeypatch):
    style = RECIPES["scenes"].pictures["small"].style
    monkeypatch.setattr(cache, "SHARD_PICTURES", 2)
    cache.render_shard(tmp_path, "small", 0, 1, style, ("",))
    first = cache.PictureSet(tmp_path, "small")
    picture, scene, _ = draw_scene("1/small/1", ("",), style)
    assert first.truth(1) == scene and (first.tiles(1) == TILES.pixels(picture)).all()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"no state"])
def test_a_torn_checkpoint_is_one_sentence(tmp_path, damage):
    path = tmp_path / "find.pt"
    save_state(path, {"module": {}, "optimizers": [], "step": 1, "seconds": 0.0})
    assert load_state(path)["step"] == 1 and load_state(tmp_path / "none.pt") is None
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"find.pt is broken: delete it, and its stage begins anew$"):
        load_state(path)


def test_a_checkpoint_of_another_recipe_is_one_sentence(make_pipeline, tmp_path):
    state = {"module": {"weight": torch.zeros(1)}, "optimizers": [], "step": 1, "seconds": 0.0}
    save_state(tmp_path / "state" / "find.pt", state)
    with pytest.raises(ValueError, match="find.pt belongs to another recipe: choose another folder$"):
        make_pipeline(tmp_path / "state").run(NEVER)


def test_a_full_disk_is_one_sentence_and_keeps_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "find.pt"
    state = {"module": {}, "optimizers": [], "step": 1, "seconds": 0.0}
    save_state(path, state)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.Path, "write_bytes", fail)
    with pytest.raises(DataError, match="no space left to write .*find.pt: free some"):
        save_state(path, state | {"step": 2})
    assert load_state(path)["step"] == 1 and [p.name for p in tmp_path.iterdir()] == ["find.pt"]


def test_a_loss_that_is_no_number_spoils_nothing(tmp_path, log):
    module = torch.nn.Linear(1, 1)

    def loss_at(step, progress):
        return module.weight.sum() * (1.0 if step < 2 else torch.nan), {}

    path = tmp_path / "stage.pt"
    assert run_stage("stage", module, loss_at, Budget(2, save_every_seconds=0.0), path, log, NEVER)
    before = load_state(path)["module"]["weight"].clone()
    with pytest.raises(
        DataError, match="the loss at step 2 is nan: what was learned until the last checkpoint is safe"
    ):
        run_stage("stage", module, loss_at, Budget(9, save_every_seconds=0.0), path, log, NEVER)
    assert torch.equal(load_state(path)["module"]["weight"], before) and torch.equal(module.weight.data, before)


def test_wrong_requests_are_one_sentence_each(out, no_fonts, monkeypatch):
    with pytest.raises(ValueError, match="no recipe 'novel': choose one of qwen2_vl, receipts, scenes, tiny"):
        train("novel", out)
    with pytest.raises(ValueError, match="no model 'middle': choose small or large"):
        train("tiny", out, only="middle")
    with pytest.raises(ValueError, match="'wide' needs weights to begin with"):
        train("tiny", out, begin="wide")
    for wrong, told in (({"scale": 0}, "0, 1.0 and 1.0"), ({"pictures": 0.0}, "1, 1.0 and 0.0")):
        with pytest.raises(ValueError, match=f"positive, not {told}"):
            train("tiny", out, **wrong)
    with pytest.raises(ValueError, match="nowhere is no folder: name one with a saved pair"):
        train("tiny", out, init_from=out / "nowhere")
    with pytest.raises(ValueError, match="nowhere is no folder of fonts"):
        find_fonts(out / "nowhere")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(
            ValueError, match="needs a C\\+\\+ compiler and none is found: install one, or train without"
        ):
            train("tiny", out, compiled=True)
    save_state(out / "small" / "tower.pt", {})
    with pytest.raises(ValueError, match="already holds training state"):
        train("tiny", out, resume=False, fonts=no_fonts)


def test_the_module_ends_with_a_code_and_one_sentence(tiny_world, tmp_path, no_fonts, monkeypatch, capsys):
    def end(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["training", "--out", str(tmp_path / "out"), *words])
        return main()

    monkeypatch.setitem(RECIPES, "scenes", RECIPES["tiny"])
    assert end("--fonts", str(no_fonts), "--workers", "1", "--minutes", "0") == 3
    assert end("--fonts", str(tmp_path / "none")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training: ") and "is no folder of fonts" in line


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_stage_is_of_one_model_and_its_rate_rises_and_falls_as_it_says(name):
    """`--begin` goes by a stage's name; a stage that is shorter than its warm-up would end at its highest rate."""
    stages = [stage for of_model in RECIPES[name].stages.values() for stage in of_model]
    assert len({stage.name for stage in stages}) == len(stages)
    for budget in (stage.budget for stage in stages if stage.budget.steps):
        at = [(budget.progress(step, 0.0), step) for step in range(budget.steps)]
        rates = [rate_at(*when, budget.peak_rate, budget.warmup, budget.decay_from) for when in at]
        assert max(rates) > 0.75 * budget.peak_rate
        assert rates[-1] < 0.05 * budget.peak_rate or budget.decay_from == 1.0


@pytest.mark.parametrize("name", ["scenes", "receipts"])
def test_scale_and_pace_multiply_batches_and_budgets(name):
    before, after = RECIPES[name], adapt(RECIPES[name], scale=4, pace=0.5, pictures=3)
    counts = [{name: own.count for name, own in recipe.pictures.items()} for recipe in (before, after)]
    assert counts[1] == {name: n if name.endswith("-check") else 3 * n for name, n in counts[0].items()}
    for which, stages in before.stages.items():
        for old, new in zip(stages, after.stages[which], strict=True):
            assert new.tiles_a_step == 4 * old.tiles_a_step
            assert (new.budget.minutes or new.budget.steps) == (old.budget.minutes or old.budget.steps) / 2
            assert (new.lesson and new.lesson.most_tiles) == (
                old.lesson and old.lesson.most_tiles and 4 * old.lesson.most_tiles
            )
            assert (new.lesson and new.lesson.pictures) == (old.lesson and 4 * old.lesson.pictures)


def test_the_large_model_begins_as_the_small_one(make_pipeline, stop_after, tmp_path):
    small, large = make_pipeline(tmp_path / "small"), make_pipeline(tmp_path / "large", "large")
    small.run(stop_after(8))
    with pytest.raises(ValueError, match="grows out of the small one, which is not finished: train that first"):
        large.grow_from(small)
    assert small.run(NEVER)
    large.grow_from(make_pipeline(tmp_path / "small"))
    ids = torch.arange(40, 90)[None]
    with torch.no_grad():
        grown, before = (p.model.eval()(input_ids=ids).logits for p in (large, small))
    assert torch.allclose(grown, before, atol=1e-5)


def test_the_large_model_waits_for_the_small_one(out, no_fonts):
    common = {"fonts": no_fonts, "workers": 1, "device": "cpu"}
    with pytest.raises(ValueError, match="train that first"):
        train("tiny", out, only="large", **common)
