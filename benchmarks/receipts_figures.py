"""What the answers about receipts add up to: figures, and no text of a receipt."""

from dataclasses import asdict
from typing import Any

from stitchvlm.evaluation.coverage import coverage
from stitchvlm.evaluation.curve import at_shares, exit_curve
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.statistics import ratio_interval
from stitchvlm.evaluation.summary import Summary, summarise
from stitchvlm.exits.scores import CUT, ScoreName, combine

JUDGED_BY = ("exact", "anls")
EXITS = 0.4
"""The share of questions that the small model answers where exits are told."""
FEWEST_RECEIPTS = 10
"""With something right, below which a share of that has no interval."""

Records = list[dict[str, Any]]


def judged(records: Records, metric: str) -> Records:
    """The same answers with scores by another metric."""

    def score(record: dict[str, Any], name: str) -> float | None:
        return None if record[name] is None else METRICS[metric](record[name], record["answers"])

    return [
        record
        | {"score": score(record, "answer")}
        | {f"{model}_score": score(record, f"{model}_answer") for model in ("small", "large")}
        for record in records
    ]


def figures(records: Records, score: ScoreName = "mean") -> dict[str, Any]:
    """Of one way of answering: by field and metric the mean and its interval, what it took and kept. No text is among them."""
    whole = Summary.of(records)
    cost = {"seconds": whole.seconds, "average_retention": whole.average_retention, "visual": whole.visual}
    return {"fields": by_field(records), **cost, "covered": covered(records), "exits": exits(records, score)}


def by_field(records: Records) -> dict[str, Any]:
    """By field, all of them among these, the number of questions and by metric the mean and its interval."""
    by_metric = {metric: summarise(judged(records, metric)) for metric in JUDGED_BY}
    return {
        kind: {"n": summary.n} | {metric: _interval(groups[kind]) for metric, groups in by_metric.items()}
        for kind, summary in by_metric["exact"].items()
    }


def covered(records: Records) -> dict[str, Any]:
    """By field, how much of where the answers stand was kept; empty where no place is known or the large model was not asked."""
    kinds = {kind: [record for record in records if record["kind"] == kind] for kind in sorted(_kinds(records))}
    told = {kind: coverage(own) for kind, own in (kinds | {"all": records}).items()}
    return {kind: one for kind, one in told.items() if one is not None}


def beside(records: Records, alone: Records) -> dict[str, Any]:
    """What a way has right, as a share of what the large model alone has of the same questions, and how many it lost and won.

    Of the lost ones some were wrong in the small model's draft as well, which then looked elsewhere. Empty where nothing is shared.
    """
    right = {record["id"]: record["score"] == 1 for record in judged(alone, "exact") if record["score"] is not None}
    both = [record for record in judged(records, "exact") if record["score"] is not None and record["id"] in right]
    receipts = {record["group"] for record in both if right[record["id"]]}
    if not receipts:
        return {}
    own = [float(record["score"] == 1) for record in both]
    other = [float(right[record["id"]]) for record in both]
    enough = len(receipts) >= FEWEST_RECEIPTS
    low, high = (ratio_interval(own, other, [record["group"] for record in both]) if enough else None) or (None, None)
    lost = [record for record, mine, its in zip(both, own, other, strict=True) if its > mine]
    return {
        "n": len(both),
        "share": {"mean": sum(own) / sum(other), "low": low, "high": high},
        "lost": len(lost),
        "lost_with_a_wrong_draft": sum(
            record["small_score"] is not None and record["small_score"] < 1 for record in lost
        ),
        "won": sum(mine > its for mine, its in zip(own, other, strict=True)),
    }


def exits(records: Records, score: ScoreName = "mean") -> dict[str, Any]:
    """What the threshold nearest to that share of exits would have given; empty where one of the models did not answer."""
    scored = [record | {"scores": {**record["scores"], "exit": _exit_score(record, score)}} for record in records]
    points = at_shares([asdict(point) for point in exit_curve(judged(scored, "exact"))], (EXITS,))
    if not points:
        return {}
    (point,), decided = points, []
    for record in scored:
        small = point["threshold"] is not None and record["scores"]["exit"] >= point["threshold"]
        decided.append(record | {"answer": record["small_answer" if small else "large_answer"]})
    told = {name: point[name] for name in ("threshold", "exits", "seconds")}
    return {"score": score, **told, "fields": by_field(decided)}


def _exit_score(record: dict[str, Any], score: ScoreName) -> float | None:
    if record["scores"]["exit"] is None:
        return None
    return combine(score, record["scores"]) if record["draft_complete"] else CUT


def _kinds(records: Records) -> set[str]:
    return {record["kind"] for record in records}


def _interval(summary: Summary) -> dict[str, float | None]:
    return {"mean": summary.accuracy, "low": summary.low, "high": summary.high}
