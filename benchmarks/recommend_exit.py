"""The embedded pair's recommended exit threshold, fitted on drawn validation questions that no test or training uses.

    python benchmarks/recommend_exit.py --questions 400

Each question is answered by the small model and by the guided large one at the default 9 %. The threshold is the lowest at
which answering by exit costs no accuracy on these questions against never exiting. It goes to ``pair.json``, with the
figures it was fitted on. Fonts are needed, as for training.
"""

import argparse
import json
from pathlib import Path

from stitchvlm.evaluation.provenance import provenance
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tasks import load_scenes
from stitchvlm.models import pair_path
from stitchvlm.training.fonts import find_fonts
from stitchvlm.training.split import write_split

SEED = "exit-validation-0"


def fit(records: list[dict]) -> dict:
    """The lowest threshold whose answers are right at least as often as the large model's own."""
    rows = sorted(
        ((r["scores"]["exit"], r["small_score"], r["large_score"]) for r in records),
        reverse=True,
    )
    alone = sum(large for *_, large in rows)
    best, n_right = {"exit": 1.0, "exits": 0.0, "accuracy": alone / len(rows)}, alone
    for n_exits, (score, small, large) in enumerate(rows, start=1):
        n_right += small - large
        if n_right >= alone:
            best = {"exit": round(score, 4), "exits": n_exits / len(rows), "accuracy": n_right / len(rows)}
    return {**best, "large_accuracy": alone / len(rows), "questions": len(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--folder", type=Path, default=Path("results-local/exit"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    archive = options.folder / "validation.zip"
    if not archive.exists():
        write_split(archive, options.questions, find_fonts(), SEED)
    settings = RunSettings(exit="never")
    with ResultFile(options.folder / "lines.jsonl", settings.identity("exit-validation")) as results:
        study = Study({"guided": settings}, "cpu")
        for number, _ in enumerate(study.run(load_scenes(archive), {"guided": results})):
            if number % 100 == 0:
                print(f"{len(results.records)} of {options.questions}", flush=True)
        fitted = fit(results.records)
    out = pair_path("small").parent / "pair.json"
    out.write_text(json.dumps({**fitted, "seed": SEED, "commit": provenance()["commit"]}, indent=1) + "\n")
    print(out.read_text())


if __name__ == "__main__":
    main()
