"""What an answer about a receipt takes: the large model alone, guided, and guided with exits, in turn on every question.

Nothing is shared: each way answers every question as a user would have it. All of them answer one question before the next
comes, another one first each time, so that a slow moment of the machine hits all of them. Questions about one receipt are one
measurement, their mean; medians and ratios are of receipts.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import LARGE_ALONE, RunSettings
from stitchvlm.evaluation.statistics import median_interval, ratio_interval
from stitchvlm.evaluation.study import Study

GUIDED, EXITS = "guided", "guided + exits"

Record = dict[str, Any]


def ways(base: RunSettings, keep: float | str, exit: float | str | None) -> dict[str, RunSettings]:
    """The ways that are timed, by their names; without an exit two of them."""
    guided = replace(base, method="guided", keep=keep)
    rows = {LARGE_ALONE: replace(base, method=LARGE_ALONE), GUIDED: guided}
    return rows if exit is None else rows | {EXITS: replace(guided, exit=exit)}


def measure(study: Study, samples: Sequence[Sample], file: ResultFile) -> None:
    """Time what the file does not hold yet, after every way was asked once for nothing."""
    names = list(study.rows)
    left = [(number, sample) for number, sample in enumerate(samples) if sample.id not in file.ids()]
    for name in names if left else []:
        study.answer(left[0][1], name)
    for number, sample in left:
        first = number % len(names)
        answers = {name: study.answer(sample, name) for name in names[first:] + names[:first]}
        seconds = {name: answers[name].trace.seconds["total"] for name in names}
        exits = {name: answers[name].answered_by == "small" for name in names}
        file.append({"id": sample.id, "kind": sample.kind, "group": sample.group, "seconds": seconds, "exits": exits})
        told = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
        print(f"  timed {number + 1} of {len(samples)}: {told}", file=sys.stderr)


def figures(records: Sequence[Record]) -> dict[str, Any]:
    """Of every way its seconds, and how many times faster than the large model alone it is.

    Means and ratios of means are of all questions, medians of receipts; each with its 95 % interval, null where there are too few
    receipts for one. Where some questions exit the mean is what a user waits: the median is that of no question.
    """
    if not records:
        return {}
    groups = [record["group"] for record in records]
    seconds = {name: [record["seconds"][name] for record in records] for name in records[0]["seconds"]}
    alone = seconds[LARGE_ALONE]
    told = {}
    for name, own in seconds.items():
        told[name] = {
            "exits": statistics.mean(record["exits"][name] for record in records),
            "mean": _ratio(own, [1.0] * len(own), groups),
            "median": _median(_by_group(own, groups)),
        }
        if name != LARGE_ALONE:
            times = [a / b for a, b in zip(_by_group(alone, groups), _by_group(own, groups), strict=True)]
            told[name] |= {
                "times_large_alone": _ratio(alone, own, groups),
                "times_large_alone_median": _median(times),
            }
    return {"questions": len(records), "receipts": len(set(groups)), "ways": told}


def _by_group(values: Sequence[float], groups: Sequence[str]) -> list[float]:
    """The mean of every group, in the order in which they come first."""
    found: dict[str, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        found.setdefault(group, []).append(value)
    return [statistics.mean(own) for own in found.values()]


def _median(values: Sequence[float]) -> dict[str, float | None]:
    low, high = median_interval(values) or (None, None)
    return {"value": statistics.median(values), "low": low, "high": high}


def _ratio(above: Sequence[float], below: Sequence[float], groups: Sequence[str]) -> dict[str, float | None]:
    low, high = ratio_interval(above, below, groups) or (None, None)
    return {"value": sum(above) / sum(below), "low": low, "high": high}
