"""What the embedded pair promises: it reads pictures that others draw, and the guide finds what is asked for."""

import json
import random
from dataclasses import replace

import pytest
from plain_pictures import draw_plain, share_right
from typer.testing import CliRunner, Result

from stitchvlm import Stitch, make_question
from stitchvlm.cli import app
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.exits import CalibratedExit, Calibration, SmallEarlyExit, parse_exit
from stitchvlm.methods import Guided
from stitchvlm.models import EXIT_FILE, recommended_exit
from stitchvlm.records import Verdict
from stitchvlm.sampling import Sampling

N = 60


@pytest.fixture(scope="module")
def questions():
    rng = random.Random(20261121)
    return [draw_plain(rng) for _ in range(N)]


def test_plain_pictures_are_read_and_guided_pruning_keeps_what_is_asked_for(questions):
    whole = share_right(questions, method=None, exit="never")
    guided = share_right(questions, keep="9%", exit="never")
    drawn = share_right(questions, keep="9%", method="random", exit="never")
    assert whole >= 0.9 and guided >= 0.9 * whole and drawn < 0.3 * guided


def test_the_small_model_guides_one_of_another_family(questions):
    """Cut pictures to whole ones, 320 visual tokens to at most 256: the map is carried over, the heads were trained apart."""
    pair = {"small": "embedded:small", "large": "embedded:qwen2-vl", "exit": "never"}
    whole = share_right(questions, method=None, **pair)
    guided = share_right(questions, keep="9%", **pair)
    cut_out = share_right(questions, keep="9%", method=Guided(crop=True), **pair)
    drawn = share_right(questions, keep="9%", method="random", **pair)
    assert whole >= 0.85 and min(guided, cut_out) >= 0.9 * whole and drawn < 0.3 * guided


def test_the_exit_that_ships_is_the_default_for_the_weights_and_settings_that_ship():
    """New weights need a new calibration: benchmarks/calibrate_pair.py."""
    fitted, default = Calibration.read(EXIT_FILE), embedded().exit
    assert (default.threshold, default.score) == (fitted.threshold, fitted.score) and default.promise == fitted.promise
    settings = RunSettings().resolve()
    assert parse_exit(settings.exit) == SmallEarlyExit(fitted.threshold, score=fitted.score)


def test_a_run_spells_out_the_score_of_the_default_too(monkeypatch):
    """The file may be fitted to any score; what a run records says which."""
    other = replace(recommended_exit(), threshold=0.75, score="confidence")
    monkeypatch.setattr("stitchvlm.defaults.recommended_exit", lambda: other)
    settings = RunSettings().resolve()
    assert settings.exit == "confidence:0.75" and settings.policy() == SmallEarlyExit(0.75, score="confidence")
    assert RunSettings(keep=0.35).resolve().exit == RunSettings(method="random").resolve().exit == "never"


def embedded(**settings) -> Stitch:
    return Stitch.from_pretrained(device="cpu", lazy_large=True, **settings)


OTHERWISE = [
    ({"keep": "35%"}, "keep 0.09, not 0.35"),
    ({"layer": 2}, "layer None, not 2"),
    ({"method": Guided(heads="max")}, "option heads 'sum', not 'max'"),
    ({"method": "divprune"}, "method 'guided', not 'divprune'"),
    ({"max_tiles": 2}, "max_tiles None, not 2"),
    ({"dtype": "float32"}, "dtype 'auto', not 'float32'"),
    ({"guide_tokens": 4}, "guide_tokens None, not 4"),
    ({"first_query": "last_visual"}, "first_query 'text', not 'last_visual'"),
    ({"sampling": Sampling(16)}, "max_new_tokens 64, not 16"),
    ({"sampling": Sampling(temperature=0.5)}, "temperature 0.0, not 0.5"),
]


@pytest.mark.parametrize(("settings", "says"), OTHERWISE, ids=[says for _, says in OTHERWISE])
def test_with_other_settings_the_default_is_never(settings, says):
    never = embedded(**settings).exit
    assert never.threshold == "never" and never.origin == f"the embedded pair's own exit was fitted for {says}"
    assert embedded(**settings, exit=0.8).exit.threshold == 0.8, "who asks for a threshold has it"
    with pytest.raises(ValueError, match=f"exit.json was fitted for {says}: ask as it was fitted"):
        embedded(**settings, exit=str(EXIT_FILE))


def test_the_default_may_be_spelled_out():
    for settings in ({"keep": 0.09, "dtype": "bf16"}, {"exit": str(EXIT_FILE)}, {"sampling": Sampling(seed=3)}):
        assert isinstance(embedded(**settings).exit, CalibratedExit)


def test_a_question_that_is_sampled_otherwise_has_no_fitted_exit(questions, monkeypatch):
    asked, judged = make_question(questions[0][1], questions[0][0]), []
    monkeypatch.setattr(CalibratedExit, "judge", lambda self, small: judged.append(self) or [Verdict(True)])
    assert embedded().answer([asked])[0].answered_by == "small" and len(judged) == 1
    warm = Sampling(temperature=0.5)
    assert embedded().answer([asked], warm)[0].answered_by == "large" and len(judged) == 1
    with pytest.raises(ValueError, match="fitted for temperature 0.0, not 0.5"):
        embedded(exit=str(EXIT_FILE)).answer([asked], warm)


def test_ask_says_which_exit_is_in_use(questions, tmp_path):
    questions[0][0].save(tmp_path / "p.png")

    def ask(*options: str) -> Result:
        arguments = ["ask", str(tmp_path / "p.png"), questions[0][1], "--device", "cpu", *options]
        return CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)

    fitted = Calibration.read(EXIT_FILE)
    told = json.loads(ask("--json").stdout)["exit"]
    assert (told["score"], told["threshold"], told["promise"]) == (fitted.score, fitted.threshold, fitted.promise)
    other = json.loads(ask("--json", "--keep", "35%").stdout)
    assert other["answered_by"] == "large" and other["exit"]["threshold"] == "never" and not other["exit"]["promise"]
    assert "was fitted for keep 0.09, not 0.35" in ask("--keep", "35%").stdout
    plain = json.loads(ask("--json", "--keep", "35%", "--exit", "0").stdout)
    assert plain["answered_by"] == "small" and plain["exit"]["threshold"] == 0


def test_the_demo_shows_exits(tmp_path):
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["demo", "--device", "cpu", "--out", str(tmp_path)])
    assert result.exit_code == 0 and " small " in result.stdout and " large " in result.stdout


@pytest.mark.parametrize(
    ("options", "encoded"),
    [
        (["--option", "tile_budget=2"], "2 of 5 tiles"),
        (["--small", "embedded:small", "--large", "embedded:qwen2-vl", "--option", "crop=true"], "visual tokens show"),
        (["--keep", "1"], None),
    ],
)
def test_the_account_says_what_the_vision_encoder_was_spared(tmp_path, options, encoded):
    picture, question, _ = draw_plain(random.Random(3))
    picture.save(tmp_path / "plain.png")
    told = CliRunner(env={"COLUMNS": "100"}).invoke(
        app, ["ask", str(tmp_path / "plain.png"), question, "--exit", "never", "--device", "cpu", *options]
    )
    assert told.exit_code == 0
    assert ("encoded  " in told.stdout) == (encoded is not None) and (encoded or "") in told.stdout
    assert ("from all tokens of the whole picture" in " ".join(told.stdout.split())) == (encoded is not None)
