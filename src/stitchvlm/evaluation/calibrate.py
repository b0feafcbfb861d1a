"""From a file of results to a fitted exit: what is asked for, the split, the fit, and what the set-aside questions say."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchvlm.calibration.fit import Fit, fit_exits, fit_loss, fit_seconds, paired_losses
from stitchvlm.calibration.split import Draw, Rows, split
from stitchvlm.errors import NoPromiseError
from stitchvlm.evaluation.belonging import check_ways, matched_groups
from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.statistics import paired_difference, wilson_interval
from stitchvlm.evaluation.target import Target
from stitchvlm.exits import Calibration, SmallEarlyExit
from stitchvlm.exits.scores import ScoreName

Floats = NDArray[np.float64]

ENOUGH = 100
"""Questions to fit a share of exits or seconds on: with fewer the interval of the share is some 20 points wide or more."""


@dataclass(frozen=True)
class Columns:
    """What the fit and the report look at, one entry per question."""

    score: Floats
    small: Floats
    large: Floats
    reference: Floats

    def take(self, rows: Rows) -> "Columns":
        """Some of the questions."""
        return Columns(self.score[rows], self.small[rows], self.large[rows], self.reference[rows])


@dataclass(frozen=True)
class Calibrated:
    """A calibration and the columns of the questions that were set aside from it.

    Attributes:
        source: the file that it was fitted to.
        draw: how the questions of both were drawn.
    """

    calibration: Calibration
    fit: Fit
    aside: Columns
    source: str
    draw: Draw

    @property
    def warning(self) -> str | None:
        """What a fit to a handful cannot tell, where it promises no bound that says so itself; None where it is on enough."""
        if self.fit.n >= ENOUGH or self.calibration.risk is not None:
            return None
        low, high = wilson_interval(self.fit.exits * self.fit.n, self.fit.n)
        return (
            f"this was fitted on {self.draw.count(self.fit.n)} only: {self.fit.exits:.0%} of them exit, which of all like them "
            f"may be anything from {low:.0%} to {high:.0%} (95 % interval); record {self.draw.n_recorded(ENOUGH)} or more"
        )


def calibrate(
    ways: Sequence[Recorded],
    target: Target,
    *,
    risk: float = 0.05,
    score: ScoreName = "confidence",
    report: float = 0.2,
    seed: int = 0,
    group: str | None = None,
    reference: Recorded | None = None,
    agreement: bool = False,
) -> Calibrated:
    """Fit an exit threshold on part of the recorded questions, and report what it does on the others.

    Args:
        ways: the same questions, answered by both models in the way that the exit is for. Of several ways, as of several shares
            of visual tokens, the quickest that keeps the promise is taken, or for seconds the one most often right.
        risk: probability that the promise of a loss target is wrong.
        score: which exit score.
        report: share of the pictures (or groups) to set aside.
        seed: of the draw of one question a picture, of the split, and of the rounding of partial credits; to be chosen before
            anybody looks at what it gives, or the promise is void.
        group: a pattern; questions whose ids match it alike depend on each other, and one of them is drawn. None draws one
            question of every picture.
        reference: results of the large model alone, if the loss is to count what reduction costs as well.
        agreement: let agreement with the large model's answers (the reference's, if given) stand in for being right.

    Raises:
        NoPromiseError: if the questions do not bear the target.
        ValueError: if something it needs was not recorded, or the files do not belong together.
    """
    check_ways(ways, target, reference)
    draw = Draw("picture" if group is None else "group", report)
    ids = ways[0].ids
    reference = None if reference is None else reference.aligned(ids)
    groups = ways[0].groups if group is None else matched_groups(ids, group)
    fitted, aside = split(groups, seed, draw)
    found: list[tuple[float, Recorded, Columns, Fit]] = []
    refused: list[NoPromiseError] = []
    for way in (way.aligned(ids) for way in ways):
        columns = _columns(way, reference, score, agreement)
        seconds = None if len(ways) == 1 and target.kind != "seconds" else _take(way.seconds(score), fitted)
        try:
            fit = _fit(columns.take(fitted), seconds, target, risk, seed, agreement, len(ways), draw)
        except NoPromiseError as error:
            refused.append(error)
        else:
            found.append((_cost(columns.take(fitted), seconds, target, fit.threshold), way, columns, fit))
    if not found:
        several = f"none of the {len(ways)} files bears it; {ways[-1].name}: " if len(ways) > 1 else ""
        raise NoPromiseError(f"{several}{refused[-1]}")
    _, way, columns, fit = min(found, key=lambda one: one[0])
    calibration = Calibration(
        threshold=fit.threshold,
        score=score,
        consistency_keep=SmallEarlyExit.consistency_keep,
        target=str(target),
        promise=fit.promise + _meaning(target, reference, agreement),
        theorem=fit.theorem,
        n=fit.n,
        labels="agreement" if agreement else "gold",
        seed=seed,
        settings=way.settings,
        risk=risk if target.kind == "accuracy-loss" else None,
        report=outcome(columns.take(aside), fit.threshold),
    )
    return Calibrated(calibration, fit, columns.take(aside), way.name, draw)


def _fit(
    part: Columns,
    seconds: tuple[Floats, Floats] | None,
    target: Target,
    risk: float,
    seed: int,
    agreement: bool,
    n_ways: int,
    draw: Draw,
) -> Fit:
    """The threshold of one way."""
    if target.kind == "accuracy-loss":
        losses = paired_losses(part.small, part.large, part.reference, seed)
        return fit_loss(part.score, *losses, target.value, risk, not agreement, n_ways, draw)
    if target.kind == "exit":
        return fit_exits(part.score, target.value, draw)
    assert seconds is not None, "taken for this target"
    return fit_seconds(part.score, *seconds, target.value)


def _cost(part: Columns, seconds: tuple[Floats, Floats] | None, target: Target, threshold: float) -> float:
    """By what one way is better than another, lower being better: wrong answers in given seconds, else seconds."""
    exits = part.score >= threshold
    if target.kind == "seconds":
        return -float(np.where(exits, part.small, part.large).mean())
    if seconds is None:
        return 0.0
    small, large = seconds
    return float((small + np.where(exits, 0.0, large)).mean())


def _take(columns: tuple[Floats, Floats], rows: Rows) -> tuple[Floats, Floats]:
    return columns[0][rows], columns[1][rows]


def outcome(columns: Columns, threshold: float) -> dict[str, Any]:
    """What a threshold does to questions: exits, accuracy, and the loss against the reference, with 95 % intervals."""
    exits = columns.score >= threshold
    live = np.where(exits, columns.small, columns.large)
    n, n_exits = len(exits), int(exits.sum())
    gain = paired_difference(live.tolist(), columns.reference.tolist())
    return {
        "n": n,
        "exits": n_exits / n,
        "exits_interval": list(wilson_interval(n_exits, n)),
        "accuracy": float(live.mean()),
        "reference_accuracy": float(columns.reference.mean()),
        "loss": -gain.mean,
        "loss_interval": [-gain.high, -gain.low],
    }


def _columns(recorded: Recorded, reference: Recorded | None, score: str, agreement: bool) -> Columns:
    against = recorded if reference is None else reference
    if agreement:
        answers = against.large_answers()
        return Columns(
            recorded.score(score),
            recorded.agreement("small", answers),
            recorded.agreement("large", answers),
            np.ones(len(recorded)),
        )
    return Columns(
        recorded.score(score), recorded.rightness("small"), recorded.rightness("large"), against.rightness("large")
    )


def _meaning(target: Target, reference: Recorded | None, agreement: bool) -> str:
    """What the promise is about, where it speaks of a loss."""
    if target.kind != "accuracy-loss":
        return ""
    whom = "the large model's answers in the recorded run" if reference is None else "the large model alone"
    if not agreement:
        return f", against {whom}"
    return (
        f"; the loss is the share of answers that differ from {whom} (upper case, spaces, a currency sign and a full stop at the "
        "end aside), so that exact-match accuracy falls by no more than that"
    )


def as_json(calibrated: Calibrated) -> dict[str, Any]:
    """The calibration and its fit as one JSON-able object."""
    fit = calibrated.fit
    told: dict[str, Any] = {"source": calibrated.source, "warning": calibrated.warning}
    told["fitted"] = {"n": fit.n, "exits": fit.exits, "value": fit.value}
    return asdict(calibrated.calibration) | told
