"""From a file of results to a fitted exit: what is asked for, the split, the fit, and what the set-aside questions say."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchvlm.calibration.fit import Fit, fit_exits, fit_loss, fit_seconds, paired_losses
from stitchvlm.calibration.split import Rows, split
from stitchvlm.errors import NoPromiseError
from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.statistics import paired_difference, wilson_interval
from stitchvlm.evaluation.target import Target
from stitchvlm.exits import Calibration, SmallEarlyExit
from stitchvlm.exits.scores import ScoreName

Floats = NDArray[np.float64]


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
    """

    calibration: Calibration
    fit: Fit
    aside: Columns
    source: str


def calibrate(
    ways: Sequence[Recorded],
    target: Target,
    *,
    risk: float = 0.05,
    score: ScoreName = "mean",
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
        report: share of the questions to set aside.
        seed: of the split and of the rounding of partial credits.
        group: a pattern; questions whose ids match it alike depend on each other, and one of them is drawn. None draws one
            question of every picture.
        reference: results of the large model alone, if the loss is to count what reduction costs as well.
        agreement: let agreement with the large model's answers (the reference's, if given) stand in for being right.

    Raises:
        NoPromiseError: if the questions do not bear the target.
        ValueError: if something it needs was not recorded, or the files do not belong together.
    """
    _check_ways(ways, target, reference)
    ids = ways[0].ids
    reference = None if reference is None else reference.aligned(ids)
    groups = ways[0].groups if group is None else _matched(ids, group)
    fitted, aside = split(groups, report, seed)
    found: list[tuple[float, Recorded, Columns, Fit]] = []
    refused: list[NoPromiseError] = []
    for way in (way.aligned(ids) for way in ways):
        columns = _columns(way, reference, score, agreement)
        seconds = None if len(ways) == 1 and target.kind != "seconds" else _take(way.seconds(score), fitted)
        try:
            fit = _fit(columns.take(fitted), seconds, target, risk, seed, agreement, len(ways))
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
    return Calibrated(calibration, fit, columns.take(aside), way.name)


def _fit(
    part: Columns,
    seconds: tuple[Floats, Floats] | None,
    target: Target,
    risk: float,
    seed: int,
    agreement: bool,
    n_ways: int,
) -> Fit:
    """The threshold of one way."""
    if target.kind == "accuracy-loss":
        losses = paired_losses(part.small, part.large, part.reference, seed)
        return fit_loss(part.score, *losses, target.value, risk, not agreement, n_ways)
    if target.kind == "exit":
        return fit_exits(part.score, target.value)
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
    return f"; the loss is the share of answers that differ from {whom}, so that accuracy falls by no more than that"


def _check_ways(ways: Sequence[Recorded], target: Target, reference: Recorded | None) -> None:
    """Raise a ValueError if the files are not of the same models and questions, or cannot be chosen among."""
    if len(ways) > 1 and target.kind == "exit":
        raise ValueError(f"{target} does not say which of {len(ways)} files is better: give one, or another target")
    if len(ways) > 1 and target.kind == "accuracy-loss" and reference is None:
        raise ValueError(
            f"{len(ways)} files lose against as many large answers: name those of large-alone as --reference"
        )
    for name, others in (
        ("large", [*ways, *([] if reference is None else [reference])]),
        ("small", ways),
        ("task", ways),
    ):
        for other in others:
            ours, theirs = ways[0].settings.get(name), other.settings.get(name)
            if ours != theirs:
                raise ValueError(
                    f"{other.name} was recorded with {name} {theirs!r} and {ways[0].name} with {ours!r}: "
                    f"give files of the same {name}"
                )


def _matched(ids: Sequence[str], pattern: str) -> Sequence[str]:
    """The part of every id that the pattern matches."""
    try:
        found = [re.search(pattern, name) for name in ids]
    except re.error as error:
        raise ValueError(f"the group {pattern!r} is no regular expression ({error})") from None
    unmatched = [name for name, match in zip(ids, found, strict=True) if match is None]
    if unmatched:
        raise ValueError(f"the group {pattern!r} does not match the id {unmatched[0]}: give one that matches every id")
    return [match.group() for match in found if match is not None]


def as_json(calibrated: Calibrated) -> dict[str, Any]:
    """The calibration and its fit as one JSON-able object."""
    fit = calibrated.fit
    told = {"source": calibrated.source, "fitted": {"n": fit.n, "exits": fit.exits, "value": fit.value}}
    return asdict(calibrated.calibration) | told
