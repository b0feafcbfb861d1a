"""From a file of results to a fitted exit: what is asked for, the split, the fit, and what the set-aside questions say."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.statistics import paired_difference, wilson_interval
from stitchvlm.exits import Calibration, SmallEarlyExit
from stitchvlm.exits.calibration import Fit, fit_exits, fit_loss, fit_seconds, paired_losses
from stitchvlm.exits.scores import ScoreName
from stitchvlm.exits.split import Rows, split

Floats = NDArray[np.float64]
Kind = Literal["exit", "accuracy-loss", "seconds"]


@dataclass(frozen=True)
class Target:
    """What a threshold is fitted to: a share of exits, a loss of accuracy, or mean seconds per question."""

    kind: Kind
    value: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``exit=0.4``, ``accuracy-loss=1%`` or ``seconds=0.5``.

        Raises:
            ValueError: if it is none of these.
        """
        kind, _, value = text.partition("=")
        number, scale = (value[:-1], 0.01) if value.endswith("%") and kind != "seconds" else (value, 1.0)
        try:
            if kind not in get_args(Kind):
                raise ValueError
            return cls(kind, float(number) * scale)  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(f"a target is exit=SHARE, accuracy-loss=SHARE or seconds=NUMBER, not {text!r}") from None


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
    """A calibration and the columns of the questions that were set aside from it."""

    calibration: Calibration
    fit: Fit
    aside: Columns


def calibrate(
    recorded: Recorded,
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
        recorded: questions that both models answered, in the way that the exit is for.
        risk: probability that the promise of a loss target is wrong.
        score: which exit score.
        report: share of the questions to set aside.
        seed: of the split and of the rounding of partial credits.
        group: a pattern; questions whose ids match it alike depend on each other, and one of them is drawn. None draws one
            question of every picture.
        reference: results of the large model alone, if the loss is to count what reduction costs as well.
        agreement: let agreement with the large model's answers (the reference's, if given) stand in for being right.

    Raises:
        ValueError: if the target cannot be promised, or something it needs was not recorded.
    """
    if reference is not None:
        _check_models(recorded, reference)
        reference = reference.aligned(recorded.ids)
    columns = _columns(recorded, reference, score, agreement)
    groups = recorded.groups if group is None else _matched(recorded.ids, group)
    fitted, aside = split(groups, report, seed)
    part = columns.take(fitted)
    if target.kind == "accuracy-loss":
        losses = paired_losses(part.small, part.large, part.reference, seed)
        fit = fit_loss(part.score, *losses, target.value, risk, gains=not agreement)
    elif target.kind == "exit":
        fit = fit_exits(part.score, target.value)
    else:
        small, large = recorded.seconds(score)
        fit = fit_seconds(part.score, small[fitted], large[fitted], target.value)
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
        settings=recorded.settings,
        risk=risk if target.kind == "accuracy-loss" else None,
        report=outcome(columns.take(aside), fit.threshold),
    )
    return Calibrated(calibration, fit, columns.take(aside))


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


def _check_models(recorded: Recorded, reference: Recorded) -> None:
    ours, theirs = recorded.settings.get("large"), reference.settings.get("large")
    if ours != theirs:
        raise ValueError(f"{reference.name} is by {theirs}, and {recorded.name} by {ours}: record the same large model")


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
    return asdict(calibrated.calibration) | {"fitted": {"n": fit.n, "exits": fit.exits, "value": fit.value}}
