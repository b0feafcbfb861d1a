"""From recorded scores to an exit threshold that keeps a promise. Arrays in, numbers out; nothing here reads files.

Every function takes questions that are independent draws from those to come. Several questions about one picture are not;
draw one of each picture first.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stitchvlm.calibration.paired import largest_sum, min_samples
from stitchvlm.calibration.split import Draw
from stitchvlm.errors import NoPromiseError
from stitchvlm.plural import counted

Floats = NDArray[np.float64]

THRESHOLDS: Floats = np.append(1 / (1 + np.exp(np.arange(-600, 601) / 20)), 0.0)
"""The thresholds a loss is tested at, from hardly any exit to all; fixed beforehand, as the theorem asks, and dense near 1."""


@dataclass(frozen=True)
class Fit:
    """A fitted threshold.

    Attributes:
        threshold: exit when the score is at least this.
        n: questions it was fitted on, which are independent of each other.
        exits: share of them that exit.
        value: what the target speaks of, on these questions: mean loss, exit share, or mean seconds.
        promise: what holds for new questions, in a sentence.
        theorem: why; empty where nothing is promised.
    """

    threshold: float
    n: int
    exits: float
    value: float
    promise: str
    theorem: str = ""


def paired_losses(
    small: ArrayLike, large: ArrayLike, reference: ArrayLike | None = None, seed: int = 0
) -> tuple[Floats, Floats]:
    """What each question loses against the reference when it exits and when it does not, each -1, 0 or 1.

    Args:
        small: how right the small model's answers are, in [0, 1].
        large: the same of the answers given where nothing exits.
        reference: the same of the answers to be measured against; None takes ``large``.
        seed: partial credits are rounded to 0 or 1 at random, one draw per question, which keeps every mean.

    Raises:
        ValueError: if the lengths differ or a credit is not in [0, 1].
    """
    rights = [np.asarray(each, float) for each in (small, large, large if reference is None else reference)]
    if len({each.shape for each in rights}) > 1 or rights[0].ndim != 1:
        raise ValueError("small, large and reference must be lists of the same length")
    if not all(((each >= 0) & (each <= 1)).all() for each in rights):
        raise ValueError("how right an answer is must lie in [0, 1]")
    draws = np.random.default_rng(seed).random(len(rights[0]))
    left, stayed, ideal = ((draws < each).astype(float) for each in rights)
    return ideal - left, ideal - stayed


def fit_loss(
    score: ArrayLike,
    exit_loss: ArrayLike,
    stay_loss: ArrayLike,
    target: float,
    risk: float = 0.05,
    gains: bool = True,
    n_ways: int = 1,
    draw: Draw = Draw(),  # noqa: B008 (it is frozen)
) -> Fit:
    """The lowest threshold whose mean loss against the reference is at most ``target``, wrongly so with probability ``risk``.

    Over the draw of these questions, P(true mean loss at the threshold > ``target``) <= ``risk``. Learn then Test
    (Angelopoulos, Bates, Candès, Jordan and Lei, arXiv 2110.01052), theorem 1 with fixed-sequence testing: the hypothesis "the
    loss is more than ``target``" is tested from the highest threshold down with the exact test of
    :mod:`stitchvlm.calibration.paired`, and the last one refuted before the first that stands is taken.

    Args:
        score: one exit score per question.
        exit_loss, stay_loss: from :func:`paired_losses`.
        target: share of questions, in (0, 1).
        risk: probability, in (0, 0.5].
        gains: False where a loss of -1 cannot happen, as when agreement stands in for being right.
        n_ways: among how many ways of answering, each fitted to the same questions by a call of its own, one will be chosen. Every
            one is tested at ``risk / n_ways``, so that the promise holds whichever it is (Bonferroni).
        draw: how the questions were drawn, for what is said of their number.

    Raises:
        NoPromiseError: if no threshold at which anything exits can be promised; the message says how many would have to be
            recorded, those to set aside included.
        ValueError: if the target or the risk is out of its range.
    """
    scores, left, stayed = _same_length(score, exit_loss, stay_loss)
    if not 0 < target < 1:
        raise ValueError(f"an accuracy loss must lie between 0 and 1, not {target}: 0.01 is one point")
    if not 0 < risk <= 0.5:
        raise ValueError(f"the risk must lie between 0 and 0.5, not {risk}")
    level = risk / n_ways
    n, needed = len(scores), min_samples(target, level, gains)
    asked = f"an accuracy loss of at most {target:g} at risk {risk:g}"
    if n < needed:
        raise NoPromiseError(
            f"{asked} cannot be promised from {draw.count(n)}: it takes {draw.count(needed)} even if no answer changes"
            f"{_with_aside(draw, needed)}; record more, or allow a larger loss or risk"
        )
    n_exits, sums, n_nonzero = _paths(scores, left, stayed)
    chosen = -1
    for place, (total, count) in enumerate(zip(sums.tolist(), n_nonzero.tolist(), strict=True)):
        largest = largest_sum(n, count, target, level, gains)
        if largest is None or total > largest:
            break
        chosen = place
    if chosen < 0 or n_exits[chosen] == 0:
        raise NoPromiseError(
            f"{asked} cannot be promised from {draw.count(n)}: "
            + _way_out(n_exits, sums, n_nonzero, target, level, n, draw)
        )
    return Fit(
        threshold=float(THRESHOLDS[chosen]),
        n=n,
        exits=float(n_exits[chosen] / n),
        value=float(sums[chosen] / n),
        promise=f"with probability {1 - risk:g} over the draw of what it was fitted on, {draw.count(n)}, the expected loss on "
        f"{draw.new} of their kind is at most {target:g}",
        theorem="Learn then Test (arXiv 2110.01052), theorem 1, fixed-sequence testing with an exact paired test"
        + (f", at 1/{n_ways} of the risk for each of {n_ways} ways of answering" if n_ways > 1 else ""),
    )


def fit_exits(score: ArrayLike, share: float, draw: Draw = Draw()) -> Fit:  # noqa: B008 (it is frozen)
    """The threshold at which new questions exit with probability ``share``, on average over the draw of these.

    The k-th highest of n scores, k = ceil((n + 1) share): a new score is as likely to take any of the n + 1 ranks, so it
    reaches the threshold with probability k / (n + 1) (Vovk, Gammerman and Shafer, 2005, chapter 2); ties exit too.

    Raises:
        NoPromiseError: if fewer drafts than that may exit at all.
        ValueError: if the share is not in (0, 1].
    """
    scores = _same_length(score)[0]
    if not 0 < share <= 1:
        raise ValueError(f"a share of exits must lie in (0, 1], not {share}")
    n, rank = len(scores), math.ceil((len(scores) + 1) * share - 1e-9)
    n_able = int((scores >= 0).sum())
    if rank > n_able < n:
        raise NoPromiseError(
            f"a share of exits of {share:g} cannot be had: {n - n_able} of {n} drafts were cut short, which never exit; "
            "ask for fewer exits, or record whole drafts"
        )
    threshold = 0.0 if rank > n else float(np.sort(scores)[n - rank])
    return Fit(
        threshold=threshold,
        n=n,
        exits=float((scores >= threshold).mean()),
        value=float((scores >= threshold).mean()),
        promise=f"{draw.new} of their kind exits with probability {share:g} or more, on average over the draw of what it was "
        f"fitted on, {draw.count(n)}",
        theorem="ranks of exchangeable scores (Vovk, Gammerman and Shafer, 2005, chapter 2)",
    )


def fit_seconds(score: ArrayLike, small_seconds: ArrayLike, large_seconds: ArrayLike, target: float) -> Fit:
    """The highest threshold whose mean seconds per question are at most ``target``, on these questions.

    Seconds have no bound and belong to one machine, so nothing is promised for new ones.

    Args:
        small_seconds: what a question takes in any case.
        large_seconds: what it takes in addition where it does not exit.

    Raises:
        NoPromiseError: if even exiting always takes longer.
        ValueError: if the target is not more than 0.
    """
    scores, small, large = _same_length(score, small_seconds, large_seconds)
    if not target > 0:
        raise ValueError(f"seconds per question must be more than 0, not {target}")
    least = float(small.mean() + large[scores < 0].sum() / len(scores))
    if least > target:
        alone = "the small model alone takes" if (scores >= 0).all() else "with every exit that may be it takes"
        raise NoPromiseError(f"{counted(target, 'second')} per question cannot be met: {alone} {least:.3g}; give more")
    candidates = np.append(1.0, np.unique(scores[scores >= 0])[::-1])
    order = np.argsort(-scores, kind="stable")
    spared = np.append(0.0, np.cumsum(large[order]))[_n_reaching(scores, candidates)]
    means = small.mean() + (large.sum() - spared) / len(scores)
    place = int(np.argmax(means <= target + 1e-12))
    threshold = float(candidates[place])
    return Fit(
        threshold=threshold,
        n=len(scores),
        exits=float((scores >= threshold).mean()),
        value=float(means[place]),
        promise="nothing is promised: the mean seconds are those of the questions it was fitted on, on that machine",
    )


def _same_length(*columns: ArrayLike) -> tuple[Floats, ...]:
    arrays = tuple(np.asarray(column, float) for column in columns)
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1 or not len(arrays[0]):
        raise ValueError("there must be at least one question, and the same number in every column")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("a number is not finite: record that question anew")
    return arrays


def _n_reaching(scores: Floats, thresholds: Floats) -> NDArray[np.intp]:
    """How many scores are at least each of the thresholds."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def _paths(
    scores: Floats, left: Floats, stayed: Floats
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """At every threshold: how many exit, the sum of the losses, and how many losses are not 0."""
    n_exits = _n_reaching(scores, THRESHOLDS)
    order = np.argsort(-scores, kind="stable")

    def totals(on_exit: Floats, on_stay: Floats) -> NDArray[np.int64]:
        changes = np.append(0.0, np.cumsum((on_exit - on_stay)[order]))
        return np.rint(on_stay.sum() + changes[n_exits]).astype(np.int64)

    return n_exits, totals(left, stayed), totals(np.abs(left), np.abs(stayed))


def _way_out(
    n_exits: NDArray[np.intp],
    sums: NDArray[np.int64],
    n_nonzero: NDArray[np.int64],
    target: float,
    risk: float,
    n: int,
    draw: Draw,
) -> str:
    """What would help: about how much to record, if they are like these, for half of the exits that these would bear."""
    good = np.flatnonzero((sums / n <= target) & (n_exits > 0))
    if not len(good):
        return "on these questions every threshold loses more than that, so more of them will not help; allow a larger loss"
    most = n_exits[good].max()
    half = good[np.argmax(n_exits[good] >= most / 2)]
    margin = target - sums[half] / n
    if margin <= 0:
        return "the loss on these questions is just that, so more of them will not help; allow a larger loss"
    # The exact test asks for about 15 % more standard errors than a test that knew how often the answers differ.
    errors = 1.15 * NormalDist().inv_cdf(1 - risk)
    count = math.ceil(max(n + 1, errors**2 * n_nonzero[half] / n / margin**2))
    digits = 10 ** max(0, len(str(count)) - 2)
    count = math.ceil(count / digits) * digits
    return (
        f"about {draw.count(count)} would do for {n_exits[half] / n:.0%} of exits if they are like these"
        f"{_with_aside(draw, count)}; record more, or allow a larger loss or risk"
    )


def _with_aside(draw: Draw, n_fitted: int) -> str:
    """How many that is with those that are set aside, in words; nothing where none are."""
    n = draw.n_recorded(n_fitted)
    return f", and {n:,} {draw.unit}s with those set aside for the report" if n > n_fitted else ""
