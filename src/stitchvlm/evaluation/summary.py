"""What the lines of a run add up to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stitchvlm.evaluation.metrics import is_correct, wilson_interval


@dataclass(frozen=True)
class Summary:
    """A group of answered questions.

    Attributes:
        accuracy: share of right answers; ``low`` and ``high`` bound it with 95 % confidence.
        small_accuracy: that of the small model's own answers; None unless it answered every question.
        large_accuracy: that of the large model's own answers, tokens reduced as the run says.
        exits: share of questions that the small model answered.
        average_retention: share of visual tokens that the large model computed, averaged over its layers and over all
            questions; an exit counts as 0.
        seconds: mean wall time of the live path.
    """

    n: int
    n_correct: int
    accuracy: float
    low: float
    high: float
    small_accuracy: float | None
    large_accuracy: float | None
    exits: float
    average_retention: float
    seconds: float

    @classmethod
    def of(cls, records: Sequence[dict[str, Any]]) -> "Summary":
        """The summary of at least one record."""
        n, n_correct = len(records), sum(record["correct"] for record in records)
        low, high = wilson_interval(n_correct, n)
        return cls(
            n=n,
            n_correct=n_correct,
            accuracy=n_correct / n,
            low=low,
            high=high,
            small_accuracy=_accuracy(records, "small_answer"),
            large_accuracy=_accuracy(records, "large_answer"),
            exits=sum(record["answered_by"] == "small" for record in records) / n,
            average_retention=sum(record["tokens"]["average_retention"] for record in records) / n,
            seconds=sum(record["seconds"]["total"] for record in records) / n,
        )


def summarise(records: Sequence[dict[str, Any]]) -> dict[str, Summary]:
    """One summary per kind of question in alphabetical order, and ``all`` as the last."""
    kinds = sorted({record["kind"] for record in records})
    groups = {kind: Summary.of([record for record in records if record["kind"] == kind]) for kind in kinds}
    return groups | {"all": Summary.of(records)}


def as_json(groups: dict[str, Summary]) -> dict[str, dict[str, Any]]:
    """Summaries as one JSON-able object."""
    return {name: asdict(summary) for name, summary in groups.items()}


def _accuracy(records: Sequence[dict[str, Any]], field: str) -> float | None:
    if any(record[field] is None for record in records):
        return None
    return sum(is_correct(record[field], record["gold"]) for record in records) / len(records)
