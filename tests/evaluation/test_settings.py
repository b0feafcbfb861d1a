"""What a run writes down of itself: the same for the same way of answering, however that was asked for."""

from pathlib import Path

import pytest

from stitchvlm.evaluation.settings import RunSettings, by_label
from stitchvlm.exits import Calibration, SmallEarlyExit
from stitchvlm.families.fingerprint import fingerprint


@pytest.fixture
def settings(tiny_pair):
    return lambda **options: RunSettings(*tiny_pair, keep=0.5, max_new_tokens=4, **options)


@pytest.fixture
def fitted(tiny_pair, tmp_path):
    """Writes an exit that was fitted for the tiny pair, with some fields otherwise."""

    def write(**others) -> str:
        own = {"small": fingerprint(tiny_pair[0]), "large": fingerprint(tiny_pair[1]), "method": "guided", "keep": 0.5}
        told = {"threshold": 0.9088770389851438, "score": "confidence", "consistency_keep": 0.05, "target": "exit=0.4"}
        told |= {"promise": "", "theorem": "", "n": 9, "labels": "gold", "seed": 0, "settings": own}
        Calibration(**told | others).write(tmp_path / "exit.json")
        return str(tmp_path / "exit.json")

    return write


def test_a_fitted_exit_goes_by_its_score_and_threshold_and_not_by_where_its_file_lies(settings, fitted):
    spelled = "confidence:0.9088770389851438"
    file, plain = settings(exit=fitted()), settings(exit=spelled)
    assert file.resolve() == plain.resolve() == file.resolve().resolve() and file.resolve().exit == spelled
    assert file.resolve().policy() == SmallEarlyExit(0.9088770389851438, score="confidence")
    assert file.identity("t") == plain.identity("t") and file.resolve().label == "guided 50% + exit confidence:0.909"
    assert list(by_label([file, plain])) == [file.resolve().label], "one row, asked for twice"
    with pytest.raises(ValueError, match="would both be called 'guided 50% . exit confidence:0.909'"):
        by_label([file, settings(exit="confidence:0.9089")])


def test_a_fitted_exit_is_only_spelled_out_for_what_it_was_fitted_for(settings, fitted):
    assert settings(exit=fitted(), seed=1).resolve().exit == "confidence:0.9088770389851438"
    with pytest.raises(ValueError, match="exit.json was fitted for method 'guided', not 'random'"):
        settings(exit=fitted(), method="random").resolve()
    with pytest.raises(ValueError, match="exit.json looks at 0.2 of the visual tokens .* measured with 0.05"):
        settings(exit=fitted(consistency_keep=0.2)).resolve()


def test_no_place_on_this_machine_is_written_down(settings, fitted):
    row = settings(exit=fitted())
    (label,) = by_label([row])
    written = [label, row.resolve().exit, *row.identity("t").values()]
    assert Path(fitted()).is_absolute() and not any("/" in str(value) for value in written)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [("bf16", "bfloat16"), ("bfloat16", "bfloat16"), ("fp16", "float16"), ("fp32", "float32"), ("auto", "auto")],
)
def test_a_floating_type_has_one_name(settings, spelled, name):
    assert settings(dtype=spelled).identity("t")["dtype"] == settings(dtype=spelled).resolve().dtype == name
    assert list(by_label([settings(dtype=spelled), settings(dtype=name)])) == ["guided 50%"]
    with pytest.raises(ValueError, match="not 'bf17'"):
        settings(dtype="bf17").resolve()
