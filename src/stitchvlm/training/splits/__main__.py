"""`python -m stitchvlm.training.splits documents --out documents-v1.zip`: draw a test split; the same fonts give the same bytes."""

import argparse
import sys
from pathlib import Path

from ..fonts import find_fonts
from . import SPLITS, write_split


def main() -> int:
    """Run the command line; 0 when the archive is written, 1 after one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m stitchvlm.training.splits", description=__doc__)
    parser.add_argument("split", choices=sorted(SPLITS))
    parser.add_argument("--out", required=True, type=Path, help="the archive; its checksum is written beside it")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--seed", help="another one than the checked-in split's")
    parser.add_argument("--fonts", help="folder with font files (default: /usr/share/fonts)")
    given = parser.parse_args()
    try:
        if given.questions < 1:
            raise ValueError(f"--questions must be at least 1, not {given.questions}")
        print(write_split(given.out, SPLITS[given.split], given.questions, find_fonts(given.fonts), given.seed))
    except (ValueError, OSError) as error:
        print(f"splits: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
