"""Files that are either whole or absent, resumable training state, and the training log."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a neighbour of `path`, then move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    write(partial)
    os.replace(partial, path)


def save_state(path: Path, state: dict[str, Any]) -> None:
    write_atomically(path, lambda partial: torch.save(state, partial))


def load_state(path: Path) -> dict[str, Any] | None:
    """The saved state on the CPU, or None where there is none."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


class Log:
    """Appends one JSON line per event to `path` and prints it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, **event: Any) -> None:
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in event.items()}
        line = json.dumps({"time": time.strftime("%H:%M:%S"), **rounded})
        with self.path.open("a") as stream:
            stream.write(line + "\n")
        print(line, flush=True)
