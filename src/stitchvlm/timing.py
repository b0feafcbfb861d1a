"""Seconds per stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up wall time per named stage.

    Work on an accelerator is asynchronous: a stage's time is when its results were asked for. With ``synchronize`` every
    stage waits for the device, which makes the parts exact and the whole slower.
    """

    def __init__(self, synchronize: bool = False):
        self.seconds: dict[str, float] = {}
        self._synchronize = synchronize and torch.cuda.is_available()
        self._started = self._now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the block towards ``name``."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start

    def total(self) -> float:
        """Seconds since the stopwatch was made."""
        return self._now() - self._started

    def _now(self) -> float:
        if self._synchronize:
            torch.cuda.synchronize()
        return time.perf_counter()
