"""The embedded pair: where its weights lie and the settings that it recommends."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

_PAIR = Path(__file__).parent / "pair-v0"


def pair_path(which: Literal["small", "large"]) -> Path:
    """The checkpoint folder of one model of the embedded pair."""
    return _PAIR / which


@cache
def _recommended() -> dict[str, Any]:
    return json.loads((_PAIR / "pair.json").read_text(encoding="utf-8"))


def recommended_exit() -> float | None:
    """The exit threshold fitted for the embedded pair; None while there is none."""
    return _recommended()["exit"]
