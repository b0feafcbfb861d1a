"""Files that are either whole or absent, resumable training state, and the training log."""

import errno
import io
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stitchvlm.errors import DataError
from stitchvlm.files import replace_file


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a neighbour of `path`, then move it into place; a full disk is one clear sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as partial:
            write(partial)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(f"there is no space left to write {path}: free some, and run it again to go on") from error


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write training state; it passes through memory, so that a full disk shows as what it is."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, lambda partial: partial.write_bytes(buffer.getbuffer()))


def load_state(path: Path) -> dict[str, Any] | None:
    """The saved state on the CPU, or None where there is none.

    Raises:
        DataError: if the file is torn or no training state.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError):
        state = None
    if not isinstance(state, dict) or not {"module", "optimizers", "step", "seconds"} <= state.keys():
        raise DataError(f"{path} is broken: delete it, and its stage begins anew")
    return state


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
