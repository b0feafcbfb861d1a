"""The roofline of a machine (Williams et al., 2009): no work is done faster than its arithmetic and its memory traffic allow."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from stitchvlm.timing import wait_for_devices

_FAR = 2.0
"""From so many times its bound on, a stage is limited by something else."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes moved at least."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.bytes + other.bytes)


@dataclass(frozen=True)
class Machine:
    """What one device does at best in one precision.

    Attributes:
        flops: operations per second.
        bytes: per second, those read and those written together.
    """

    device: str
    dtype: str
    flops: float
    bytes: float

    def as_dict(self) -> dict[str, float | str]:
        """The machine as one JSON-able object."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "flops_per_second": self.flops,
            "bytes_per_second": self.bytes,
        }

    @classmethod
    def measure(cls, device: torch.device, dtype: torch.dtype, repetitions: int = 5) -> "Machine":
        """The best of a few repetitions of one square matrix product, and of one copy that no cache holds."""
        side, copied = (2048, 2**27) if device.type == "cpu" else (8192, 2**30)
        matrix = torch.ones(side, side, dtype=dtype, device=device)
        product = torch.empty_like(matrix)
        multiply = _least_seconds(lambda: torch.mm(matrix, matrix, out=product), repetitions)
        source = torch.zeros(copied, dtype=torch.uint8, device=device)
        target = torch.zeros_like(source)
        copy = _least_seconds(lambda: target.copy_(source), repetitions)
        return cls(str(device), str(dtype).removeprefix("torch."), 2.0 * side**3 / multiply, 2.0 * copied / copy)

    def seconds(self, work: Work) -> float:
        """The least that the work can take."""
        return max(work.flops / self.flops, work.bytes / self.bytes)

    def bound(self, work: Work) -> Literal["arithmetic", "memory"]:
        """Which of the two takes that long."""
        return "arithmetic" if work.flops / self.flops >= work.bytes / self.bytes else "memory"


def _least_seconds(run: Callable[[], object], repetitions: int) -> float:
    seconds = []
    for _ in range(repetitions + 1):  # the first one warms up; it can hardly be the best
        wait_for_devices()
        start = time.perf_counter()
        run()
        wait_for_devices()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@dataclass(frozen=True)
class Stage:
    """One stage against its roofline.

    Attributes:
        roofline: the least seconds that the machine allows for it.
        bound: what takes them; None for a sum over stages.
        seconds: measured.
    """

    name: str
    work: Work
    roofline: float
    bound: str | None
    seconds: float

    @classmethod
    def of(cls, name: str, work: Work, machine: Machine, seconds: float) -> "Stage":
        """A stage that ran on that machine."""
        return cls(name, work, machine.seconds(work), machine.bound(work), seconds)

    @classmethod
    def total(cls, stages: Sequence["Stage"]) -> "Stage":
        """All stages one after the other."""
        work = sum((stage.work for stage in stages), Work())
        roofline, seconds = sum(stage.roofline for stage in stages), sum(stage.seconds for stage in stages)
        return cls("total", work, roofline, None, seconds)

    @property
    def ratio(self) -> float | None:
        """How many times the least it takes; None where nothing was to be done."""
        return self.seconds / self.roofline if self.roofline else None

    def as_dict(self) -> dict[str, float | str | None]:
        """The stage as one JSON-able object."""
        return {
            "flops": self.work.flops,
            "bytes": self.work.bytes,
            "roofline_seconds": self.roofline,
            "bound": self.bound,
            "seconds": self.seconds,
            "ratio": self.ratio,
        }


def what_limits(stages: Sequence[Stage]) -> str:
    """One sentence about the slowest of some stages."""
    slowest = max(stages, key=lambda stage: stage.seconds)
    said = f"{slowest.name} takes longest, {slowest.seconds * 1e3:.1f} ms"
    if slowest.ratio is None:
        return f"{said}, and does nothing that is counted here."
    least = f"{slowest.bound} accounts for {slowest.roofline * 1e3:.2g} ms of it"
    if slowest.ratio >= _FAR:
        rest = "kernels too small for the speed of a large product, launching them, or other work on this machine"
        return f"{said}: {least}, and the rest is neither but {rest}."
    if slowest.ratio < 1:
        return f"{said}, less than {slowest.roofline * 1e3:.2g} ms of {slowest.bound}: it works on what caches hold."
    return f"{said}: {least}, so it is limited by {slowest.bound}."
