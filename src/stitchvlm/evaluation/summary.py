"""What the lines of a run add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stitchvlm.evaluation.metrics import normalise
from stitchvlm.evaluation.statistics import Difference, Spread, mean_interval, paired_difference
from stitchvlm.plural import counted

Record = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """A group of answered questions.

    Attributes:
        pictures: how many different ones the questions are about.
        accuracy: mean score of the answers; ``low`` and ``high`` bound it with 95 % confidence, counting what questions about
            one picture have in common. None where nobody said what is right.
        agreement: share of questions to which both models gave the same answer; None unless both answered every question.
        small_accuracy: that of the small model's own answers; None unless it answered every question.
        large_accuracy: that of the large model's own answers, tokens reduced as the run says.
        exits: share of questions that the small model answered.
        average_retention: share of visual tokens that the large model computed, averaged over its layers and over all
            questions; an exit counts as 0.
        kept: visual tokens left after the large model's last layer, the mean over questions; an exit counts as 0.
        visual: visual tokens of a question, the mean.
        flops: floating-point operations of a question, the mean.
        seconds: mean wall time of a question, put together from the stages of the path.
        stages: wall seconds per stage over the questions that ran it, and ``total``.
        first_token: seconds until the first token.
        live: seconds a user waits, nothing shared with other rows, over the questions on which that was measured.
        live_first_token: the same until the first token.
        difference: against the large model alone on the same questions; None where it was not asked.
    """

    n: int
    pictures: int
    accuracy: float | None
    low: float | None
    high: float | None
    agreement: float | None
    small_accuracy: float | None
    large_accuracy: float | None
    exits: float
    average_retention: float
    kept: float
    visual: float
    flops: float
    seconds: float
    stages: dict[str, Spread]
    first_token: Spread | None
    live: Spread | None
    live_first_token: Spread | None
    difference: Difference | None

    @classmethod
    def of(cls, records: Sequence[Record], baseline: Mapping[str, float] | None = None) -> "Summary":
        """The summary of at least one record; ``baseline`` has scores of the large model alone by question id."""
        n, scores = len(records), [record["score"] for record in records]
        judged = None not in scores
        low, high = mean_interval(scores, groups_of(records)) if judged else (None, None)
        lived = [record["live"] for record in records if record["live"]]
        return cls(
            n=n,
            pictures=len(set(groups_of(records))),
            accuracy=_mean_or_none(scores),
            low=low,
            high=high,
            agreement=_agreement(records),
            small_accuracy=_mean_or_none([record["small_score"] for record in records]),
            large_accuracy=_mean_or_none([record["large_score"] for record in records]),
            exits=sum(record["answered_by"] == "small" for record in records) / n,
            average_retention=_mean([record["tokens"]["average_retention"] for record in records]),
            kept=_mean([record["tokens"]["kept"] for record in records]),
            visual=_mean([record["tokens"]["visual"] for record in records]),
            flops=_mean([record["flops"]["total"] for record in records]),
            seconds=_mean([record["seconds"]["total"] for record in records]),
            stages=_stages(records),
            first_token=Spread.of([record["first_token"] for record in records]),
            live=Spread.of([one["total"] for one in lived]),
            live_first_token=Spread.of([one["first_token"] for one in lived]),
            difference=_difference(records, baseline or {}),
        )


def summarise(records: Sequence[Record], baseline: Mapping[str, float] | None = None) -> dict[str, Summary]:
    """One summary per kind of question in alphabetical order, and ``all`` as the last."""
    kinds = sorted({record["kind"] for record in records} - {"all"})
    groups = {kind: [record for record in records if record["kind"] == kind] for kind in kinds}
    return {kind: Summary.of(group, baseline) for kind, group in groups.items()} | {
        "all": Summary.of(records, baseline)
    }


def as_json(groups: dict[str, Summary]) -> dict[str, dict[str, Any]]:
    """Summaries as one JSON-able object."""
    return {name: asdict(summary) for name, summary in groups.items()}


def scores_by_id(records: Sequence[Record]) -> dict[str, float]:
    """The score of every answered question."""
    return {record["id"]: record["score"] for record in records}


def groups_of(records: Sequence[Record]) -> list[str]:
    """Per answered question what it has in common with those that depend on it."""
    return [record["group"] for record in records]


def asked_about(n: int, pictures: int | None) -> str:
    """So many questions about so many pictures, in words; results from before say nothing of pictures."""
    return counted(n, "question") + (f" about {counted(pictures, 'picture')}" if pictures else "")


def _difference(records: Sequence[Record], baseline: Mapping[str, float]) -> Difference | None:
    shared = [record for record in records if record["id"] in baseline]
    if not shared:
        return None
    ours, theirs = ([record["score"] for record in shared], [baseline[record["id"]] for record in shared])
    return paired_difference(ours, theirs, groups_of(shared))


def _agreement(records: Sequence[Record]) -> float | None:
    pairs = [(record["small_answer"], record["large_answer"]) for record in records]
    if any(None in pair for pair in pairs):
        return None
    return _mean([float(normalise(small) == normalise(large)) for small, large in pairs])


def _stages(records: Sequence[Record]) -> dict[str, Spread]:
    found: dict[str, list[float]] = {}
    for record in records:
        for stage, seconds in record["seconds"].items():
            found.setdefault(stage, []).append(seconds)
    total = found.pop("total")
    spreads = {stage: Spread.of(values) for stage, values in [*found.items(), ("total", total)]}
    return {stage: spread for stage, spread in spreads.items() if spread is not None}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return _mean(numbers) if len(numbers) == len(values) else None
