"""The embedded pair: where its weights lie and the exit that was calibrated for it."""

import json
from functools import cache
from pathlib import Path
from typing import Literal

_PAIR = Path(__file__).parent / "pair-v0"
EXIT_FILE = _PAIR / "exit.json"
"""The pair's calibration, as :class:`~stitchvlm.exits.Calibration` reads it."""


def pair_path(which: Literal["small", "large"]) -> Path:
    """The checkpoint folder of one model of the embedded pair."""
    return _PAIR / which


@cache
def recommended_exit() -> float:
    """The exit threshold that was calibrated for the embedded pair at its default settings."""
    return json.loads(EXIT_FILE.read_text(encoding="utf-8"))["threshold"]
