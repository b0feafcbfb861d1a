"""Intervals against values computed by hand or known in closed form."""

from itertools import pairwise

import numpy as np
import pytest

from stitchvlm.evaluation.statistics import (
    Spread,
    mean_interval,
    mean_variance,
    median_interval,
    paired_difference,
    ratio_interval,
    tango_interval,
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


# Paired differences: few that differ


def test_tangos_interval_where_it_has_a_closed_form():
    """Nothing gained or lost: n D / (1 - D) = z². All gained: the lower end solves n (1 - D) = z² (1 + D)."""
    z2 = 1.959964**2
    assert tango_interval(0, 0, 50) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)))
    assert tango_interval(20, 0, 20) == pytest.approx(((20 - z2) / (20 + z2), 1))
    low, high = tango_interval(3, 8, 60)
    assert tango_interval(8, 3, 60) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 50), (1, 0, 200), (0, 3, 44), (4, 4, 30)])
def test_at_its_ends_the_likelihood_is_searched_for_the_nuisance(gained, lost, n):
    """The share that is lost is what is likeliest among all that fit the difference, found here by trying them."""
    for end, z in zip(tango_interval(gained, lost, n), (1.959964, -1.959964), strict=True):
        lost_share = np.linspace(max(0.0, -end), (1 - end) / 2, 2_000_001)[1:-1]
        log_likelihood = lost * np.log(lost_share) + (n - gained - lost) * np.log(1 - 2 * lost_share - end)
        log_likelihood += gained * np.log(lost_share + end)
        likeliest = lost_share[log_likelihood.argmax()]
        deviation = (n * (2 * likeliest + end * (1 - end))) ** 0.5
        assert (gained - lost - n * end) / deviation == pytest.approx(z, abs=0.002)


def test_no_difference_that_was_seen_is_not_none_that_there_is():
    """As for Wilson's interval of 0 in n: alone, n pairs; four questions each about 50 pictures are worth 50."""
    z2 = 1.959964**2
    alone = paired_difference([1, 0] * 100, [1, 0] * 100)
    assert alone.mean == 0 and (alone.low, alone.high) == pytest.approx((-z2 / (200 + z2), z2 / (200 + z2)))
    groups = np.repeat(range(50), 4).tolist()
    assert paired_difference([1] * 200, [1] * 200, groups).high == pytest.approx(z2 / (50 + z2))
    assert paired_difference([1] * 30, [0] * 30).low == pytest.approx((30 - z2) / (30 + z2)), (
        "all gained is no certainty"
    )


def test_one_more_question_that_differs_hardly_changes_the_interval():
    groups, widths = np.repeat(range(50), 4).tolist(), []
    for n_lost in range(4):
        scores = [0.0 if place in (0, 4, 8)[:n_lost] else 1.0 for place in range(200)]
        told = paired_difference(scores, [1] * 200, groups)
        assert told.low < -n_lost / 200 < told.high
        widths.append(told.high - told.low)
    assert all(0.7 < more / fewer < 1.25 for fewer, more in pairwise(widths))


def test_partial_losses_lie_between_none_and_whole_ones():
    def low(loss: float) -> float:
        return paired_difference([1 - loss] * 3 + [1] * 97, [1] * 100).low

    assert low(0) > low(0.5) > low(1)


def test_intervals_hold_rare_differences():
    """One picture in 25 or in 12 where the way of answering loses some of four questions; or single questions on their own."""
    random, held = np.random.default_rng(1), []
    for hot, share in ((0.04, 1.0), (0.08, 0.5), (0.08, 0.25)):
        groups, inside = np.repeat(range(60), 4).tolist(), 0
        for _ in range(400):
            lost = np.repeat(random.random(60) < hot, 4) & (random.random(240) < share)
            told = paired_difference((~lost).astype(float).tolist(), [1] * 240, groups, resamples=500)
            inside += told.low <= -hot * share <= told.high
        held.append(inside / 400)
    for gained, lost in ((0.005, 0.005), (0.02, 0.0), (0.03, 0.01)):
        inside = 0
        for _ in range(400):
            drawn = random.random(200)
            scores, other = drawn >= lost, (drawn < 1 - gained) | (drawn < lost)
            told = paired_difference(scores.astype(float).tolist(), other.astype(float).tolist(), resamples=500)
            inside += told.low <= gained - lost <= told.high
        held.append(inside / 400)
    assert min(held) > 0.92, held


# Paired differences: many that differ


def test_many_pairs_approach_the_normal_interval():
    """30 gained and 10 lost of 400: mean 0.05, variance 0.1 - 0.05² of the mean of 400."""
    told = paired_difference([1] * 30 + [0] * 370, [0] * 30 + [1] * 10 + [0] * 360)
    half = 1.96 * ((0.1 - 0.05**2) / 400) ** 0.5
    assert told.mean == pytest.approx(0.05)
    assert (told.low, told.high) == pytest.approx((0.05 - half, 0.05 + half), abs=0.004)


def test_the_same_seed_gives_the_same_interval():
    scores, baseline = np.random.default_rng(0).random((2, 40)).tolist()
    told, other = paired_difference(scores, baseline), paired_difference(scores, baseline, seed=1)
    assert told == paired_difference(scores, baseline) != other and told.mean == other.mean


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
    # Mean 0.4. The six fall 2.4 short of it, the others exceed it by 0.6 each: 5.76 / 0.2 + 4 · 0.36 / 1.2 = 30, of 10².
    assert mean_variance([0] * 6 + [1] * 4, "aaaaaabcde") == pytest.approx(0.3)


def test_a_picture_with_many_questions_makes_them_worth_less_by_hand():
    """One of three questions and one of one are worth 4² / (3² + 1²) questions; one of six and four of one 10² / 40."""
    z2 = 1.959964**2
    assert mean_interval([1.0] * 4, "aaab") == pytest.approx(wilson_interval(1.6, 1.6))
    assert mean_interval([0.0] * 6 + [1.0] * 4, "aaaaaabcde") == pytest.approx(wilson_interval(0.4 * 2.5, 2.5))
    assert paired_difference([1] * 4, [1] * 4, "aaab").high == pytest.approx(z2 / (1.6 + z2))


def test_intervals_hold_what_they_should_where_one_picture_has_most_of_the_questions():
    """One picture has 161 questions and 39 have one; or ten have ten, and a hundred one."""
    random, held = np.random.default_rng(0), []
    for sizes in ([161] + [1] * 39, [10] * 10 + [1] * 100):
        groups, inside = np.repeat(np.arange(len(sizes)), sizes), np.zeros(3)
        for _ in range(300):
            two, spread = np.where(random.random(len(sizes)) < 0.5, 0.95, 0.35), random.beta(2, 1, len(sizes))
            scores, graded, half = (random.random((3, 200)) < np.stack([two, spread, two / 2])[:, groups]).astype(float)
            low, high = mean_interval(scores.tolist(), groups.tolist())
            inside[0] += low <= 0.65 <= high
            low, high = mean_interval(graded.tolist(), groups.tolist())
            inside[1] += low <= 2 / 3 <= high
            told = paired_difference(scores.tolist(), half.tolist(), groups.tolist(), resamples=500)
            inside[2] += told.low <= 0.325 <= told.high
        held.append(inside / 300)
    assert np.min(held) > 0.88, held


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


def test_the_medians_interval_by_hand():
    """All of six lie on one side of the median with a chance of 1/32, the lowest two of nine and one more with 20/512."""
    assert median_interval([5, 3, 1, 6, 2, 4]) == (1, 6) and median_interval(range(9)) == (1, 7)
    assert median_interval(range(5)) is None is median_interval([])


def test_the_medians_interval_holds_it():
    draws = np.random.default_rng(3).exponential(size=(400, 30))
    held = [low <= np.log(2) <= high for low, high in map(median_interval, draws.tolist())]
    assert 0.93 * 400 <= sum(held) <= 0.99 * 400


def test_a_ratios_interval():
    """Three times each is three whatever is drawn; groups count, not their questions; one of them says nothing."""
    below = np.random.default_rng(4).random(40) + 1
    assert ratio_interval((3 * below).tolist(), below.tolist(), range(40)) == pytest.approx((3, 3))
    above = (below * np.random.default_rng(5).uniform(1, 3, size=40)).tolist()
    once, (low, high) = (ratio_interval(above, below.tolist(), groups) for groups in (range(40), [*"abcd"] * 10))
    thrice = ratio_interval(above * 3, below.tolist() * 3, [*range(40)] * 3)
    assert thrice == pytest.approx(once) and low < sum(above) / below.sum() < high
    assert ratio_interval(above, below.tolist(), ["a"] * 40) is None
