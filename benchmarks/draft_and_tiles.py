"""What it costs in accuracy to reuse the draft and to leave tiles out: the embedded pair on its checked-in test split.

    python benchmarks/draft_and_tiles.py      # goes on where it stopped

Every row is ``guided`` at 9 % or 18 %, and is compared with the plain one at its share, which decodes its answer anew. The pair's
large model has 12 layers. At 9 % tokens leave before layer 0: tiles without any kept token are never encoded there, whatever is
asked for, and nothing changes by that, so that the draft is the only difference between the first two rows. At 18 % they leave
before layer 1, and tiles are left out only from layer 0 or with ``skip_tiles``, where layer 0 lacks the tokens of those. A budget
holds the kept tokens to so many tiles, a mass to the fewest tiles that have that share of their scores. Differences are paired,
with 95 % intervals; ``texts_differ`` counts answers that are not the plain row's letter by letter. A second study in float32 tells
whether a draft changes an answer by more than the rounding of bfloat16.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness import write_result
from reproduce import answered

from stitchvlm.evaluation.settings import RunSettings, by_label
from stitchvlm.evaluation.statistics import mean_interval, paired_difference
from stitchvlm.evaluation.summary import groups_of
from stitchvlm.evaluation.tasks import load_task

KEEPS = (0.09, 0.18)
BUDGETS = (1, 2, 3)
MASSES = (0.8, 0.9, 0.95)
TASK = "scenes"

Records = list[dict[str, Any]]


def ways(base: RunSettings) -> dict[str, RunSettings]:
    """The rows by what they are called here; the plain one of each share first."""
    rows = {}
    for keep in KEEPS:
        share, reused = f"{keep:.0%}", replace(base, keep=keep)
        rows[f"plain {share}"] = replace(reused, reuse_drafts=False)
        rows[f"draft {share}"] = reused
        if keep != KEEPS[0]:
            rows[f"draft from layer 0 {share}"] = replace(reused, layer=0)
            rows[f"draft + tiles {share}"] = replace(reused, options={"skip_tiles": True})
        for budget in BUDGETS:
            held = {"skip_tiles": True, "tile_budget": budget}
            rows[f"draft + {budget} tiles at most {share}"] = replace(reused, options=held)
        for mass in MASSES:
            held = {"skip_tiles": True, "tile_mass": mass}
            rows[f"draft + tiles with {mass:.0%} of the scores {share}"] = replace(reused, options=held)
    return rows


def in_float32(rows: Mapping[str, RunSettings]) -> dict[str, RunSettings]:
    """Those that say whether a draft changes an answer, in a precision that leaves no near-ties."""
    wanted = [f"{name} {keep:.0%}" for keep in KEEPS for name in ("plain", "draft")]
    return {name: replace(rows[name], dtype="float32") for name in wanted}


def compare(records: Mapping[str, Records]) -> dict[str, Any]:
    """Every row with its difference from the plain row of its share; None for that row itself."""
    return {name: _told(rows, records[f"plain {name.rpartition(' ')[2]}"]) for name, rows in records.items()}


def _told(rows: Records, plain: Records) -> dict[str, Any]:
    before = {record["id"]: record for record in plain}
    scores, groups = [record["score"] for record in rows], groups_of(rows)
    low, high = mean_interval(scores, groups)
    difference = paired_difference(scores, [before[record["id"]]["score"] for record in rows], groups)
    proposed = sum(record["proposed"]["tokens"] for record in rows)
    return {
        "accuracy": sum(scores) / len(scores),
        "low": low,
        "high": high,
        "difference": None if rows is plain else asdict(difference),
        "texts_differ": sum(record["answer"] != before[record["id"]]["answer"] for record in rows),
        "average_retention": _mean(record["tokens"]["average_retention"] for record in rows),
        "tiles": _mean(record["tiles"]["all"] for record in rows),
        "tiles_encoded": _mean(record["tiles"]["encoded"] for record in rows),
        "share_of_tiles_encoded": _mean(record["tiles"]["encoded"] / record["tiles"]["all"] for record in rows),
        "proposed": proposed / len(rows),
        "accepted": _mean(record["proposed"]["accepted"] for record in rows),
        "drafts_accepted_whole": _mean(
            float(record["proposed"]["accepted"] == record["proposed"]["tokens"]) for record in rows
        )
        if proposed
        else None,
    }


def _mean(values: Any) -> float:
    found = list(values)
    return sum(found) / len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path("results-local/draft_and_tiles"))
    parser.add_argument("--out", type=Path, default=Path("results/draft_and_tiles.json"))
    options = parser.parse_args()
    samples, rows = load_task(TASK, options.questions), ways(RunSettings(exit="never", both=False))
    studies = {"own_dtype": rows, "float32": in_float32(rows)}
    told = {}
    for name, study in studies.items():
        if len(by_label(study.values())) != len(study):
            raise ValueError(f"of the {len(study)} rows of {name} some have the same settings")
        told[name] = compare(answered(study, samples, options.folder / name, TASK, name))
        for way, row in told[name].items():
            print(f"{name:10} {way:30} {row['accuracy']:.1%}, {row['texts_differ']} texts differ")
    write_result(options.out, {"benchmark": "draft_and_tiles", "task": TASK, "questions": len(samples), **told})


if __name__ == "__main__":
    main()
