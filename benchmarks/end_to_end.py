"""What an answer costs from end to end: ways of answering with models of real shapes, side by side.

    python benchmarks/end_to_end.py --preset cpu --rounds 2
    python benchmarks/end_to_end.py --preset internvl2-26b --device cuda --rounds 5 --minutes 8    # again until it is done
    python benchmarks/end_to_end.py --preset internvl2-26b --device cuda --memory

Weights are random, pictures too; all work is really done, by the package itself. What random weights cannot have is imposed: which
tiles the guide points at and how much of the draft is right, by default the medians of `results/guide_statistics.json`; what its
means come to is put together from the sweeps. Rows are
timed in turn, round by round. A stage that several rows of a round would run alike is run once and counted for each; the rows of
the bars are also run with nothing shared.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from end_to_end_roofline import rooflines
from end_to_end_rows import (
    ANEW,
    BARRED,
    BOTH,
    FASTV,
    HELD,
    LARGE_ALONE,
    Case,
    Meter,
    Shares,
    early_layer,
    make_rows,
    sweep_rows,
)
from end_to_end_summary import summarise
from harness import write_result
from random_pair import PRESETS, counting_engine

from stitchvlm.evaluation.memory import peak_resident
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.shared import SharedEngine

CASES = {"cpu": [BARRED, Case(3, 8, 8)]}
GPU_CASES = [Case(tiles, batch, answer) for batch in (1, 8) for answer in (8, 128) for tiles in (7, 1, 3, 13)]
MEMORY = {"small alone": None, "large alone": LARGE_ALONE, "together": BOTH}
"""What each process that is measured runs; the small model alone looks at the first row's questions."""


def rounds_of(case: Case, small: SharedEngine, large: SharedEngine, keep: float, shares: Shares, n_rounds: int):
    """(round, row) in the order in which they are measured: every row in each, and in the first one the sweeps."""
    rows = make_rows(case, small, large, keep, shares)
    both = next(row for row in rows if row.name == BOTH)
    if case == BARRED:
        barred = [row for row in rows if row.name in (LARGE_ALONE, FASTV, BOTH, HELD)]
        rows += [replace(row, name=row.name + ANEW, anew=True) for row in barred]
    for turn in range(n_rounds):
        for row in [*rows, *(sweep_rows(case, both) if turn == 0 else [])]:
            yield turn, row


def measure(
    cases: Sequence[Case], pair: tuple[SharedEngine, SharedEngine], file: ResultFile, options: argparse.Namespace
) -> bool:
    """Measure what the file does not hold yet; False if time is up before that is done."""
    small, large = pair
    end = time.monotonic() + 60 * options.minutes
    for case in cases:
        meter, now, warm = Meter(case, small, large), 0, False
        for turn, row in rounds_of(case, small, large, options.keep, options.shares, options.rounds):
            name = f"{case.name} | {row.name} | {turn}"
            if name in file.ids():
                continue
            if time.monotonic() >= end:
                return False
            if not warm:
                _warm_up(case, pair, options)
                warm = True
            if turn != now:
                meter.forget()
                now = turn
            record = {"id": name, "case": case.name, "row": row.name, "round": turn, **meter.measure(row)}
            file.append(record)
            stages = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in record["seconds"].items())
            print(f"  {name}: {record['total']:.3f} s ({stages}), accepted {record['n_accepted']}", file=sys.stderr)
        meter.forget()
    return True


def _warm_up(case: Case, pair: tuple[SharedEngine, SharedEngine], options: argparse.Namespace) -> None:
    """Kernels are prepared: of every row's own shapes on a GPU, of one small question on a CPU, where more takes minutes."""
    case = case if options.device != "cpu" else Case(1, 1, case.answer)
    meter = Meter(case, *pair)
    for row in make_rows(case, *pair, options.keep, options.shares):
        meter.measure(row)
    meter.forget()


def engines(preset: str, device: str) -> tuple[SharedEngine, SharedEngine]:
    """The small and the large model of a preset."""
    return counting_engine(PRESETS[preset]["small"], device), counting_engine(PRESETS[preset]["large"], device)


def peak_gib(options: argparse.Namespace) -> dict[str, float]:
    """What a fresh process that runs one row of the largest case of the bars once takes at most, and its weights."""
    command = [sys.executable, __file__, "--preset", options.preset, "--device", options.device]
    command += ["--keep", str(options.keep), "--statistics", str(options.statistics)]
    peaks: dict[str, float] = {}
    for name in MEMORY:
        done = subprocess.run([*command, "--child", name], capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        peaks[name] = told["peak"]
        if name == "small alone":
            peaks["small weights"] = told["weights"]
    return peaks


def _child(options: argparse.Namespace) -> dict[str, float]:
    """One row of MEMORY in this process."""
    case, models = BARRED, PRESETS[options.preset]
    roles = {"small alone": ["small"], "large alone": ["large"]}.get(options.child, ["small", "large"])
    built = {role: counting_engine(models[role], options.device) for role in roles}
    small, large = (built.get(role, built[roles[0]]) for role in ("small", "large"))
    weights = sum(p.nbytes for engine in built.values() for p in engine.vlm.model.parameters())
    on_gpu = options.device != "cpu"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    rows = make_rows(case, small, large, options.keep, options.shares)
    wanted = MEMORY[options.child] or BOTH
    row = next(row for row in rows if row.name == wanted)
    meter = Meter(case, small, large)
    meter.look(row) if options.child == "small alone" else meter.measure(row)
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_resident() * 2**20
    return {"peak": peak / 2**30, "weights": weights / 2**30}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--device", help="default: cpu for the preset of that name, else cuda")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--keep", type=float, default=0.09, help="share of visual tokens that stays on average")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so many; run again to go on")
    parser.add_argument("--memory", action="store_true", help="measure peak memory, and nothing else")
    parser.add_argument("--statistics", type=Path, default=Path("results/guide_statistics.json"))
    parser.add_argument(
        "--folder", type=Path, default=Path("results-local/end_to_end"), help="of what is measured so far"
    )
    parser.add_argument("--out", type=Path, help="default: results/end_to_end-PRESET.json")
    parser.add_argument("--child", choices=list(MEMORY), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = options.device or ("cpu" if options.preset == "cpu" else "cuda")
    options.out = options.out or Path(f"results/end_to_end-{options.preset}.json")
    options.shares = Shares.recorded(options.statistics, options.keep)
    options.means = Shares.recorded(options.statistics, options.keep, "mean")
    return options


def main() -> None:
    options = parse()
    torch.set_grad_enabled(False)
    if options.child:
        print(json.dumps(_child(options)))
        return
    cases = CASES.get(options.preset, GPU_CASES)
    config: dict[str, Any] = {
        "preset": options.preset,
        "device": torch.cuda.get_device_name() if options.device != "cpu" else "cpu",
        "keep": options.keep,
        "shares": asdict(options.shares),
        "means": asdict(options.means),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    with ResultFile(options.folder / f"{options.preset}.jsonl", config) as file:
        complete = True
        if options.memory:
            for name, gib in peak_gib(options).items():
                file.append({"id": f"memory | {name}", "case": "memory", "row": name, "gib": gib})
        else:
            pair = engines(options.preset, options.device)
            complete = measure(cases, pair, file, options)
            if complete and options.device != "cpu":  # on a CPU counting the operations takes minutes
                for record in rooflines(BARRED, *pair, options.keep, options.shares):
                    file.append(record)
        n_layers = PRESETS[options.preset]["large"]["llm_config"]["num_hidden_layers"]
        result = {
            "benchmark": "end_to_end",
            "config": config | {"fastv_and_tome_from_layer": early_layer(options.keep, n_layers)},
            "models": PRESETS[options.preset],
            "complete": complete,
            "measured_by": json.loads(file.settings_path.read_text()).get("runs"),
            **summarise(file.records, cases, options.shares, options.means),
        }
    write_result(options.out, result)
    if not complete:
        print("time is up: run the same again to go on", file=sys.stderr)


if __name__ == "__main__":
    main()
