"""The embedded pair: where its weights lie and the exit that was calibrated for it."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from stitchvlm.exits import CalibratedExit

_PAIR = Path(__file__).parent / "pair-v0"
EXIT_FILE = _PAIR / "exit.json"
"""The pair's calibration, as :class:`~stitchvlm.exits.Calibration` reads it."""


def pair_path(which: Literal["small", "large"]) -> Path:
    """The checkpoint folder of one model of the embedded pair."""
    return _PAIR / which


@cache
def recommended_exit() -> CalibratedExit:
    """The exit that was calibrated for the embedded pair, with its score; with other settings than those it never happens."""
    return replace(CalibratedExit.load(EXIT_FILE), origin="the embedded pair's own exit", optional=True)
