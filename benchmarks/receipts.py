"""How well a pair reads real receipts: totals, dates and companies, as small and large model alone and with fewer tokens.

    python benchmarks/receipts.py RECEIPTS --small PAIR/small --large PAIR/large --work WORK --out receipts.json

RECEIPTS is a folder as `stitchvlm.training.documents.real` describes it. Asked are the questions of its split `val`, which training
never sees. Every answer lies in WORK, where an interrupted run goes on; the result holds figures only and no text of a receipt.

An answer counts as exact if it is the annotated one but for case, spaces, a currency sign in front and a full stop at the end; the
annotations keep what is printed, and models that fold case answer in capitals. ANLS is the usual similarity with a threshold of
one half. Intervals are 95 % and count what the three questions about one receipt have in common.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import write_result

from stitchvlm.evaluation.compare import Comparison, Extras, make_rows, within_reach
from stitchvlm.evaluation.curve import at_shares, exit_curve
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.results import read_records
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.summary import Summary, summarise
from stitchvlm.evaluation.tables import StudyTable, slug
from stitchvlm.evaluation.tasks import open_task

METHODS = ("guided", "fastv", "fastv:layer=1", "random", "downsample")
KEEPS = ("64%", "35%", "18%", "9%")
JUDGED_BY = ("exact", "anls")
EXITS = 0.4
"""The share of questions that the small model answers where exits are told."""

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


def figures(records: Records) -> dict[str, Any]:
    """Of one way of answering: per field and metric the mean and its interval, and what it took. No text is among them."""
    by_metric = {metric: summarise(judged(records, metric)) for metric in JUDGED_BY}
    fields = {
        kind: {"n": summary.n} | {metric: _interval(groups[kind]) for metric, groups in by_metric.items()}
        for kind, summary in by_metric["exact"].items()
    }
    whole = by_metric["exact"]["all"]
    cost = {"seconds": whole.seconds, "average_retention": whole.average_retention, "visual": whole.visual}
    return {"fields": fields, **cost, "exits": exits(records)}


def exits(records: Records) -> dict[str, Any]:
    """What the threshold nearest to that share of exits would have given; empty where one of the models did not answer."""
    curves = {metric: [asdict(point) for point in exit_curve(judged(records, metric))] for metric in JUDGED_BY}
    nearest = {metric: at_shares(curve, (EXITS,)) for metric, curve in curves.items()}
    return {metric: points[0] for metric, points in nearest.items() if points}


def _interval(summary: Summary) -> dict[str, float | None]:
    return {"mean": summary.accuracy, "low": summary.low, "high": summary.high}


def collect(table: StudyTable, work: Path) -> dict[str, Any]:
    """The figures of every row of a comparison whose files lie in `work`."""
    return {row.name: figures(read_records(work / f"{slug(row.name)}.jsonl")) for row in table.rows}


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("receipts", type=Path, help="folder with val.jsonl and its pictures")
    parser.add_argument("--small", help="folder or hub id of the small model (default: the embedded pair)")
    parser.add_argument("--large", help="folder or hub id of the large model")
    parser.add_argument("--work", type=Path, required=True, help="folder for every answer")
    parser.add_argument("--out", type=Path, required=True, help="file for the figures")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--keep", nargs="+", default=KEEPS)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--n", type=int, help="only the first questions")
    parser.add_argument("--device")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the figures are written, 1 after one sentence on stderr."""
    given = _arguments(words)
    try:
        name = f"folder:{given.receipts / 'val.jsonl'}"
        task = open_task(name, given.n)
        base = RunSettings(given.small, given.large, exit="never", max_new_tokens=given.max_new_tokens)
        rows, left_out = within_reach(make_rows(base, given.methods, given.keep))
        extras = Extras(n_live=0, memory=False, n_agreement=0, n_gallery=0)
        compared = Comparison(name, task, rows, {"device": given.device}, extras=extras, left_out=left_out)
        table, problems = compared.run(given.work, lambda row, what, record: None)
    except (ValueError, OSError) as error:
        print(f"receipts: {error}", file=sys.stderr)
        return 1
    told = {"benchmark": "receipts", "n": len(task.samples), "left_out": left_out, "problems": len(problems)}
    models = {"small": table.small, "large": table.large}
    write_result(given.out, told | models | {"rows": collect(table, given.work)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
