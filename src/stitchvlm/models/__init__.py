"""The embedded pair's own exit. The weights beside it are named in :mod:`stitchvlm.embedded`."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from stitchvlm.exits import CalibratedExit

EXIT_FILE = Path(__file__).parent / "pair-v0" / "exit.json"
"""The pair's calibration, as :class:`~stitchvlm.exits.Calibration` reads it."""


@cache
def recommended_exit() -> CalibratedExit:
    """The exit that was calibrated for the embedded pair, with its score; with other settings than those it never happens."""
    return replace(CalibratedExit.load(EXIT_FILE), origin="the embedded pair's own exit", optional=True)
