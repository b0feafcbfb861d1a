"""Every exit threshold from one run: both models' answers and the seconds of both are on every line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stitchvlm.evaluation.statistics import mean_interval
from stitchvlm.exits.scores import CUT

_POINTS = 20


@dataclass(frozen=True)
class ExitPoint:
    """What a threshold would have given.

    Attributes:
        threshold: answers of the small model stand from this score on; None where none does.
        exits: share of questions that would have exited.
        accuracy: mean score, with its 95 % interval.
        seconds: mean wall seconds; the small model and the exit check are on everybody's path.
    """

    threshold: float | None
    exits: float
    accuracy: float
    low: float
    high: float
    seconds: float


def exit_curve(records: Sequence[dict[str, Any]]) -> list[ExitPoint]:
    """Thresholds at which 0, 5, 10, … 100 % of the questions exit; empty unless both models answered every question.

    Ties exit together, so that shares may be passed over. A draft that was cut short never exits.
    """
    if not records or any(_lacks_a_side(record) for record in records):
        return []
    ranked = sorted((record for record in records), key=_exit_score, reverse=True)
    n_able = sum(_exit_score(record) >= 0 for record in ranked)
    points: dict[int, ExitPoint] = {}
    for step in range(_POINTS + 1):
        n_exits = min(round(len(ranked) * step / _POINTS), n_able)
        while 0 < n_exits < n_able and _exit_score(ranked[n_exits]) == _exit_score(ranked[n_exits - 1]):
            n_exits += 1
        points[n_exits] = _point(ranked, n_exits)
    return list(points.values())


def at_shares(
    curve: Sequence[dict[str, Any]], shares: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
) -> list[dict[str, Any]]:
    """The points of a curve nearest to some shares of exits, each once; what is written is a dict."""
    nearest = [min(curve, key=lambda point: abs(point["exits"] - share)) for share in shares] if curve else []
    return [point for place, point in enumerate(nearest) if point not in nearest[:place]]


def _point(ranked: Sequence[dict[str, Any]], n_exits: int) -> ExitPoint:
    scores = [record["small_score"] for record in ranked[:n_exits]]
    scores += [record["large_score"] for record in ranked[n_exits:]]
    seconds = [_seconds(record, exits=place < n_exits) for place, record in enumerate(ranked)]
    threshold, n = _exit_score(ranked[n_exits - 1]) if n_exits else None, len(ranked)
    interval = mean_interval(scores, [record["group"] for record in ranked])
    return ExitPoint(threshold, n_exits / n, sum(scores) / n, *interval, sum(seconds) / n)


def _lacks_a_side(record: dict[str, Any]) -> bool:
    return None in (record["small_score"], record["large_score"], record["scores"]["exit"])


def _exit_score(record: dict[str, Any]) -> float:
    return record["scores"]["exit"] if record["draft_complete"] else CUT


def _seconds(record: dict[str, Any], exits: bool) -> float:
    stages = record["seconds"] | record["spared_seconds"]
    return sum(
        seconds for stage, seconds in stages.items() if stage != "total" and not (exits and stage.startswith("large_"))
    )
