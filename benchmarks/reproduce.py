"""The checked-in tables and figures: every study of ``reproduce.toml``.

    make reproduce                                    # or: python benchmarks/reproduce.py; goes on where it stopped
    python benchmarks/reproduce.py --only scenes --table   # print the table of what is checked in

The lines of every answer stay in ``results-local/STUDY``; ``results/STUDY`` gets what they add up to (``study.json``), the figures
and their pictures, and in ``guided_ahead.json`` what the guided row scores more than the others. Seconds mean something only on an
otherwise idle machine.
"""

import argparse
import shutil
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import write_result

from stitchvlm.evaluation.compare import Comparison, Extras, make_rows, within_reach
from stitchvlm.evaluation.curve import at_shares
from stitchvlm.evaluation.plots import draw_figures, save_figures
from stitchvlm.evaluation.results import ResultFile, read_records
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE, RunSettings, by_label, parse_method
from stitchvlm.evaluation.statistics import paired_difference
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.summary import groups_of
from stitchvlm.evaluation.tables import STUDY, StudyTable, slug
from stitchvlm.evaluation.tasks import open_task

Records = list[dict[str, Any]]
CONFIG = Path(__file__).with_name("reproduce.toml")


@dataclass(frozen=True)
class StudyConfig:
    """One study as the config names it."""

    name: str
    task: str
    n: int
    methods: list[str]
    keep: list[str]
    small: str | None = None
    large: str | None = None
    more: list[dict[str, str]] = field(default_factory=list)
    live: int = 20
    agreement: int = 50
    gallery: int = 3

    def rows(self) -> dict[str, RunSettings]:
        """The rows by their labels."""
        base = RunSettings(self.small, self.large, exit="never")
        rows = list(make_rows(base, self.methods, self.keep).values())
        for more in self.more:
            method, options = parse_method(more["method"])
            rows.append(replace(base, method=method, options=options, keep=more["keep"], exit=more.get("exit")))
        return by_label(rows)


def read_config(path: Path = CONFIG) -> list[StudyConfig]:
    """The studies of a config file."""
    return [StudyConfig(**study) for study in tomllib.loads(path.read_text(encoding="utf-8"))["study"]]


def reproduce(config: StudyConfig, lines: Path, results: Path, memory: bool) -> StudyTable:
    """Answer what is missing, then write the study with its figures."""
    extras = Extras(config.live, memory, config.agreement, config.gallery)
    rows, left_out = within_reach(config.rows())
    task = open_task(config.task, config.n)
    comparison = Comparison(config.task, task, rows, {"device": "cpu"}, True, extras, left_out)
    table, _ = comparison.run(lines / config.name, Progress(config.name, config.n * len(rows)))
    published = publish(table, results / config.name)
    records = {name: read_records(lines / config.name / f"{slug(name)}.jsonl") for name in rows}
    content = {"task": config.task, "questions": config.n, "differences": guided_ahead(rows, records)}
    write_result(results / config.name / "guided_ahead.json", content, quiet=True)
    return published


def guided_ahead(rows: Mapping[str, RunSettings], records: Mapping[str, Records]) -> dict[str, dict[str, dict]]:
    """What the paper's guided row scores more than each other row at the same share, question by question, with intervals.

    The models alone stand at every share.
    """
    told: dict[str, dict[str, dict]] = {}
    guided = {row.keep: name for name, row in rows.items() if row.way_label == "guided" and row.exit == "never"}
    for keep, ours in guided.items():
        scores = {record["id"]: record["score"] for record in records[ours]}
        for name, row in rows.items():
            if name == ours or (row.keep != keep and row.way_label not in (SMALL_ALONE, LARGE_ALONE)):
                continue
            asked = [record for record in records[name] if record["id"] in scores]
            pairs = [scores[record["id"]] for record in asked], [record["score"] for record in asked]
            told.setdefault(ours, {})[name] = asdict(paired_difference(*pairs, groups_of(asked)))
    return told


def publish(table: StudyTable, folder: Path) -> StudyTable:
    """The study, its pictures and its figures in ``folder``."""
    assert table.folder is not None, "it was written somewhere"
    folder.mkdir(parents=True, exist_ok=True)
    for exhibit in table.gallery:
        for name in exhibit["pictures"]:
            shutil.copyfile(table.folder / name, folder / name)
    table.write(folder / STUDY)
    save_figures(draw_figures(table), folder)
    return replace(table, folder=folder)


class Progress:
    """Says every hundred answers how far the study is."""

    def __init__(self, name: str, total: int):
        self._name, self._total, self._done = name, total, 0
        self._started = time.monotonic()

    def __call__(self, row: str, what: str, record: dict[str, Any]) -> None:
        self._done += bool(record)
        if not record or self._done % 100 == 0:
            minutes = (time.monotonic() - self._started) / 60
            print(f"{self._name}: {what} {row}, {self._done} of {self._total}, {minutes:.1f} min", file=sys.stderr)


def answered(
    rows: Mapping[str, RunSettings], samples: Sequence[Sample], folder: Path, task: str, title: str
) -> dict[str, Records]:
    """What every row answered to the samples, those on file in ``folder`` included: for studies with tables of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        name: ResultFile(folder / f"{slug(name)}.jsonl", settings.identity(task)) for name, settings in rows.items()
    }
    progress = Progress(title, len(samples) * len(rows))
    for name, record in Study(rows, "cpu").run(samples, files):
        progress(name, "answered", record)
    asked = {sample.id for sample in samples}
    return {name: [record for record in file.records if record["id"] in asked] for name, file in files.items()}


def markdown(table: StudyTable) -> str:
    """The rows as a table for a README, what exits of the guided rows with fewest tokens give, and what else is to be known."""
    lines = [
        "| way of answering | accuracy (95 % interval) | against large alone | visual tokens computed | early exits | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.rows:
        told, difference = row.all, row.all["difference"]
        gain = "" if difference is None else f"{100 * difference['mean']:+.1f}"
        if difference is not None:
            gain += f" ({100 * difference['low']:+.1f} – {100 * difference['high']:+.1f})"
        lines.append(
            f"| {row.name} | {told['accuracy']:.1%} ({told['low']:.1%} – {told['high']:.1%}) | {gain} "
            f"| {told['average_retention']:.1%} | {told['exits']:.0%} | {told['stages']['total']['median']:.3f} |"
        )
    for row in table.exit_rows:
        if row.settings["keep"] != min(other.settings["keep"] for other in table.exit_rows):
            continue
        lines += [
            "",
            f"| exits ({row.curve_name}) | threshold | accuracy (95 % interval) | seconds (mean) |",
            "|---|---|---|---|",
        ]
        lines += [_exit_line(point) for point in at_shares(row.curve)]
    told = [*table.warnings, *(f"not compared: {one}" for one in table.left_out)]
    return "\n".join([*lines, "", *(f"{one[0].upper()}{one[1:]}." for one in told)]).rstrip()


def _exit_line(point: dict[str, Any]) -> str:
    threshold = "never" if point["threshold"] is None else f"{point['threshold']:.3f}"
    interval = f"{point['low']:.1%} – {point['high']:.1%}"
    return f"| {point['exits']:.0%} | {threshold} | {point['accuracy']:.1%} ({interval}) | {point['seconds']:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="the name of one study")
    parser.add_argument("--table", action="store_true", help="print what is checked in and measure nothing")
    parser.add_argument(
        "--plots", action="store_true", help="draw the figures of what is checked in and measure nothing"
    )
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory, some seconds per row")
    parser.add_argument("--lines", type=Path, default=Path("results-local"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    for config in read_config():
        if options.only in (None, config.name):
            if options.table or options.plots:
                table = StudyTable.read(options.results / config.name / STUDY)
            else:
                table = reproduce(config, options.lines, options.results, not options.no_memory)
            if options.plots:
                save_figures(draw_figures(table), options.results / config.name)
            print(markdown(table))


if __name__ == "__main__":
    main()
