"""How well a score tells answers that may stand from others: curves, the areas under them, and bootstrap intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


def auroc(score: ArrayLike, right: ArrayLike) -> float:
    """The chance that a right answer scores higher than a wrong one, ties counting half; NaN where all are alike.

    Partial credits count as that much of a right answer and the rest of a wrong one.
    """
    values, rights = np.asarray(score, float), np.asarray(right, float)
    _, place = np.unique(values, return_inverse=True)
    ups, downs = np.bincount(place, rights), np.bincount(place, 1 - rights)
    below = np.cumsum(downs) - downs
    pairs = ups.sum() * downs.sum()
    return float((ups * (below + downs / 2)).sum() / pairs) if pairs else float("nan")


def aurc(score: ArrayLike, right: ArrayLike) -> float:
    """Area under the risk-coverage curve: the error among the best-scored k of n, averaged over k (Geifman and El-Yaniv, 2017).

    Lower is better. Of questions with one score any may come first: their mean error stands for each.
    """
    errors = _mean_of_ties(score, 1 - np.asarray(right, float))
    return float((np.cumsum(errors) / np.arange(1, len(errors) + 1)).mean())


def cascade_area(score: ArrayLike, small: ArrayLike, large: ArrayLike) -> float:
    """Accuracy of small and large model together, averaged over all shares of exits: what the score is for. Higher is better."""
    return float(accuracy_at_exits(score, small, large)[1].mean())


def accuracy_at_exits(score: ArrayLike, small: ArrayLike, large: ArrayLike) -> tuple[Floats, Floats]:
    """Share of exits, from none to all, and the accuracy of exits and large answers together at each.

    Of questions with one score any may exit first: their mean stands for each. What thresholds give, at which they exit together,
    is another curve, :func:`stitchvlm.evaluation.curve.exit_curve`. Drafts scored below 0 were cut short and never exit: the curve
    ends before them.
    """
    small, large, able = np.asarray(small, float), np.asarray(large, float), np.asarray(score, float) >= 0
    gained = np.append(0.0, np.cumsum(_mean_of_ties(np.asarray(score, float)[able], (small - large)[able])))
    return np.arange(len(gained)) / len(small), (large.sum() + gained) / len(small)


def bootstrap(
    measures: Mapping[str, Callable[[NDArray[np.intp]], float]],
    groups: Sequence[object],
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Percentile intervals of several figures over the same draws of questions, so that their differences are paired.

    Args:
        measures: from the ordinals of the drawn questions to a figure.
        groups: of every question; questions of one group depend on each other and are drawn together.
    """
    random = np.random.default_rng(seed)
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    drawn = [np.concatenate([members[k] for k in random.integers(0, len(members), len(members))]) for _ in range(draws)]
    found = {}
    for name, measure in measures.items():
        low, high = np.nanquantile([measure(rows) for rows in drawn], [0.025, 0.975])
        found[name] = Estimate(measure(np.arange(len(groups))), float(low), float(high))
    return found


def reliability(score: ArrayLike, right: ArrayLike, n_bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean score, share of right answers and number of questions in bins of about the same number, lowest scores first.

    Drafts scored below 0 were cut short and never exit: they are left out.
    """
    able = np.asarray(score, float) >= 0
    values, rights = np.asarray(score, float)[able], np.asarray(right, float)[able]
    bins = np.array_split(np.argsort(values, kind="stable"), min(n_bins, max(1, len(values))))
    return [(float(values[rows].mean()), float(rights[rows].mean()), len(rows)) for rows in bins if len(rows)]


def _mean_of_ties(score: ArrayLike, values: Floats) -> Floats:
    """The values from the highest score to the lowest, those of one score replaced by their mean."""
    _, place, counts = np.unique(-np.asarray(score, float), return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(place, values) / counts, counts)
