"""Trains the embedded pair on one GPU, in calls of a few minutes: draws with all cores, then both models side by side.

    python benchmarks/train_on_gpu.py --work /somewhere/outside --out OUT [--fonts FONTS] [--minutes 9] [--init-from PAIR]

Called again with the same folder for the work it goes on where it stopped. At the end of every call the models as far as they
have come and both logs are in OUT, eight files in all. A later machine without the folder for the work goes on from these with
`--init-from OUT`. Needs torch, transformers, numpy and Pillow; the package need not be installed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
sys.path.insert(0, str(SOURCE))

from stitchvlm.training.loop import Deadline  # noqa: E402
from stitchvlm.training.run import BOTH, draw, find_recipe  # noqa: E402

MODEL_FILES = ("model.safetensors", "config.json", "tokenizer.json")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and training state (6 GB)")
    parser.add_argument("--out", type=Path, required=True, help="folder for models and logs")
    parser.add_argument("--fonts", type=Path, help="folder with font files (default: those of the system)")
    parser.add_argument("--minutes", type=float, default=9.0, help="length of this call")
    parser.add_argument("--recipe", default="scenes")
    parser.add_argument("--scale", type=int, default=2, help="multiplies pictures and tiles a step")
    parser.add_argument("--pace", type=float, default=0.16, help="multiplies budgets; 0.16 fits into three calls")
    parser.add_argument("--init-from", type=Path, help="saved pair to begin with where there is no training state")
    parser.add_argument("--begin", help="the stage that begins with it (default: the last)")
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def start_training(given: argparse.Namespace, which: str, minutes: float) -> subprocess.Popen:
    """Train one model in a process of its own, so that the work of its CPU side does not wait for the other's."""
    options = {"--fonts": given.fonts, "--init-from": given.init_from, "--begin": given.begin}
    options |= {"--recipe": given.recipe, "--out": given.work, "--only": which, "--minutes": round(minutes, 2)}
    options |= {"--scale": given.scale, "--pace": given.pace, "--device": given.device, "--threads": 4}
    words = [str(word) for option in options.items() if option[1] is not None for word in option]
    return subprocess.Popen(
        [sys.executable, "-m", "stitchvlm.training", *words], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )


def collect(work: Path, out: Path) -> None:
    """Copy what is worth keeping: both models and their logs."""
    for which in BOTH:
        saved, log = work / "pair" / which, work / which / "log.jsonl"
        (out / which).mkdir(parents=True, exist_ok=True)
        for name in MODEL_FILES:
            if (saved / name).exists():
                shutil.copyfile(saved / name, out / which / name)
        if log.exists():
            shutil.copyfile(log, out / which / "log.jsonl")


def main() -> int:
    """Draw, train and collect; 0 when both models are finished, 3 when another call goes on, 1 after an error."""
    given = _arguments()
    deadline = Deadline(given.minutes)
    try:
        drawn = draw(find_recipe(given.recipe), given.work, deadline, given.fonts, os.cpu_count() or 1)
    except (ValueError, OSError) as error:
        print(f"train_on_gpu: {error}", file=sys.stderr)
        return 1
    if not drawn:
        return 3
    minutes = deadline.seconds_left() / 60
    codes = [process.wait() for process in [start_training(given, which, minutes) for which in BOTH]]
    collect(given.work, given.out)
    return next((code for code in codes if code not in (0, 3)), max(codes))


if __name__ == "__main__":
    sys.exit(main())
