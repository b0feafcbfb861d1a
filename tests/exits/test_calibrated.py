"""A calibration file is what was fitted, for what it was fitted, or one clear sentence."""

import json
from dataclasses import replace

import pytest

from stitchvlm.defaults import within
from stitchvlm.errors import DataError
from stitchvlm.exits import CalibratedExit, Calibration, SmallEarlyExit, parse_exit
from stitchvlm.methods import make_method
from stitchvlm.methods.options import options_of

FITTED = Calibration(
    threshold=0.7310585786300049,
    score="mean",
    consistency_keep=0.05,
    target="accuracy-loss=0.01",
    promise="a promise",
    theorem="a theorem",
    n=1600,
    labels="gold",
    seed=0,
    settings={"small": "small 4f06a1ceff4e", "large": "large 8bedad8e39f8", "method": "guided", "keep": 0.09},
    risk=0.05,
    report={"exits": 0.5},
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "exit.json"
    FITTED.write(path)
    return path


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_is_written_is_read(path):
    assert Calibration.read(path) == FITTED and json.loads(path.read_text())["schema"] == 1


def test_a_file_is_an_exit_policy(path):
    policy = parse_exit(str(path))
    assert isinstance(policy, CalibratedExit) and policy.threshold == FITTED.threshold
    assert policy.spelling == FITTED.threshold
    change(path, score="confidence")
    assert parse_exit(str(path)).spelling == f"confidence:{FITTED.threshold}"


def test_models_are_told_by_their_weights(path):
    policy = CalibratedExit.load(path)
    assert policy.within(FITTED.settings) is policy
    assert policy.within({"small": "moved 4f06a1ceff4e", "max_tiles": 4}) is policy
    with pytest.raises(
        ValueError, match=r"exit\.json was fitted for large 'large 8bedad8e39f8', not 'large 000000000000'"
    ):
        policy.within({"large": "large 000000000000"})


def test_another_way_of_answering_is_refused(path):
    with pytest.raises(
        ValueError,
        match=r"fitted for keep 0.09, not 0.2: ask as it was fitted, calibrate again .* or give a plain threshold",
    ):
        CalibratedExit.load(path).within({"keep": 0.2})


WHOLE = {"layer": None, "max_tiles": None, "max_new_tokens": 64, "dtype": "auto"}


@pytest.mark.parametrize(
    ("used", "says"),
    [
        ({"max_new_tokens": 32}, "max_new_tokens 64, not 32"),
        ({"dtype": "float32", "own_dtypes": ("bfloat16", "bfloat16")}, "dtype 'auto', not 'float32'"),
        ({"dtype": "bfloat16", "own_dtypes": ("bfloat16", "float32")}, "dtype 'auto', not 'bfloat16'"),
        ({"guide_tokens": 8}, "guide_tokens None, not 8"),
        ({"first_query": "last_visual"}, "first_query 'text', not 'last_visual'"),
        ({"temperature": 0.7}, "temperature 0.0, not 0.7"),
        ({"min_new_tokens": 2}, "min_new_tokens None, not 2"),
    ],
)
def test_all_that_decides_an_answer_is_bound(path, used, says):
    """What no run records is what every recorded run does: greedy answers, whole drafts, the paper's guide map."""
    change(path, settings=FITTED.settings | WHOLE)
    policy = CalibratedExit.load(path)
    with pytest.raises(ValueError, match=f"was fitted for {says}: ask as it was fitted"):
        policy.within(used)
    never = replace(policy, optional=True).within(used)
    assert never.threshold == "never" and says in never.origin


@pytest.mark.parametrize("fitted", ["auto", "bfloat16", "bf16"])
@pytest.mark.parametrize("used", ["auto", "bfloat16"])
def test_the_checkpoints_own_floating_type_may_go_by_its_name(path, fitted, used):
    change(path, settings=FITTED.settings | {"dtype": fitted})
    policy = CalibratedExit.load(path)
    assert policy.within({"dtype": used, "own_dtypes": ("bfloat16", "bfloat16")}) is policy


def test_a_plain_threshold_fits_everything():
    assert within(SmallEarlyExit(0.5), lambda: pytest.fail("nobody needs the settings")) == SmallEarlyExit(0.5)


def test_options_of_the_method_are_bound_and_defaults_need_not_be_spelled_out(path):
    """The file names no option, so it was fitted with the defaults."""
    policy = CalibratedExit.load(path)
    assert policy.within({"options": options_of(make_method("guided"))}) is policy
    with pytest.raises(ValueError, match="fitted for option heads 'sum', not 'max'"):
        policy.within({"options": options_of(make_method("guided", heads="max"))})
    change(path, settings=FITTED.settings | {"options": {"heads": "max"}})
    own = CalibratedExit.load(path)
    assert own.within({"options": options_of(make_method("guided", heads="max"))}) is own


def test_an_unknown_score_is_refused(path):
    change(path, score="product")
    with pytest.raises(ValueError, match="fitted for the score 'product', and this version has mean, confidence"):
        parse_exit(str(path))


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"schema": 2}, ValueError, "schema 2, and schema 1"),
        ({"threshold": 1.5}, DataError, "outside"),
        ({"threshold": "high"}, DataError, "'threshold'"),
        ({"surprise": 1}, DataError, "'surprise'"),
        ({"n": None}, DataError, "'n'"),
    ],
)
def test_broken_values_are_named(path, values, error, says):
    change(path, **values)
    with pytest.raises(error, match=says):
        Calibration.read(path)


def test_what_is_no_calibration_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*exit\.json: make it with stitch calibrate"):
        parse_exit(str(tmp_path / "exit.json"))
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        parse_exit(str(tmp_path / "folder.json"))
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        parse_exit(str(tmp_path / "torn.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match="schema None"):
        parse_exit(str(tmp_path / "list.json"))


def test_nothing_is_left_half_written(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        FITTED.write(tmp_path / "no" / "exit.json")
    assert not list(tmp_path.iterdir())
