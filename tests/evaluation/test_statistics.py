"""Intervals against values computed by hand or known in closed form."""

import numpy as np
import pytest

from stitchvlm.evaluation.statistics import (
    Spread,
    mean_interval,
    mean_variance,
    paired_difference,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("n_correct", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (8, 10, 0.4902, 0.9433),
        (81, 263, 0.2553, 0.3662),
        (475, 500, 0.9272, 0.9659),
    ],
)
def test_wilson_interval(n_correct, n, low, high):
    assert wilson_interval(n_correct, n) == pytest.approx((low, high), abs=1e-4)


def test_nothing_asked_nothing_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_partial_scores_lie_between():
    assert wilson_interval(8, 10)[0] < wilson_interval(8.5, 10)[0] < wilson_interval(9, 10)[0]


def test_no_difference_has_no_width():
    told = paired_difference([1, 0, 1], [1, 0, 1])
    assert (told.mean, told.low, told.high, told.n) == (0, 0, 0, 3)


def test_two_pairs():
    """Gains 1 and 0: resampled means are 0, 1/2 and 1 with chances 1/4, 1/2, 1/4, so the interval spans them all."""
    told = paired_difference([1, 1], [0, 1])
    assert (told.mean, told.low, told.high) == (0.5, 0, 1)


def test_many_pairs_approach_the_normal_interval():
    """30 gained and 10 lost of 400: mean 0.05, variance 0.1 - 0.05² of the mean of 400."""
    told = paired_difference([1] * 30 + [0] * 370, [0] * 30 + [1] * 10 + [0] * 360)
    half = 1.96 * ((0.1 - 0.05**2) / 400) ** 0.5
    assert told.mean == pytest.approx(0.05)
    assert (told.low, told.high) == pytest.approx((0.05 - half, 0.05 + half), abs=0.004)


def test_the_same_seed_gives_the_same_interval():
    scores, baseline = [1, 0, 1, 1, 0, 0.3], [0, 0, 1, 0, 1, 0.6]
    assert paired_difference(scores, baseline) == paired_difference(scores, baseline)
    assert paired_difference(scores, baseline, seed=1).mean == paired_difference(scores, baseline).mean


@pytest.mark.parametrize(("scores", "baseline"), [([], []), ([1], [1, 0])])
def test_no_pairs_no_difference(scores, baseline):
    with pytest.raises(ValueError, match="needs pairs"):
        paired_difference(scores, baseline)


# Questions about one picture


def test_variance_of_a_mean_by_hand():
    """Of 0 and 1: variance 1/2, of their mean 1/4. Each asked twice is no more than that."""
    assert mean_variance([0, 1], "ab") == 0.25 == mean_variance([0, 0, 1, 1], "aabb")
    assert mean_variance([0, 1, 0, 1], "aabb") == 0, "both pictures have the same mean"
    assert mean_variance([0, 1], "aa") == float("inf")


def test_copies_of_a_question_add_nothing():
    scores = [1] * 80 + [0] * 20
    copies, groups = np.repeat(scores, 4).tolist(), np.repeat(np.arange(100), 4).tolist()
    assert mean_interval(scores, range(100)) == pytest.approx(wilson_interval(80, 100))
    assert mean_interval(copies, groups) == pytest.approx(wilson_interval(80, 100))
    assert mean_interval([1.0] * 8, "aabbccdd") == wilson_interval(4, 4) and mean_interval([1.0, 0.0], "aa") == (
        pytest.approx(wilson_interval(0.5, 1))
    )
    one, four = paired_difference(scores, scores[::-1]), paired_difference(copies, copies[::-1], groups)
    assert (one.mean, one.low, one.high) == pytest.approx((four.mean, four.low, four.high))


def test_intervals_hold_what_they_should_where_pictures_matter():
    """Pictures of which nine questions in ten are right, or one in two; four questions each."""
    random, groups = np.random.default_rng(0), np.repeat(np.arange(50), 4).tolist()
    held = {"pictures": 0, "questions": 0, "difference": 0}
    for _ in range(400):
        chance = np.repeat(np.where(random.random(50) < 0.5, 0.95, 0.35), 4)
        scores, other = (random.random((2, 200)) < chance * [[1.0], [0.5]]).astype(float).tolist()
        for name, told in (("pictures", groups), ("questions", range(200))):
            low, high = mean_interval(scores, told)
            held[name] += low <= 0.65 <= high
        told = paired_difference(scores, other, groups, resamples=500)
        held["difference"] += told.low <= 0.325 <= told.high
    assert min(held["pictures"], held["difference"]) >= 0.9 * 400
    assert held["questions"] < 0.87 * 400


def test_spread():
    told = Spread.of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert told is not None and (told.median, told.n) == (3, 5) and told.p95 == pytest.approx(4 + 0.8 * 96)
    assert Spread.of([]) is None
