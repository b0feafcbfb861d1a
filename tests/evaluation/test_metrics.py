"""Right or wrong, and the interval around a share, against values computed by hand."""

import pytest

from stitchvlm.evaluation.metrics import is_correct, wilson_interval


@pytest.mark.parametrize("answer", ["K7P", " k7p ", "K7P.", "k7p. "])
def test_what_nobody_means_does_not_count(answer):
    assert is_correct(answer, "K7P")


@pytest.mark.parametrize("answer", ["K7", "K7P..", "K 7P", "", "the code is K7P"])
def test_everything_else_does(answer):
    assert not is_correct(answer, "K7P")


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
