"""Options that do nothing on the model at hand: refused where that is sure, told of where it depends on the question."""

import json
import warnings

import pytest
from test_engine import picture
from tiny import LLAVA, save_tiny
from typer.testing import CliRunner, Result

from stitchvlm import Stitch, make_question
from stitchvlm.cli import app
from stitchvlm.errors import RequestWarning, UnsuitableMethodError
from stitchvlm.methods import Guided
from stitchvlm.sampling import Sampling

INTERNVL, QWEN = "qwen2", "qwen2_vl"
QUICK = ["--device", "cpu", "--max-new-tokens", "3"]
ONE, TWO = (make_question("What is it?", [picture(84, 56, n) for n in range(count)]) for count in (1, 2))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """By kind the same tiny model as small and large one."""
    root, made = tmp_path_factory.mktemp("idle"), {}

    def of(kind: str) -> list[str]:
        if kind not in made:
            made[kind] = str(save_tiny(root / kind, kind, n_layers=3))
        return [made[kind]] * 2

    return of


@pytest.fixture
def run(pair, tmp_path):
    """A command with a tiny pair; ``ask`` is about one picture."""

    def invoke(command: str, kind: str, *options: str) -> Result:
        small, large = pair(kind)
        picture(84, 56).save(tmp_path / "p.png")
        about = {"ask": [str(tmp_path / "p.png"), "What is it?"], "bench": ["--rounds", "1"]}.get(command, ["scenes"])
        arguments = [command, *about, "--small", small, "--large", large, *QUICK, *options]
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)

    return invoke


def stitch(pair: list[str], **options) -> Stitch:
    return Stitch.from_pretrained(*pair, device="cpu", exit="never", keep=0.3, sampling=Sampling(3), **options)


@pytest.mark.parametrize("kind", [INTERNVL, LLAVA])
def test_a_crop_of_pictures_that_are_cut_is_refused_before_anything_is_loaded(pair, run, kind, monkeypatch):
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(
        UnsuitableMethodError, match="crop encodes only .* cannot: leave it out, or use skip_tiles=true"
    ):
        stitch(pair(kind), method=Guided(crop=True))
    for command in ("ask", "bench"):
        done = run(command, kind, "--option", "crop=true")
        (line,) = done.stderr.splitlines()
        assert done.exit_code == 2 and not done.stdout and line.startswith("stitch: crop encodes only")


def test_a_crop_of_a_picture_that_is_seen_whole_is_served(run):
    assert run("ask", QWEN, "--option", "crop=true").exit_code == 0


@pytest.mark.parametrize("option", ["tile_budget=2", "tile_mass=0.9", "skip_tiles=true"])
@pytest.mark.parametrize(
    ("kind", "limit", "said"),
    [
        (QWEN, [], "Qwen-VL models see a picture as one: leave it out or use crop=true"),
        (INTERNVL, ["--max-tiles", "1"], "with max_tiles 1 a picture is one: leave it out, or allow more tiles"),
        (LLAVA, ["--max-tiles", "1"], "with max_tiles 1 a picture is one: leave it out, or allow more tiles"),
    ],
)
def test_limits_of_tiles_are_refused_where_one_picture_is_one_tile(run, kind, limit, said, option, monkeypatch):
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    for command in ("ask", "bench"):
        done = run(command, kind, "--option", option, *limit)
        (line,) = done.stderr.splitlines()
        assert done.exit_code == 2 and not done.stdout
        assert line == f"stitch: {option.partition('=')[0]} chooses among tiles, and {said}" + (
            ", which encodes a part of it" if kind == QWEN else ""
        )


def test_several_of_them_are_named_together(run):
    done = run("ask", QWEN, "--option", "tile_budget=2", "--option", "tile_mass=0.5")
    assert "tile_budget and tile_mass choose among tiles" in done.stderr and "leave them out" in done.stderr


@pytest.mark.parametrize(("kind", "limit"), [(INTERNVL, []), (INTERNVL, ["--max-tiles", "3"]), (LLAVA, [])])
def test_limits_of_tiles_are_served_where_pictures_may_be_cut(run, kind, limit):
    done = run("ask", kind, "--option", "tile_budget=2", "--json", *limit)
    assert done.exit_code == 0 and not done.stderr and json.loads(done.stdout)["tiles"]["encoded"] <= 2


def test_a_task_whose_pictures_are_single_tiles_refuses_them_too(run, scenes_task, tmp_path):
    out = ["--out", str(tmp_path / "r.jsonl"), "--n", "1", "--live", "0"]
    done = run("eval", QWEN, "--method", "guided:tile_budget=2", *out)
    assert done.exit_code == 2 and "tile_budget chooses among tiles" in done.stderr and not done.stdout
    done = run("eval", INTERNVL, "--method", "guided:crop=true", *out)
    assert done.exit_code == 2 and "crop encodes only" in done.stderr and not done.stdout


def test_a_comparison_leaves_them_out_with_the_reason(run, scenes_task, tmp_path):
    options = ["--out", str(tmp_path), "--n", "1", "--live", "0", "--no-memory", "--agreement", "0", "--keep", "50%"]
    done = run("compare", QWEN, "--methods", "guided,guided:tile_mass=0.5", *options, "--json")
    told = json.loads(done.stdout)
    assert [row["name"] for row in told["rows"]] == ["small-alone", "large-alone", "guided 50%"]
    (why,) = told["left_out"]
    assert why.startswith("guided (tile_mass 0.5) 50%: tile_mass chooses among tiles")
    alone = run("compare", INTERNVL, "--methods", "guided:crop=true", *options)
    assert alone.exit_code == 2 and "crop encodes only" in alone.stderr


def test_from_python_they_choose_among_pictures_and_are_told_of_once_where_there_is_one(pair):
    vlm = stitch(pair(QWEN), method=Guided(tile_budget=1))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        several = vlm.answer([TWO])[0]
        assert not told and several.trace.n_tiles_encoded == 1 < several.trace.n_tiles
        vlm.answer([ONE, TWO])
        vlm.answer([ONE])
    (one,) = told
    assert one.category is RequestWarning and "tile_budget chooses among tiles, and Qwen-VL" in str(one.message)


def test_guesses_for_a_model_that_is_never_asked_are_refused(pair):
    with pytest.raises(ValueError, match="speculate .* which small-alone never asks: leave it out"):
        stitch(pair(INTERNVL), method="small-alone", speculate=2)


def test_guesses_without_the_draft_are_made_and_told_of(run):
    """The model guesses for itself, so that what it guesses is right: it is not true that one option takes back the other."""
    options = ["--exit", "never", "--keep", "1", "--no-reuse-drafts"]
    told = json.loads(run("ask", INTERNVL, *options, "--speculate", "2", "--json").stdout)["proposed"]
    assert told == {"tokens": 0, "accepted": 1}
    assert "1 token guessed right" in run("ask", INTERNVL, *options, "--speculate", "2").stdout
    assert "guessed right" not in run("ask", INTERNVL, *options).stdout
