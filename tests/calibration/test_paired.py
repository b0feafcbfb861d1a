"""The paired test keeps its level exactly, wastes little of it, and bounds a share as Clopper and Pearson do."""

import math
from itertools import pairwise

import numpy as np
import pytest

from stitchvlm.calibration.paired import largest_sum, min_samples, upper_share


def chance_of_refuting(n: int, lost: float, gained: float, target: float, risk: float, gains: bool = True) -> float:
    """The exact chance, over all counts of lost and gained answers, that the test refutes a mean loss of ``target``."""
    counts = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    total = 0.0
    for n_nonzero in range(n + 1):
        largest = largest_sum(n, n_nonzero, target, risk, gains)
        if largest is None:
            continue
        n_lost = counts[: max(0, min(n_nonzero, math.floor((n_nonzero + largest) / 2)) + 1)]
        n_gained = n_nonzero - n_lost
        ways = log_factorial[n] - log_factorial[n_lost] - log_factorial[n_gained] - log_factorial[n - n_nonzero]
        logs = ways + n_lost * math.log(lost) + n_gained * math.log(gained or 1)
        logs += (n - n_nonzero) * math.log1p(-lost - gained)
        total += float(np.exp(logs[(n_gained == 0) | (gained > 0)]).sum())
    return total


@pytest.mark.parametrize("n", [60, 250])
@pytest.mark.parametrize("target", [0.02, 0.1])
@pytest.mark.parametrize("risk", [0.05, 0.2])
def test_a_true_hypothesis_is_refuted_with_at_most_the_risk(n, target, risk):
    """Every count is enumerated, so nothing here is left to chance."""
    for gained in (0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.42):
        for beyond in (0.0, 0.01):
            assert chance_of_refuting(n, target + gained + beyond, gained, target, risk) <= risk + 1e-6


@pytest.mark.parametrize(("gained", "least"), [(0.0, 0.012), (0.02, 0.02), (0.1, 0.03), (0.2, 0.03)])
def test_most_of_the_risk_is_used(gained, least):
    assert chance_of_refuting(1000, 0.02 + gained, gained, 0.02, 0.05) >= least


def test_without_gains_it_is_the_exact_binomial_test():
    # P(Bin(300, 0.01) = 0) = 0.0490 and P(Bin(300, 0.01) <= 1) = 0.1976
    assert largest_sum(300, 0, 0.01, 0.05, gains=False) == 0
    assert largest_sum(298, 0, 0.01, 0.05, gains=False) == -1
    assert min_samples(0.01, 0.05, gains=False) == math.ceil(math.log(0.05) / math.log(0.99)) == 299
    assert chance_of_refuting(300, 0.01, 0.0, 0.01, 0.05, gains=False) == pytest.approx(0.99**300)


def test_fewest_samples_are_the_fewest():
    for target, risk in ((0.01, 0.05), (0.05, 0.05), (0.02, 0.2)):
        n = min_samples(target, risk)
        enough, short = largest_sum(n, 0, target, risk), largest_sum(n - 1, 0, target, risk)
        assert enough is not None and enough >= 0 and (short is None or short < 0)


def test_more_disagreement_asks_for_a_smaller_sum():
    largest = [largest_sum(2000, n_nonzero, 0.01, 0.05) for n_nonzero in (10, 40, 160, 640)]
    assert all(a is not None and b is not None and a > b for a, b in pairwise(largest))
    assert largest_sum(2000, 1100, 0.01, 0.05) is None


def test_upper_share_by_hand():
    assert upper_share(0, 100, 0.05) == pytest.approx(1 - 0.05**0.01, abs=1e-9)
    assert upper_share(99, 100, 0.05) == pytest.approx(0.95 ** (1 / 100), abs=1e-9)
    assert upper_share(100, 100, 0.05) == 1.0
    # Clopper and Pearson (1934) for 10 of 50: the upper end of the two-sided 95 % interval is 0.3372.
    assert upper_share(10, 50, 0.025) == pytest.approx(0.3372, abs=1e-4)
