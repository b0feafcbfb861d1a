"""Which exit score ranks answers best, on recorded questions that both models answered.

    stitch eval TASK --exit never --out both.jsonl
    python benchmarks/exit_scores.py both.jsonl --out scores.json

Checked in are two results of the embedded pair, on the pictures that ``calibrate_pair.py --only-record --seed exit-validation-0``
and the same with ``exit-validation-1`` record.

For every score: the chance that a right draft outscores a wrong one (AUROC), the area under its risk-coverage curve (AURC,
lower is better), the accuracy of small and large model together averaged over all shares of exits, and the curve itself. Intervals
are 95 % over a bootstrap of the pictures; differences to the paper's score are over the same draws.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
from harness import write_result

from stitchvlm.calibration.ranking import accuracy_at_exits, aurc, auroc, bootstrap, cascade_area
from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.exits.scores import ScoreName

PAPER = "mean"
SHARES = (0, 20, 40, 60, 80, 100)
KINDS, WHATS = ("auroc", "aurc", "cascade"), ("value", "difference")

Figure = Callable[[np.ndarray], float]


def compare(recorded: Recorded, draws: int) -> dict[str, Any]:
    """Figures of every score that was recorded, and their differences to the paper's."""
    small, large = recorded.rightness("small"), recorded.rightness("large")
    columns = _columns(recorded)
    paper = _figures(columns[PAPER], small, large)
    measures: dict[str, Figure] = {}
    for name, score in columns.items():
        for kind, figure in _figures(score, small, large).items():
            measures[f"{name} {kind} value"] = figure
            measures[f"{name} {kind} difference"] = _minus(figure, paper[kind])
    found = bootstrap(measures, recorded.groups, draws)
    told: dict[str, Any] = {}
    for name, score in columns.items():
        shares, accuracy = accuracy_at_exits(score, small, large)
        told[name] = {kind: {what: asdict(found[f"{name} {kind} {what}"]) for what in WHATS} for kind in KINDS}
        told[name]["accuracy_at_exits"] = {f"{p}%": float(np.interp(p / 100, shares, accuracy)) for p in SHARES}
    return told


def _columns(recorded: Recorded) -> dict[str, np.ndarray]:
    columns = {}
    for name in get_args(ScoreName):
        try:
            columns[name] = recorded.score(name)
        except ValueError as error:
            print(f"{name} is left out: {error}")
    if PAPER not in columns:
        raise SystemExit(
            f"the other scores are compared with {PAPER}, which {recorded.name} does not hold: record it with --exit never"
        )
    return columns


def _figures(score: np.ndarray, small: np.ndarray, large: np.ndarray) -> dict[str, Figure]:
    return {
        "auroc": lambda rows: auroc(score[rows], small[rows]),
        "aurc": lambda rows: aurc(score[rows], small[rows]),
        "cascade": lambda rows: cascade_area(score[rows], small[rows], large[rows]),
    }


def _minus(figure: Figure, other: Figure) -> Figure:
    return lambda rows: figure(rows) - other(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    recorded = Recorded.read(options.data)
    scores = compare(recorded, options.draws)
    for name, told in scores.items():
        print(name)
        for kind in KINDS:
            print(f"  {kind:8} {_words(told[kind]['value'])}   to {PAPER}: {_words(told[kind]['difference'])}")
    if options.out is not None:
        content = {
            "benchmark": "exit_scores",
            "n": len(recorded),
            "draws": options.draws,
            "settings": recorded.settings,
            "scores": scores,
        }
        write_result(options.out, content)


def _words(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.4f} ({estimate['low']:.4f} to {estimate['high']:.4f})"


if __name__ == "__main__":
    main()
