"""``python -m stitchvlm`` is the command ``stitch``."""

from stitchvlm.cli import main

main()
