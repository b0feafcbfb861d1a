"""Which form of the guide map keeps what matters: the paper's ablation and other forms, on drawn questions of their own.

    python benchmarks/guide_forms.py --questions 500      # goes on where it stopped

Every form is an option of ``guided`` that costs the small model nothing more. Each is asked the same questions at 9 and at
18 %, and its difference from the paper's form (all layers, rows of prompt and draft, plain sum) is told with its paired 95 %
interval. No test or training uses these questions, so that a default may be chosen by them. Fonts are needed, as for training.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import drawn_questions, write_result
from reproduce import answered

from stitchvlm.evaluation.compare import make_rows
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.statistics import mean_interval, paired_difference
from stitchvlm.evaluation.summary import groups_of

SEED = "map-validation-0"
ABLATION = ["layers=first", "layers=last", "rows=prompt", "rows=generated"]
OTHERS = ["rows=answer", "heads=normalised", "heads=max", "layer_weights=rising", "layer_weights=falling"]
OTHERS += ["sinks=damp", "smooth=true"]
KEEPS = ["9%", "18%"]

Records = list[dict[str, Any]]


def compare(records: dict[str, Records]) -> dict[str, Any]:
    """Accuracy of every row, and its difference from the paper's form at the same share; None for that form itself."""
    told: dict[str, Any] = {}
    for name, rows in records.items():
        papers = f"guided {name.rpartition(' ')[2]}"
        by_id = {record["id"]: record["score"] for record in records[papers]}
        scores = [record["score"] for record in rows]
        low, high = mean_interval(scores, groups_of(rows))
        difference = paired_difference(scores, [by_id[record["id"]] for record in rows], groups_of(rows))
        told[name] = {"accuracy": sum(scores) / len(scores), "low": low, "high": high}
        told[name]["difference"] = None if name == papers else asdict(difference)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path("results-local/guide_forms"))
    parser.add_argument("--out", type=Path, default=Path("results/guide_forms.json"))
    options = parser.parse_args()
    samples = drawn_questions(options.folder, options.questions, SEED)[: options.questions]
    base = RunSettings(exit="never", both=False)
    rows = make_rows(base, ["guided", *(f"guided:{form}" for form in ABLATION + OTHERS)], KEEPS)
    rows = {name: settings for name, settings in rows.items() if settings.method == "guided"}
    forms = compare(answered(rows, samples, options.folder, SEED, "guide forms"))
    for name, told in forms.items():
        difference = told["difference"] or {}
        mean, low, high = (100 * difference.get(end, 0.0) for end in ("mean", "low", "high"))
        against = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if difference else "the paper's form"
        print(f"{name:40} {told['accuracy']:.1%} ({told['low']:.1%} to {told['high']:.1%})   {against}")
    write_result(options.out, {"benchmark": "guide_forms", "questions": len(samples), "seed": SEED, "forms": forms})


if __name__ == "__main__":
    main()
