"""Is one model's mean loss against another below a margin? An exact test on paired right and wrong answers.

Per question the loss is 1 where only the reference was right, -1 where only the policy was, else 0. With n questions let S be
the sum of the losses and m the number that are not 0. A sum of n losses is judged with the share of non-zero losses, q, as
a nuisance: the larger q, the wider S spreads. :func:`largest_sum` bounds it from above by Clopper and Pearson (1934) at
``SHARE`` of the risk and spends the rest on S at that bound, which Berger and Boos (1994, JASA 89, 1012-1016) show to
be a valid test.

Why the bound alone is enough: for a fixed mean a, dP(S <= s)/dq = n/2 (f(s+1) - f(s)) with f the probabilities of the sum of
n-1 losses. For q <= 1/2 a loss plus 1 has the distribution of two independent coins (its generating polynomial has real
roots), so f rises up to the mean (Darroch, 1964, Ann. Math. Stat. 35, 1317-1321), and P(S <= s) grows with q as long as
s + 1 <= (n-1) a. Nothing is rejected outside that region.

A Hoeffding-Bentkus bound on the same losses, rescaled to [0, 1], knows nothing of q and can promise a loss of 0.01 only from
tens of thousands of questions.
"""

import math
from functools import cache

import numpy as np

SHARE = 1 / 20
"""Part of the risk that pays for not knowing how often the two models differ."""

_ROUNDING = 1e-9
"""Far above what the Fourier transform loses, far below any risk that matters."""


@cache
def largest_sum(n: int, n_nonzero: int, target: float, risk: float, gains: bool = True) -> int | None:
    """The largest sum of ``n`` losses that still refutes "the mean loss is ``target`` or more" at level ``risk``.

    Args:
        n_nonzero: how many of the losses are not 0.
        gains: False where a loss of -1 cannot happen; the test is then the exact binomial one.

    Returns:
        None where no sum refutes it.
    """
    if not gains:
        return _quantile(n, target, target, risk)
    spent = risk * SHARE
    bound = upper_share(n_nonzero, n, spent)
    if bound < target:
        return n_nonzero
    if bound > 0.5:
        return None
    best = _quantile(n, target, bound, risk - spent)
    return None if best is None else min(best, math.floor((n - 1) * target - 1))


def min_samples(target: float, risk: float, gains: bool = True) -> int:
    """The fewest questions from which a loss of at most ``target`` can be promised, if no answer ever changes."""
    low, high = 0, math.ceil(math.log(risk * SHARE) / math.log1p(-target)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        largest = largest_sum(middle, 0, target, risk, gains)
        low, high = (low, middle) if largest is not None and largest >= 0 else (middle, high)
    return high


def upper_share(k: int, n: int, level: float) -> float:
    """An upper bound of a share of which ``k`` of ``n`` were seen; too low with probability ``level`` (Clopper and Pearson)."""
    if k >= n:
        return 1.0
    counts = np.arange(k + 1)
    factorials = _log_factorials(n)
    ways = factorials[n] - factorials[counts] - factorials[n - counts]
    low, high = k / n, 1.0
    while high - low > 1e-12:
        share = (low + high) / 2
        chance = np.exp(ways + counts * math.log(share) + (n - counts) * math.log1p(-share)).sum()
        low, high = (share, high) if chance > level else (low, share)
    return high


def _quantile(n: int, mean: float, share: float, level: float) -> int | None:
    """The largest s with P(S <= s) <= level, for n independent losses with that mean and share of non-zero ones."""
    width = 2 * n + 1
    step = np.zeros(width)
    step[0], step[1], step[-1] = 1 - share, (share + mean) / 2, (share - mean) / 2
    sums = np.roll(np.fft.irfft(np.fft.rfft(step) ** n, width), n)
    place = int(np.searchsorted(np.cumsum(sums) + _ROUNDING, level, side="right")) - 1
    return None if place < 0 else place - n


@cache
def _log_factorials(n: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
