"""How sure the figures of a run are: intervals of shares, of differences, and the middle and the tail of seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def wilson_interval(n_correct: float, n: int, z: float = 1.959964) -> tuple[float, float]:
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
    scores: Sequence[float], baseline: Sequence[float], resamples: int = 10_000, seed: int = 0
) -> Difference:
    """The mean difference with the 95 % percentile interval of a paired bootstrap (Efron, 1979).

    Questions are drawn again, each with both of its scores: what is hard for both does not widen the interval.

    Raises:
        ValueError: if the scores are no pairs or there are none.
    """
    if len(scores) != len(baseline) or not scores:
        raise ValueError(f"a paired difference needs pairs, not {len(scores)} scores against {len(baseline)}")
    gains = np.asarray(scores, dtype=float) - np.asarray(baseline, dtype=float)
    values, counts = np.unique(gains, return_counts=True)
    # A resample is how often each distinct gain was drawn: few numbers even for many questions.
    drawn = np.random.default_rng(seed).multinomial(len(gains), counts / len(gains), size=resamples)
    low, high = np.quantile(drawn @ values / len(gains), [0.025, 0.975])
    return Difference(float(gains.mean()), float(low), float(high), len(gains))


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
