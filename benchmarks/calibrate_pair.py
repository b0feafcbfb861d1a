"""The embedded pair's own exit, calibrated on drawn questions that no test or training uses.

    python benchmarks/calibrate_pair.py --pictures 2000

One question about each picture is answered by the small model and by the guided large one at the default 9 %; then the threshold
is fitted as ``stitch calibrate --target accuracy-loss=0.01 --score confidence`` fits it, and written to ``exit.json`` beside the
weights, which the file is bound to. It goes on where it stopped. Fonts are needed, as for training.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from harness import drawn_questions

from stitchvlm.evaluation.calibrate import calibrate
from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.target import Target
from stitchvlm.exits.scores import ScoreName
from stitchvlm.models import EXIT_FILE
from stitchvlm.training.splits.scenes import QUESTIONS_A_PICTURE

SEED = "exit-validation-1"  # by exit-validation-0 the score was chosen, so that it says nothing fair of a threshold
SCORE: ScoreName = "confidence"


def one_of_each_picture(samples: Iterable[Sample]) -> list[Sample]:
    """The first question about the first picture, the second about the second, and so on round: all kinds come as often."""
    pictures: dict[str, list[Sample]] = {}
    for sample in samples:
        pictures.setdefault(sample.group, []).append(sample)
    return [about[number % len(about)] for number, about in enumerate(pictures.values())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--target", type=Target.parse, default=Target("accuracy-loss", 0.01))
    parser.add_argument("--folder", type=Path, default=Path("results-local/exit"))
    parser.add_argument("--seed", default=SEED, help="of the pictures")
    parser.add_argument("--only-record", action="store_true", help="write no exit.json")
    options = parser.parse_args()
    drawn = drawn_questions(options.folder, QUESTIONS_A_PICTURE * options.pictures, options.seed)
    samples, settings = one_of_each_picture(drawn)[: options.pictures], RunSettings(exit="never")
    lines = options.folder / f"{options.seed}.jsonl"
    with ResultFile(lines, settings.identity(options.seed)) as results:
        study = Study({"guided": settings}, "cpu")
        for number, _ in enumerate(study.run(samples, {"guided": results})):
            if number % 100 == 0:
                print(f"{len(results.records)} of {len(samples)}", flush=True)
    if options.only_record:
        return
    calibrate([Recorded.read(lines)], options.target, score=SCORE).calibration.write(EXIT_FILE)
    print(EXIT_FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
