"""Trains a pair on one GPU, in calls of a few minutes: draws with all cores, then trains the small and the large model.

    python benchmarks/train_on_gpu.py --work /somewhere/outside --out OUT [--fonts FONTS] [--minutes 9] [--init-from OUT]

Called again with the same folder for the work it goes on where it stopped. At the end of every call the models as far as they
have come and their logs are in OUT, as one archive in pieces of at most 15 MB, `pair.tar.0` and so on. A later machine without the
folder for the work goes on from these with `--init-from OUT`; `--unpack FOLDER` only unpacks them. Needs torch, transformers, numpy
and Pillow; the package need not be installed.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
sys.path.insert(0, str(SOURCE))

from stitchvlm.training.loop import Deadline  # noqa: E402
from stitchvlm.training.pipeline import heads_beside  # noqa: E402
from stitchvlm.training.recipe import adapt, with_receipts  # noqa: E402
from stitchvlm.training.run import draw, find_recipe  # noqa: E402

ARCHIVE, PIECE = "pair.tar", 15_000_000
"""The name of the archive, and the bytes of one piece of it."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for pictures and state (15 GB, 20 for receipts)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the pieces with models and logs")
    parser.add_argument("--fonts", type=Path, help="folder with font files (default: those of the system)")
    parser.add_argument("--receipts", type=Path, help="folder of real receipts, for a recipe that reads documents")
    parser.add_argument("--minutes", type=float, default=9.0, help="length of this call")
    parser.add_argument("--recipe", default="scenes")
    parser.add_argument("--scale", type=int, default=2, help="multiplies pictures and tiles a step")
    parser.add_argument(
        "--pace", type=float, default=0.16, help="multiplies budgets; 0.16 fits scenes into three calls"
    )
    parser.add_argument("--pictures", type=float, default=1.0, help="multiplies the pictures to learn from")
    parser.add_argument("--init-from", type=Path, help="saved pair, or pieces of one, where there is no training state")
    parser.add_argument("--begin", help="the stage that begins with it (default: the last)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="unpack the pieces in --out and do nothing else")
    return parser.parse_args()


def run_training(given: argparse.Namespace, minutes: float) -> int:
    """Train both models, one after the other, in a process of their own; its exit code."""
    options = {"--fonts": given.fonts, "--begin": given.begin, "--receipts": given.receipts}
    options["--init-from"] = unpacked(given.init_from, given.work / "begin")
    options |= {"--recipe": given.recipe, "--out": given.work, "--minutes": round(minutes, 2)}
    options |= {
        "--scale": given.scale,
        "--pace": given.pace,
        "--pictures": given.pictures,
        "--device": given.device,
        "--threads": 4,
        "--workers": os.cpu_count() or 1,
    }
    words = [str(word) for option in options.items() if option[1] is not None for word in option]
    command = [sys.executable, "-m", "stitchvlm.training", *words]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False).returncode


def collect(recipe: str, work: Path, out: Path) -> None:
    """Write what is worth keeping, the models and their logs, as pieces of one archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for which in find_recipe(recipe).stages:
            saved, log = work / "pair" / which, work / which / "log.jsonl"
            files = {f"{which}/{path.name}": path for path in (*(saved.iterdir() if saved.is_dir() else ()), log)}
            heads = heads_beside(saved)
            for name, path in sorted((files | {heads.name: heads}).items()):
                if path.exists():
                    archive.add(path, name)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{ARCHIVE}.*"):
        old.unlink()
    content = buffer.getvalue()
    for number, first in enumerate(range(0, len(content), PIECE)):
        (out / f"{ARCHIVE}.{number}").write_bytes(content[first : first + PIECE])


def unpacked(saved: Path | None, folder: Path) -> Path | None:
    """The saved pair; where `saved` holds pieces of one, they are put together in `folder`."""
    pieces = [] if saved is None else sorted(saved.glob(f"{ARCHIVE}.*"), key=lambda path: int(path.suffix[1:]))
    if not pieces:
        return saved
    content = b"".join(piece.read_bytes() for piece in pieces)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main() -> int:
    """Draw, train and collect; 0 when both models are finished, 3 when another call goes on, 1 after an error."""
    given = _arguments()
    deadline = Deadline(given.minutes)
    if given.unpack is not None:
        unpacked(given.out, given.unpack)
        return 0
    try:
        recipe = with_receipts(adapt(find_recipe(given.recipe), pictures=given.pictures), given.receipts)
        drawn = draw(recipe, given.work, deadline, given.fonts, os.cpu_count() or 1)
    except (ValueError, OSError) as error:
        print(f"train_on_gpu: {error}", file=sys.stderr)
        return 1
    if not drawn:
        return 3
    code = run_training(given, deadline.seconds_left() / 60)
    collect(given.recipe, given.work, given.out)
    return code


if __name__ == "__main__":
    sys.exit(main())
