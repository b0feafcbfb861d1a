"""Curves and areas by hand."""

import numpy as np
import pytest

from stitchvlm.calibration.ranking import accuracy_at_exits, aurc, auroc, bootstrap, cascade_area, reliability


def test_auroc_counts_pairs():
    # right at 0.9 and 0.4, wrong at 0.6 and 0.4: pairs won 1, 1, 0 and half a tie
    assert auroc([0.9, 0.4, 0.6, 0.4], [1, 1, 0, 0]) == pytest.approx(2.5 / 4)
    assert auroc([1, 2, 3], [0, 0, 1]) == 1.0 and np.isnan(auroc([1, 2], [1, 1]))


def test_auroc_equals_all_pairs_compared():
    random = np.random.default_rng(0)
    score, right = random.integers(0, 20, 300) / 20, random.random(300) < 0.6
    better = score[right][:, None] - score[~right][None]
    assert auroc(score, right) == pytest.approx((better > 0).mean() + (better == 0).mean() / 2)


def test_aurc_averages_the_error_over_coverage():
    assert aurc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert aurc([0.5, 0.5], [1, 0]) == aurc([0.5, 0.5], [0, 1]) == pytest.approx(0.5)


def test_exit_curve_goes_from_the_large_to_the_small_model():
    shares, accuracy = accuracy_at_exits([0.9, 0.1, 0.5], [1, 0, 0], [0, 1, 1])
    assert shares == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert accuracy == pytest.approx([2 / 3, 1, 2 / 3, 1 / 3])
    assert cascade_area([0.9, 0.1, 0.5], [1, 0, 0], [0, 1, 1]) == pytest.approx(2 / 3)


def test_bootstrap_is_paired_and_seeded():
    random = np.random.default_rng(1)
    score, right = random.random(400), random.random(400) < 0.7
    figures = {"a": lambda rows: auroc(score[rows], right[rows]), "none": lambda rows: 0.0}
    found = bootstrap(figures, range(400), draws=200)
    assert found["none"].low == found["none"].high == 0.0
    assert found["a"].low < found["a"].value == auroc(score, right) < found["a"].high
    assert bootstrap(figures, range(400), draws=200) == found


def test_bootstrap_draws_whole_groups():
    """Two pictures of two questions: the mean of the first column is 0, 1/2 or 1 and never what half a picture would give."""
    seen = set()
    values, groups = np.array([0.0, 1.0, 0.0, 1.0]), ["a", "b", "a", "b"]
    bootstrap({"mean": lambda rows: seen.add(float(values[rows].mean())) or 0.0}, groups, draws=100)
    assert seen == {0.0, 0.5, 1.0}


def test_reliability_bins_hold_about_as_many_each():
    bins = reliability(np.arange(10) / 10, [0] * 5 + [1] * 5, 2)
    assert bins == [(pytest.approx(0.2), 0.0, 5), (pytest.approx(0.7), 1.0, 5)]
    assert len(reliability([0.1, 0.2], [0, 1])) == 2


def test_drafts_that_were_cut_short_are_not_among_exits():
    """Scored below 0, as :data:`stitchvlm.exits.scores.CUT` says: the curve ends at the three that may exit."""
    shares, accuracy = accuracy_at_exits([0.9, -1, 0.1, 0.5], [1, 1, 0, 0], [0, 0, 1, 1])
    assert shares == pytest.approx([0, 1 / 4, 2 / 4, 3 / 4]) and accuracy == pytest.approx([2 / 4, 3 / 4, 2 / 4, 1 / 4])
    assert reliability([0.9, -1, 0.1], [1, 1, 0], 5) == [(0.1, 0.0, 1), (0.9, 1.0, 1)] and reliability([-1], [1]) == []
