"""`python -m stitchvlm.training.documents --out FOLDER --kind receipt --count 12`: contact sheets of drawn documents."""

import argparse
import sys

from ..fonts import find_fonts
from .generator import KINDS, draw_crop, draw_document
from .sheet import write_sheets


def main() -> int:
    """Run the command line; 0 when the sheets are written, 1 after one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m stitchvlm.training.documents", description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the sheets")
    parser.add_argument("--kind", default="receipt", choices=(*KINDS, "all"))
    parser.add_argument("--count", type=int, default=12, help="documents of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the next ones follow")
    parser.add_argument("--fonts", help="folder with font files (default: /usr/share/fonts)")
    parser.add_argument("--crops", action="store_true", help="draw square parts instead of whole documents")
    given = parser.parse_args()
    draw = draw_crop if given.crops else draw_document
    try:
        fonts = find_fonts(given.fonts)
        if given.count < 1:
            raise ValueError(f"--count must be at least 1, not {given.count}")
        for kind in KINDS if given.kind == "all" else (given.kind,):
            drawn = [draw(given.seed + k, kind, fonts) for k in range(given.count)]
            for path in write_sheets(given.out, f"{kind}-crops" if given.crops else kind, drawn):
                print(path)
    except (ValueError, OSError) as error:
        print(f"documents: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
