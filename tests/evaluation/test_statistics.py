"""Intervals against values computed by hand or known in closed form."""

import pytest

from stitchvlm.evaluation.statistics import Spread, paired_difference, wilson_interval


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


def test_spread():
    told = Spread.of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert told is not None and (told.median, told.n) == (3, 5) and told.p95 == pytest.approx(4 + 0.8 * 96)
    assert Spread.of([]) is None
