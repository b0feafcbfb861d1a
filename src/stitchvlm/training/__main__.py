"""`python -m stitchvlm.training --out runs/pair --minutes 9`: train, or go on training, the embedded pair."""

import argparse
import sys

from . import RECIPES, train


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stitchvlm.training", description=__doc__)
    parser.add_argument("--recipe", default="scenes", choices=sorted(RECIPES))
    parser.add_argument("--out", default="runs/pair", help="folder for pictures, checkpoints, logs and models")
    parser.add_argument("--minutes", type=float, help="stop after this long; call again to go on")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=("small", "large"), help="train one of the models")
    parser.add_argument("--receipts", metavar="FOLDER", help="real receipts, for a recipe that reads documents")
    parser.add_argument("--fonts", help="folder with font files (default: /usr/share/fonts)")
    parser.add_argument("--threads", type=int, help="threads of this process")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw pictures")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument("--init-from", metavar="FOLDER", help="weights to begin with where there is no training state")
    parser.add_argument("--begin", metavar="STAGE", help="the stage that begins with them (default: the last)")
    parser.add_argument("--scale", type=int, default=1, help="multiplies pictures and tiles a step")
    parser.add_argument("--pace", type=float, default=1.0, help="multiplies the budget of every stage")
    parser.add_argument("--pictures", type=float, default=1.0, help="multiplies the pictures to learn from")
    parser.add_argument("--compiled", action="store_true", help="compile the layers (needs a C++ compiler)")
    parser.add_argument("--fresh", action="store_true", help="refuse a folder that already holds training state")
    return parser.parse_args()


def main() -> int:
    """Run the command line; 0 when finished, 3 when there is more to train, 1 after one sentence on stderr."""
    given = vars(_arguments())
    resume = not given.pop("fresh")
    try:
        return 0 if train(resume=resume, **given) else 3
    except (ValueError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
