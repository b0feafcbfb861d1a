"""Scripts that fit what ships: they ask what they say, of the questions that they should."""

from pathlib import Path

import pytest

from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.methods import Guided


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def test_every_form_of_the_map_is_another_one():
    from guide_forms import ABLATION, KEEPS, OTHERS, make_rows

    rows = make_rows(RunSettings(exit="never"), ["guided", *(f"guided:{form}" for form in ABLATION + OTHERS)], KEEPS)
    methods = [settings.way() for settings in rows.values() if settings.method == "guided"]
    assert methods.count(Guided()) == len(KEEPS) and len(set(methods)) == 1 + len(ABLATION) + len(OTHERS)


def test_forms_are_told_apart_from_the_papers_at_the_same_share():
    from guide_forms import compare

    def records(*scores: float) -> list[dict]:
        return [{"id": str(n), "group": str(n), "score": score} for n, score in enumerate(scores)]

    told = compare(
        {"guided 9%": records(0, 0, 1), "guided (heads max) 9%": records(1, 0, 1), "guided 18%": records(1, 1, 1)}
    )
    assert told["guided (heads max) 9%"]["difference"]["mean"] == pytest.approx(1 / 3)
    assert told["guided 9%"]["difference"] is None is told["guided 18%"]["difference"]
    assert told["guided 9%"]["accuracy"] == pytest.approx(1 / 3)


def test_an_exit_is_fitted_on_one_question_of_each_picture():
    from calibrate_pair import one_of_each_picture

    groups = "aaaabbbbcd"
    samples = [Sample(str(n), "read", "?", ("x",), Path, group=group) for n, group in enumerate(groups)]
    chosen = one_of_each_picture(samples)
    assert [sample.group for sample in chosen] == ["a", "b", "c", "d"]
    assert [sample.id for sample in chosen] == ["0", "5", "8", "9"]
