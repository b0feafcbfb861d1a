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
