"""What guidance finds on the embedded pair: how many tiles the kept tokens touch, and how much of the draft is accepted.

    python benchmarks/guide_statistics.py

Questions are spread evenly over the `scenes` test split, and none exits. Rows that are held to fewer tiles (`tile_budget` and
`tile_mass`) show what that costs; accuracy is against the right answers. `benchmarks/end_to_end.py` takes from here what a guide
of random weights cannot know. Tokens of a draft are those that are proposed: all but its end. Exit shares are those of the pair's
own fitted exit, which judges the drafts and lets none go.
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import write_result

from stitchvlm import Stitch
from stitchvlm.cascade import Cascade
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.evaluation.tasks import load_task
from stitchvlm.methods import Guided, LargeAlone, Method
from stitchvlm.records import Answer, Question
from stitchvlm.sampling import Sampling
from stitchvlm.timing import Stopwatch

KEEPS = (0.09, 0.18, 0.35, 0.64)
SCHEDULES: dict[str, int | None] = {"default": None, "from layer 0": 0}
BUDGETED = 0.09
"""The share at which selection is also held to fewer tiles, from layer 0."""
FEWER_TILES = {f"held to {n}": Guided(tile_budget=n) for n in (1, 2, 3)}
FEWER_TILES |= {f"tiles with {mass:.0%} of the scores": Guided(tile_mass=mass) for mass in (0.8, 0.9, 0.95)}
LARGE_ALONE = "large alone"


@dataclass(frozen=True)
class Found:
    """What one answer of the guided large model showed.

    Attributes:
        tiles, tiles_touched: of the question's pictures, and those that some kept token lies in.
        draft_tokens, accepted: proposed tokens, and those of them that are part of the answer.
        answer_tokens: of the large model's answer, its end included.
        score: of the answer, 1 where it is right.
    """

    tiles: int
    tiles_touched: int
    draft_tokens: int
    accepted: int
    answer_tokens: int
    score: float


def found(answer: Answer, answer_tokens: int, score: float) -> Found:
    """What the trace of an answer says."""
    trace = answer.trace
    assert trace.layout is not None and trace.kept is not None, "the large model answered"
    touched = len(trace.layout.tile_number[list(trace.kept)].unique())
    return Found(trace.n_tiles, touched, trace.n_proposed, trace.n_accepted, answer_tokens, score)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, median and the deciles and quartiles beside it."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    places = {"p10": 1, "p25": 4, "median": 9, "p75": 14, "p90": 17}
    return {"mean": statistics.mean(values), **{name: cuts[place] for name, place in places.items()}}


def counts(values: Sequence[int]) -> dict[str, int]:
    """How often each number occurs, smallest first."""
    return {str(value): count for value, count in sorted(Counter(values).items())}


def summary(rows: Sequence[Found]) -> dict[str, Any]:
    """Distributions over questions. Shares of a draft are over the questions whose draft says anything."""
    drafted = [row for row in rows if row.draft_tokens]
    return {
        "share_of_tiles_touched": spread([row.tiles_touched / row.tiles for row in rows]),
        "tiles_touched": counts([row.tiles_touched for row in rows]),
        "share_of_draft_accepted": spread([row.accepted / row.draft_tokens for row in drafted]),
        "whole_draft_accepted": statistics.mean(row.accepted == row.draft_tokens for row in drafted),
        "accepted_tokens": counts([row.accepted for row in rows]),
        "answer_tokens": spread([row.answer_tokens for row in rows]),
        "accuracy": statistics.mean(row.score for row in rows),
    }


def ways(cascade: Cascade) -> dict[str, Cascade]:
    """The large model alone, and guided pruning at every retention, by both schedules and held to fewer tiles."""

    def way(method: Method, keep: float, layer: int | None) -> Cascade:
        return replace(cascade, method=method, schedule=method.scheduler(keep, layer))

    made = {LARGE_ALONE: way(LargeAlone(), 1.0, None)}
    for keep in KEEPS:
        for name, layer in SCHEDULES.items():
            made[f"{keep:.0%} {name}"] = way(Guided(), keep, layer)
    for name, method in FEWER_TILES.items():
        made[f"{BUDGETED:.0%} from layer 0, {name}"] = way(method, BUDGETED, 0)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("results/guide_statistics.json"))
    options = parser.parse_args()
    samples = load_task("scenes")
    samples = samples[:: max(1, len(samples) // options.questions)][: options.questions]
    cascade = Stitch.from_pretrained(device="cpu").cascade
    small, large = SharedEngine(cascade.small().vlm), SharedEngine(cascade.large().vlm)
    cascade = replace(cascade, small=lambda: small, large=lambda: large)
    rows: dict[str, list[Found]] = {name: [] for name in ways(cascade)}
    exits, watch, sampling = 0, Stopwatch(), Sampling()
    for number, sample in enumerate(samples, start=1):
        question = Question(sample.question, (sample.picture(),))
        guide = cascade.look([question], sampling, watch)
        exits += cascade.judge(guide, watch)[0].exit
        for name, way in ways(cascade).items():
            (answer,) = way.reply([question], sampling, guide, None, watch)
            score = METRICS[sample.metric](answer.text, sample.answers)
            rows[name].append(found(answer, large.take_decoded()[-1], score))
        small.forget()
        large.forget()
        if number % 20 == 0:
            print(f"  {number} of {len(samples)} questions, {watch.total():.0f} s", file=sys.stderr)
    first = next(iter(rows.values()))
    result = {
        "benchmark": "guide_statistics",
        "questions": len(samples),
        "tiles": counts([row.tiles for row in first]),
        "draft_tokens": counts([row.draft_tokens for row in first]),
        "exit": {"policy": str(cascade.exit.spelling), "share": exits / len(samples)},
        "rows": {name: summary(found) for name, found in rows.items()},
    }
    write_result(options.out, result)


if __name__ == "__main__":
    main()
