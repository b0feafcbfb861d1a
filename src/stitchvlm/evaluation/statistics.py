"""How sure the figures of a run are: intervals of shares, of differences, and the middle and the tail of seconds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


def wilson_interval(n_correct: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a true share that ``n_correct`` of ``n`` is compatible with, 95 % by default (Wilson, 1927).

    Unlike the usual normal interval it stays within [0, 1] and has a width at 0 and at ``n``. Scores between 0 and 1 may be
    summed up to ``n_correct``: they vary less than right and wrong of the same mean, so the interval is then too wide
    rather than too narrow.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = n_correct / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(max(0.0, share * (1 - share)) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_variance(values: Sequence[float], groups: Sequence[object]) -> float:
    """The variance of the mean of values that depend on each other within a group and on nothing else beyond it.

    The sandwich estimate of a ratio (Liang and Zeger, 1986): whole groups are what was drawn. A group pulls the mean towards
    itself, a large one most of all, so its square is divided by what is left of it where all values of a group are one (after Bell
    and McCaffrey, 2002). Groups of one give the textbook value. Infinite where there is one group only, which says nothing
    of others.
    """
    sums, sizes = _group_sums(values, groups)
    if len(sums) < 2:
        return math.inf
    shares = sizes / sizes.sum()
    left = 1 - 2 * shares + np.square(shares).sum()
    return float((np.square(sums - np.mean(values) * sizes) / left).sum() / len(values) ** 2)


def mean_interval(scores: Sequence[float], groups: Sequence[object]) -> tuple[float, float]:
    """The 95 % interval of a mean score between 0 and 1: Wilson's for as many questions as these are worth.

    Questions about one picture are worth less than as many about different ones: n is divided by how much larger the variance of
    the mean is than without groups (Korn and Graubard, 1998), but not below what they are worth if all questions about a picture
    have one score: the number of groups where these are equally large, and less where they are not (Kish, 1965). Where
    nothing varies that stands for n.
    """
    n, mean = len(scores), float(np.mean(scores))
    _, sizes = _group_sums(scores, groups)
    plain, least = mean_variance(scores, range(n)), n / _size_of_own_group(sizes)
    inflation = mean_variance(scores, groups) / plain if plain > 0 and len(sizes) > 1 else n / least
    worth = min(n, max(least, n / max(1.0, inflation)))
    return wilson_interval(mean * worth, worth)


@dataclass(frozen=True)
class Difference:
    """The mean of what one way of answering scored more than another on the same ``n`` questions.

    Attributes:
        low: lower end of its 95 % interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float
    n: int


def paired_difference(
    scores: Sequence[float],
    baseline: Sequence[float],
    groups: Sequence[object] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The mean difference with the 95 % percentile interval of a paired bootstrap (Efron, 1979).

    Groups of questions are drawn again, each question with both of its scores: what is hard for both does not widen the
    interval, and what questions about one picture have in common does not narrow it.

    Resampling cannot show what was not drawn. Where fewer than ten groups have another gain than the usual one (none, as a
    rule), a bootstrap's interval is too narrow, or has no width at all; it is then Tango's score interval.

    Args:
        scores: between 0 and 1, as those of the baseline.
        groups: of every question; None where each is on its own.

    Raises:
        ValueError: if the scores are no pairs or there are none.
    """
    if len(scores) != len(baseline) or not scores:
        raise ValueError(f"a paired difference needs pairs, not {len(scores)} scores against {len(baseline)}")
    gains = np.asarray(scores, dtype=float) - np.asarray(baseline, dtype=float)
    groups = range(len(gains)) if groups is None else groups
    values, counts = np.unique(gains, return_counts=True)
    unusual = gains - values[counts.argmax()]
    if len({group for group, one in zip(groups, unusual, strict=True) if one}) < _FEW_GROUPS:
        low, high = _score_interval(gains, unusual, groups)
    else:
        low, high = _bootstrap_interval(gains, groups, resamples, seed)
    return Difference(float(gains.mean()), low, high, len(gains))


def ratio_interval(
    numerators: Sequence[float],
    denominators: Sequence[float],
    groups: Sequence[object],
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The 95 % percentile interval of a ratio of two sums over the same questions, groups of which are drawn again.

    None of one group, which says nothing of others.
    """
    above, below = (_group_sums(values, groups)[0] for values in (numerators, denominators))
    return _resampled(above, below, resamples, seed) if len(above) > 1 else None


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the median of independent values, between two of them, whatever their distribution.

    The k-th lowest and the k-th highest value, for the largest k of which fewer than k of n tosses of a coin show heads with a
    probability of 2.5 % at most. None of five values or fewer, of which even all do not reach that far.
    """
    ordered, n = sorted(values), len(values)
    below, k = 0.5**n, 0
    while below <= 0.025:
        k += 1
        below += math.comb(n, k) * 0.5**n
    return (ordered[k - 1], ordered[n - k]) if k else None


def tango_interval(n_gained: float, n_lost: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a difference of paired shares, 95 % by default (Tango, 1998).

    It has a width where nothing was gained or lost: ``± z² / (n + z²)``. Gains between 0 and 1 may be summed up to ``n_gained``
    and losses to ``n_lost``: they vary less than gained and lost, so the interval is then too wide rather than too narrow.
    """

    def excess(difference: float) -> float:
        """How many standard errors what was seen lies above what this true difference lets expect, falling in it."""
        slope = (2 * n - n_gained + n_lost) * difference - n_gained - n_lost
        root = math.sqrt(max(0.0, slope**2 + 8 * n * n_lost * difference * (1 - difference)))
        lost = (root - slope) / (4 * n)  # the likeliest share that is lost, given the difference
        variance = n * max(0.0, 2 * lost + difference * (1 - difference))
        gap = n_gained - n_lost - n * difference
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    seen = (n_gained - n_lost) / n
    return _crossing(excess, z, -1.0, seen), _crossing(excess, -z, seen, 1.0)


def _crossing(falling: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a falling function comes down to a level, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2


_FEW_GROUPS = 10
"""With fewer groups that differ from the others, what they have in common with those that were not drawn is left to chance."""


def _score_interval(gains: np.ndarray, unusual: np.ndarray, groups: Sequence[object]) -> tuple[float, float]:
    """Tango's interval for as many questions as these are worth.

    That is n divided by how much more the sums over groups vary than the questions do. Few groups tell little of it, so half a one
    more is counted in which all questions differ, as large as a question's own is on average: where none does, n is what it is in
    :func:`mean_interval` where nothing varies.
    """
    sums, sizes = _group_sums(unusual, groups)
    n, size = len(gains), _size_of_own_group(sizes)
    inflation = (np.square(sums).sum() + size**2 / 2) / (np.square(unusual).sum() + size / 2)
    worth = n / max(1.0, float(inflation))
    gained, lost = float(gains.clip(min=0).mean()), float((-gains).clip(min=0).mean())
    return tango_interval(gained * worth, lost * worth, worth)


def _bootstrap_interval(gains: np.ndarray, groups: Sequence[object], resamples: int, seed: int) -> tuple[float, float]:
    return _resampled(*_group_sums(gains, groups), resamples, seed)


def _resampled(sums: np.ndarray, sizes: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """The middle 95 % of the ratio of both sums over groups that are drawn again."""
    kinds, counts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    # A resample is how often each distinct kind of group was drawn: few numbers even for many questions.
    drawn = np.random.default_rng(seed).multinomial(len(sums), counts / len(sums), size=resamples)
    total, size = (drawn @ kinds).T
    low, high = np.quantile(total / size, [0.025, 0.975])
    return float(low), float(high)


def _group_sums(values: Sequence[float] | np.ndarray, groups: Sequence[object]) -> tuple[np.ndarray, np.ndarray]:
    """The sum over every group, and the number of its members, in the order in which the groups come first."""
    numbers: dict[object, int] = {}
    place = [numbers.setdefault(group, len(numbers)) for group in groups]
    return np.bincount(place, np.asarray(values, dtype=float)), np.bincount(place).astype(float)


def _size_of_own_group(sizes: np.ndarray) -> float:
    """How many members a question's own group has, on average over the questions: large groups count more often."""
    return float(np.square(sizes).sum() / sizes.sum())


@dataclass(frozen=True)
class Spread:
    """The middle and the tail of some measurements: the median, and what 95 % of them stay below."""

    median: float
    p95: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """None of none."""
        if not values:
            return None
        median, p95 = np.quantile(np.asarray(values, dtype=float), [0.5, 0.95])
        return cls(float(median), float(p95), len(values))
