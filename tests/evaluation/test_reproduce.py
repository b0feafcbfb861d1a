"""The config behind the checked-in tables names rows that can be run, with enough questions."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def studies():
    pytest.importorskip("matplotlib")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from reproduce import read_config
    finally:
        sys.path.remove(str(BENCHMARKS))
    return read_config()


def test_every_row_fits_the_embedded_pair(studies):
    from stitchvlm.evaluation.compare import within_reach
    from stitchvlm.evaluation.study import Study

    for study in studies:
        assert study.n >= 200
        rows, left_out = within_reach(study.rows())
        assert len(Study(rows, "cpu").rows) == len(rows) > 2 and {"small-alone", "large-alone"} <= set(rows)
        for way, _, share in (told.partition(":")[0].partition(" ") for told in left_out):
            assert any(row.startswith(f"{way} (") and row.endswith(f" {share}") for row in rows), "it has another layer"


def test_what_guided_is_ahead_of_each_row_at_its_share():
    """By hand: of four questions guided has three; the others one, all and none."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from reproduce import guided_ahead
    finally:
        sys.path.remove(str(BENCHMARKS))
    from stitchvlm.evaluation.settings import RunSettings

    def answered(scores):
        return [{"id": str(n), "group": str(n), "score": float(score)} for n, score in enumerate(scores)]

    rows = {"g 9": RunSettings(keep="9%", exit="never"), "g 35": RunSettings(keep="35%", exit="never")}
    rows |= {"r 9": RunSettings(keep="9%", method="random"), "r 35": RunSettings(keep="35%", method="random")}
    rows["alone"] = RunSettings(method="small-alone")
    scores = {"g 9": "1110", "g 35": "1111", "r 9": "1000", "r 35": "1111", "alone": "0000"}
    ahead = guided_ahead(rows, {name: answered(map(int, text)) for name, text in scores.items()})
    assert {name: {row: told["mean"] for row, told in found.items()} for name, found in ahead.items()} == {
        "g 9": {"r 9": 0.5, "alone": 0.75},
        "g 35": {"r 35": 0.0, "alone": 1.0},
    }
