"""The table of the README: every way of answering the 500 questions of the checked-in test split.

    python benchmarks/scenes_table.py                # answer and write results/scenes.json; goes on where it stopped
    python benchmarks/scenes_table.py --table        # print the table of the checked-in results

Questions are answered one at a time, the live path is timed, and all rows run in one process on an otherwise idle machine.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from harness import provenance

from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.summary import summarise
from stitchvlm.evaluation.tasks import load_task
from stitchvlm.models import recommended_exit

ROWS = {
    "small alone": {"method": "small"},
    "large alone": {"method": "none", "exit": "never"},
    **{f"SGP {keep}": {"keep": keep, "exit": "never"} for keep in ("64%", "35%", "9%")},
    **{f"random {keep}": {"method": "random", "keep": keep, "exit": "never"} for keep in ("64%", "35%", "9%")},
    "SGP 9% + SEE": {"keep": "9%"},
}


def answer_all(folder: Path) -> dict:
    """Every row's summary; the lines behind it stay in ``folder``, so that an interrupted run goes on."""
    samples, rows = load_task("scenes"), {}
    for name, options in ROWS.items():
        settings = RunSettings(**options, both=False)
        results = ResultFile(folder / f"{name.replace(' ', '-').replace('%', '')}.jsonl", settings.identity("scenes"))
        if len(results.records) < len(samples):
            for number, _ in enumerate(settings.load("cpu").run(samples, results)):
                if number % 100 == 0:
                    print(f"{name}: {len(results.records)} of {len(samples)}", flush=True)
        groups = summarise(results.records)
        rows[name] = {
            "settings": settings.identity("scenes"),
            **{kind: asdict(group) for kind, group in groups.items()},
        }
    return rows


def table(rows: dict) -> str:
    """The rows as Markdown."""
    lines = [
        "| way of answering | accuracy (95 % interval) | visual tokens computed | early exits | seconds per question |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        all_, large = row["all"], name != "small alone"
        retention = f"{all_['average_retention']:.1%}" if large else "none"
        lines.append(
            f"| {name.replace('%', ' %')} | {all_['accuracy']:.1%} ({all_['low']:.1%} – {all_['high']:.1%}) | {retention} "
            f"| {all_['exits']:.0%} | {all_['seconds']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/scenes.json"))
    parser.add_argument("--lines", type=Path, default=Path("results-local/scenes"))
    options = parser.parse_args()
    if not options.table:
        options.lines.mkdir(parents=True, exist_ok=True)
        result = {"benchmark": "scenes", "exit_threshold": recommended_exit(), "rows": answer_all(options.lines)}
        options.out.write_text(json.dumps({**result, "provenance": provenance()}, indent=1) + "\n")
    print(table(json.loads(options.out.read_text())["rows"]))


if __name__ == "__main__":
    main()
