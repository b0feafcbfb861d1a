"""Exit thresholds, worked out by hand on five questions."""

from dataclasses import asdict

import numpy as np
import pytest

from stitchvlm.calibration.ranking import accuracy_at_exits
from stitchvlm.evaluation.curve import at_shares, exit_curve


def record(exit: float, small: float, large: float, complete: bool = True) -> dict:
    return {
        "group": str(exit),
        "scores": {"exit": exit},
        "small_score": small,
        "large_score": large,
        "draft_complete": complete,
        "seconds": {"small_prefill": 1.0, "large_prefill": 10.0, "total": 11.0},
        "spared_seconds": {"exit_check": 0.5},
    }


RECORDS = [record(0.9, 1, 1), record(0.8, 1, 0), record(0.5, 0, 1), record(0.2, 0, 1)]


def test_thresholds_from_none_to_all():
    points = {point.exits: point for point in exit_curve(RECORDS)}
    assert sorted(points) == [0, 0.25, 0.5, 0.75, 1]
    assert [points[share].accuracy for share in sorted(points)] == [0.75, 0.75, 1.0, 0.75, 0.5]
    assert [points[share].threshold for share in sorted(points)] == [None, 0.9, 0.8, 0.5, 0.2]
    assert points[0].seconds == 11.5 and points[0.5].seconds == 6.5 and points[1].seconds == 1.5
    assert points[0.5].low < 1 and points[0.5].high == pytest.approx(1)


def test_the_points_nearest_to_some_shares_come_once():
    curve = [asdict(point) for point in exit_curve(RECORDS)]
    assert [point["exits"] for point in at_shares(curve)] == [
        0,
        0.25,
        0.5,
        0.75,
        1,
    ]  # 60 % and 40 % are nearest to a half
    assert [point["exits"] for point in at_shares(curve, [0.9, 0.3])] == [1, 0.25] and at_shares([]) == []


def test_ties_exit_together():
    shares = [point.exits for point in exit_curve([record(0.9, 1, 1)] * 3 + [record(0.1, 0, 1)])]
    assert sorted(shares) == [0, 0.75, 1]


def test_a_draft_that_was_cut_short_never_exits():
    points = exit_curve([*RECORDS, record(0.99, 0, 1, complete=False)])
    assert max(point.exits for point in points) == 0.8


def test_no_curve_without_both_answers():
    assert exit_curve([]) == [] and exit_curve([RECORDS[0] | {"large_score": None}]) == []
    assert exit_curve([RECORDS[0] | {"scores": {"exit": None}}]) == []


@pytest.mark.parametrize("n_scores", [200, 5])
def test_the_ranking_of_a_score_agrees_at_every_threshold(n_scores):
    """Between thresholds, where only ties could be parted, it has points of its own: with few scores it is another curve."""
    drawn = np.random.default_rng(3)
    scores = drawn.permutation(200) % n_scores / n_scores
    records = [record(float(score), *map(float, drawn.integers(0, 2, 2))) for score in scores]
    small, large = ([row[f"{model}_score"] for row in records] for model in ("small", "large"))
    shares, accuracy = accuracy_at_exits(scores, small, large)
    points = exit_curve(records)
    for point in points:
        assert point.accuracy == pytest.approx(np.interp(point.exits, shares, accuracy))
    assert len(shares) == 201 and len(points) == min(21, n_scores + 1)
