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
        self._synchronize = synchronize
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
            wait_for_devices()
        return time.perf_counter()


def wait_for_devices() -> None:
    """Wait for every CUDA device that holds something of this process; touches no other and needs none."""
    if torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            if torch.cuda.memory_allocated(device):
                torch.cuda.synchronize(device)
