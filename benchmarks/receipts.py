"""How well a pair reads real receipts: totals, dates and companies, as small and large model alone and with fewer tokens.

    python benchmarks/receipts.py RECEIPTS --small PAIR/small --large PAIR/large --work WORK --out receipts.json --overlays PICTURES

RECEIPTS is a folder as `stitchvlm.training.documents.real` describes it. Asked are the questions of its split `val`, which training
never sees. Every answer lies in WORK, where an interrupted run goes on; the result holds figures only and no text of a receipt.
First all rows answer all questions; the small model looks once at each, and the large model answers once in every way. Then the
large model alone, guided, and guided with exits are timed in turn, nothing shared, and with them those guided rows of `--also` that
keep as little. With `--overlays` ten receipts are drawn with what was kept of them.

An answer counts as exact if it is the annotated one but for case, spaces, a currency sign in front and a full stop at the end; the
annotations keep what is printed, and models that fold case answer in capitals. ANLS is the usual similarity with a threshold of
one half. Where an answer stands is the rectangle around its words in the annotated lines. It is covered if kept tokens show at
least half (or nine tenths) of it, those of the thumbnail left out (`detail`) or not (`any`). Exits are those at the threshold that
lets the share nearest to 40 % of these very questions exit. Intervals are 95 % and count what the questions about one receipt have
in common.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import receipts_overlays
import receipts_seconds
import torch
from harness import write_result
from receipts_figures import Records, beside, exits, figures

from stitchvlm.evaluation.compare import Comparison, Extras, make_rows, within_reach
from stitchvlm.evaluation.results import ResultFile, read_records, read_settings
from stitchvlm.evaluation.settings import LARGE_ALONE, RunSettings, by_label, parse_method
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tables import StudyTable, slug
from stitchvlm.evaluation.tasks import Task, open_task
from stitchvlm.exits.scores import ScoreName
from stitchvlm.schedule import parse_keep
from stitchvlm.training.documents.real import read_receipts

METHODS = ("guided", "fastv", "fastv:layer=1", "random", "downsample")
KEEPS = ("64%", "35%", "18%", "9%")
OVERLAYS = 10


def with_places(task: Task, folder: Path) -> Task:
    """The task with the rectangles where answers stand; some are not found among the receipt's lines and have none.

    Raises:
        ValueError: if the folder is not of the form that is described.
    """
    places: dict[str, tuple[tuple[float, ...], ...]] = {}
    for receipt in read_receipts(folder, "val"):
        width, height = receipt.document.width, receipt.document.height
        for field, written in receipt.document.fields.items():
            if written.boxes:
                sides = zip(written.box, (width, height, width, height), strict=True)
                places[f"{receipt.id}/{field}"] = (tuple(place / side for place, side in sides),)
    return replace(task, samples=[replace(sample, boxes=places.get(sample.id, ())) for sample in task.samples])


def collect(table: StudyTable, work: Path, score: ScoreName = "mean") -> dict[str, Any]:
    """The figures of every row of a comparison whose files lie in `work`."""
    answers = {row.name: _records(work, row.name) for row in table.rows}
    alone = answers.get(LARGE_ALONE, [])
    return {name: figures(own, score) | {"beside_large_alone": beside(own, alone)} for name, own in answers.items()}


def _records(work: Path, name: str) -> Records:
    return read_records(work / f"{slug(name)}.jsonl")


class Progress:
    """Tells on stderr how far a comparison is and how long it will take, whenever a question is through."""

    def __init__(self, questions: Set[str], rows: Sequence[str], work: Path):
        files, n_questions = [work / f"{slug(row)}.jsonl" for row in rows], len(questions)
        self._all, self._rows, self._new, self._start = n_questions * len(rows), len(rows), 0, time.monotonic()
        self._before = sum(
            record["id"] in questions for path in files if path.exists() for record in read_records(path)
        )
        self._seen = 0
        print(
            f"{n_questions} questions in {len(rows)} ways: the small model looks {n_questions} times, the large one answers "
            f"{n_questions * (len(rows) - 1)} times; {self._before} of {self._all} answers are on file",
            file=sys.stderr,
        )

    def __call__(self, row: str, what: str, record: dict[str, Any]) -> None:
        """One more answer, those on file first."""
        self._seen += 1
        if self._seen <= self._before:
            self._start = time.monotonic()
            return
        new = self._seen - self._before
        if new % self._rows == 0:
            each = (time.monotonic() - self._start) / new
            left = max(0, self._all - self._seen) * each / 60
            print(
                f"  {self._seen} of {self._all}: {each * self._rows:.1f} s a question, {left:.0f} min left",
                file=sys.stderr,
            )


def is_guided(settings: Mapping[str, Any]) -> bool:
    """Whether a row may be the one that overlays and seconds are of: guided, by default options and a fixed share."""
    plain = settings["method"] == "guided" and not settings["options"]
    return plain and isinstance(parse_keep(settings["keep"]), float)


def rows_at_one_share(base: RunSettings, ways: Sequence[str]) -> dict[str, RunSettings]:
    """The rows that `--also` names.

    Raises:
        ValueError: if one of them is no method at a share.
    """
    rows = []
    for way in ways:
        named, _, share = way.rpartition("@")
        if not (named and share):
            raise ValueError(f"{way!r} is no METHOD@SHARE: write it as in guided:smooth=true@9%")
        method, options = parse_method(named)
        rows.append(replace(base, method=method, options=options, keep=share))
    return by_label(rows)


class Extra:
    """What is done after the comparison with its guided row that keeps least: overlays and seconds."""

    def __init__(self, given: argparse.Namespace, base: RunSettings, table: StudyTable, task: Task):
        guided = [row for row in table.rows if is_guided(row.settings)]
        row = min(guided, key=lambda row: row.settings["keep"])
        self._given, self._work = given, given.work
        self.records = _records(self._work, row.name)
        self.found = exits(self.records, given.score)
        threshold = self.found.get("threshold")
        self.exit = None if threshold is None else f"{given.score}:{threshold}"
        keep, named = row.settings["keep"], rows_at_one_share(base, given.also)
        likewise = [
            own.name for own in table.rows if own.settings["method"] == "guided" and own.settings["keep"] == keep
        ]
        also = {name: named[name] for name in sorted(likewise) if name in named and name != row.name}
        self._rows = receipts_seconds.ways(base, keep, self.exit) | also
        answered = {record["id"] for record in self.records}
        self._samples = [sample for sample in task.samples if sample.id in answered]
        self._identity = {
            "seconds_of": task.name,
            "guided": row.settings,
            "exit": self.exit,
            "device": given.device or ("cuda" if torch.cuda.is_available() else "cpu"),
            "threads": torch.get_num_threads(),
        }
        where = "seconds {device} {threads} threads".format(**self._identity)
        self._seconds = self._work / f"{slug(' '.join([where, row.name, str(self.exit), *also]))}.jsonl"
        self._study = Study(self._rows, given.device)

    def draw(self) -> int:
        """Draw the overlays and say how many."""
        chosen = set(receipts_overlays.choose(self.records, OVERLAYS))
        alone = {record["id"]: record["answer"] for record in _records(self._work, LARGE_ALONE)}
        samples = [sample for sample in self._samples if sample.id in chosen]
        return len(receipts_overlays.draw(self._study, samples, alone, self._given.overlays))

    def seconds(self) -> dict[str, Any]:
        """Time the first questions and tell what came of it."""
        samples = self._samples[: self._given.timed]
        with ResultFile(self._seconds, self._identity) as file:
            receipts_seconds.measure(self._study, samples, file)
            asked = {sample.id for sample in samples}
            records = [record for record in file.records if record["id"] in asked]
        runs = read_settings(self._seconds).get("runs")
        told = {"keep": self._identity["guided"]["keep"], "exit": self.exit, "measured_by": runs}
        return told | receipts_seconds.figures(records)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("receipts", type=Path, help="folder with val.jsonl and its pictures")
    parser.add_argument("--small", help="folder or hub id of the small model (default: the embedded pair)")
    parser.add_argument("--large", help="folder or hub id of the large model")
    parser.add_argument("--work", type=Path, required=True, help="folder for every answer")
    parser.add_argument("--out", type=Path, required=True, help="file for the figures")
    parser.add_argument("--overlays", type=Path, help="folder outside the repository for pictures of ten receipts")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--keep", nargs="+", default=KEEPS)
    parser.add_argument("--also", nargs="+", default=(), metavar="METHOD@SHARE", help="rows at one share only")
    parser.add_argument("--score", choices=get_args(ScoreName), default="mean", help="by which answers exit")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--n", type=int, help="only the first questions")
    parser.add_argument("--timed", type=int, help="time only the first of them; 0 for none")
    parser.add_argument("--device")
    return parser.parse_args(words)


def run(given: argparse.Namespace) -> None:
    """All of it; figures are written as soon as they are known.

    Raises:
        ValueError: if a setting cannot be used.
        OSError: if something cannot be read or written.
    """
    if given.overlays is not None:
        receipts_overlays.check_folder(given.overlays)
    name = f"folder:{given.receipts / 'val.jsonl'}"
    task = with_places(open_task(name, given.n), given.receipts)
    base = RunSettings(given.small, given.large, exit="never", max_new_tokens=given.max_new_tokens)
    asked = [make_rows(base, given.methods, given.keep), rows_at_one_share(base, given.also)]
    rows, left_out = within_reach(by_label(row for rows in asked for row in rows.values()))
    wanted = given.overlays is not None or given.timed != 0
    if wanted and not any(is_guided(asdict(settings)) for settings in rows.values()):
        raise ValueError(
            "overlays and seconds are of guided rows: have guided among --methods, or give --timed 0 alone"
        )
    extras = Extras(n_live=0, memory=False, n_agreement=0, n_gallery=0)
    compared = Comparison(name, task, rows, {"device": given.device}, extras=extras, left_out=left_out)
    table, problems = compared.run(given.work, Progress({sample.id for sample in task.samples}, list(rows), given.work))
    told: dict[str, Any] = {"benchmark": "receipts", "n": len(task.samples), "problems": len(problems)}
    told["without_place"] = sum(not sample.boxes for sample in task.samples)
    told |= {"left_out": left_out, "small": table.small, "large": table.large, "score": given.score}
    told["rows"] = collect(table, given.work, given.score)
    write_result(given.out, told, quiet=True)
    if wanted:
        extra = Extra(given, base, table, task)
        if given.overlays is not None:
            told["overlays"] = extra.draw()
        if given.timed != 0:
            told["seconds"] = extra.seconds()
    write_result(given.out, told)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the figures are written, 1 after one sentence on stderr."""
    try:
        run(_arguments(words))
    except (ValueError, OSError) as error:
        print(f"receipts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
