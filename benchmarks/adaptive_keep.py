"""As many tokens as hold a share of the guide's mass, against the same share of every picture, at equal average cost.

    python benchmarks/adaptive_keep.py        # goes on where it stopped

Drawn questions that no test or training uses are parted by pictures. On the first part the mass is found whose average retention
is that of the fixed share from the same layer; on the second part both answer, and the accuracy of one less that of the other
is told with its paired 95 % interval, and what each kept there. Fonts are needed, as for training.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import drawn_questions, write_result
from reproduce import answered
from torch import Tensor

from stitchvlm.adaptive import MassKeep
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import RunSettings, by_label
from stitchvlm.evaluation.statistics import mean_interval, paired_difference
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.summary import groups_of
from stitchvlm.records import Question
from stitchvlm.schedule import Schedule
from stitchvlm.timing import Stopwatch

SEED = "mass-validation-0"
SHARES = (0.09, 0.18)

Records = list[dict[str, Any]]


def parted(samples: Sequence[Sample], n_first: int) -> tuple[list[Sample], list[Sample]]:
    """The first questions and the others; a picture's questions stay together, with the part in which they begin."""
    first = {sample.group for sample in samples[:n_first]}
    return [s for s in samples if s.group in first], [s for s in samples if s.group not in first]


def retention(maps: Sequence[Tensor], keep: MassKeep, n_layers: int, layer: int) -> float:
    """Share of visual tokens computed, averaged over layers and questions, where they leave before ``layer``."""
    kept = np.mean([keep.count(scores) / len(scores) for scores in maps])
    return float((layer + (n_layers - layer) * kept) / n_layers)


def find_mass(maps: Sequence[Tensor], wanted: float, n_layers: int, layer: int) -> float:
    """The mass, in steps of one in ten thousand, whose average retention is nearest to the one that is wanted."""
    low, high = 1, 10_000
    while low < high:  # retention never falls with the mass
        middle = (low + high) // 2
        enough = retention(maps, MassKeep(middle / 10_000), n_layers, layer) >= wanted
        low, high = (low, middle) if enough else (middle + 1, high)
    near = [mass / 10_000 for mass in (low - 1, low) if mass > 0]
    return min(near, key=lambda mass: abs(retention(maps, MassKeep(mass), n_layers, layer) - wanted))


def look(study: Study, samples: Sequence[Sample]) -> list[Tensor]:
    """The guide map of every question."""
    (row,) = study.rows.values()
    passes = (row.cascade.look([Question(s.question, (s.picture(),))], study.sampling, Stopwatch()) for s in samples)
    maps = []
    for found in passes:
        maps.append(found.drafts[0].guide.scores)
        study.small().forget()
    return maps


def compare(fixed: Records, adaptive: Records) -> dict[str, Any]:
    """Both on the same questions: accuracy, what was kept, and the difference of the adaptive one from the fixed one."""
    by_id = {record["id"]: record["score"] for record in fixed}
    scores = [record["score"] for record in adaptive]
    difference = paired_difference(scores, [by_id[record["id"]] for record in adaptive], groups_of(adaptive))
    return {"fixed": _told(fixed), "adaptive": _told(adaptive), "difference": asdict(difference)}


def _told(records: Records) -> dict[str, float]:
    scores = [record["score"] for record in records]
    low, high = mean_interval(scores, groups_of(records))
    kept = [record["tokens"]["kept"] / record["tokens"]["visual"] for record in records]
    return {
        "accuracy": sum(scores) / len(scores),
        "low": low,
        "high": high,
        "average_retention": float(np.mean([record["tokens"]["average_retention"] for record in records])),
        "kept_tenth": float(np.quantile(kept, 0.1)),
        "kept_median": float(np.median(kept)),
        "kept_nine_tenths": float(np.quantile(kept, 0.9)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path("results-local/adaptive_keep"))
    parser.add_argument("--out", type=Path, default=Path("results/adaptive_keep.json"))
    options = parser.parse_args()
    samples = drawn_questions(options.folder, options.questions, SEED)[: options.questions]
    first, second = parted(samples, options.questions // 2)
    base = RunSettings(exit="never", both=False)
    looking = Study({"look": base}, "cpu")
    n_layers, maps = looking.large().n_layers, look(looking, first)
    pairs, found = {}, {}
    for share in SHARES:
        (step,) = Schedule.for_average(share, n_layers).steps
        layer = step.layer(n_layers)
        wanted = float(
            np.mean([Schedule.for_average(share, n_layers).average_retention(n_layers, len(m)) for m in maps])
        )
        mass = find_mass(maps, wanted, n_layers, layer)
        pairs[share] = (replace(base, keep=share), replace(base, keep=str(MassKeep(mass)), layer=layer))
        expected = retention(maps, MassKeep(mass), n_layers, layer)
        found[share] = {"layer": layer, "mass": mass, "first_part": {"fixed": wanted, "adaptive": expected}}
    rows = by_label([replace(base, method="large-alone"), *(settings for pair in pairs.values() for settings in pair)])
    records = answered(rows, second, options.folder, SEED, "adaptive keep")
    for share, (fixed, adaptive) in pairs.items():
        found[share] |= compare(records[fixed.resolve().label], records[adaptive.resolve().label])
    told = {f"{share:.0%}": result for share, result in found.items()}
    counts = {"first": len(first), "second": len(second)}
    alone = _told(records["large-alone"])
    write_result(
        options.out,
        {"benchmark": "adaptive_keep", "questions": counts, "seed": SEED, "large_alone": alone, "shares": told},
    )


if __name__ == "__main__":
    main()
