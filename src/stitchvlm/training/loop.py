"""The training loop: one stage, resumable at any step, bounded by steps or by minutes of its own compute time."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from stitchvlm.errors import DataError

from .checkpoint import Log, load_state, save_state
from .optim import build_optimizers, rate_at

LossAt = Callable[[int, float], tuple[torch.Tensor, dict[str, float]]]
"""From the step and the stage's progress (0 to 1) to the loss of that step's batch and figures to log."""


@dataclass(frozen=True)
class Budget:
    """Where a stage ends and how its learning rate moves. `minutes` counts training time, summed over resumed pieces."""

    steps: int | None = None
    minutes: float | None = None
    peak_rate: float = 2e-3
    warmup: int = 60
    decay_from: float = 0.6
    log_every: int = 50
    save_every_seconds: float = 60.0

    def progress(self, step: int, seconds: float) -> float:
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))


class Deadline:
    """The wall-clock end of this process's allowance."""

    def __init__(self, minutes: float | None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def seconds_left(self) -> float:
        """Infinity where there is no end."""
        return math.inf if self._end is None else max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        return self.seconds_left() <= 0


def _snapshot(module: nn.Module, optimizers: list[torch.optim.Optimizer], step: int, seconds: float) -> dict:
    return {
        "module": module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "seconds": seconds,
    }


def _resume(module: nn.Module, optimizers: list[torch.optim.Optimizer], checkpoint: Path) -> tuple[int, float]:
    """Take up the saved state, if there is any; the step and the seconds of training that it stands for."""
    state = load_state(checkpoint)
    if state is None:
        return 0, 0.0
    try:
        module.load_state_dict(state["module"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{checkpoint} belongs to another recipe: choose another folder") from error
    return state["step"], state["seconds"]


def _take_step(
    module: nn.Module, optimizers: list[torch.optim.Optimizer], loss_at: LossAt, step: int, progress: float, rate: float
) -> dict[str, float]:
    """One update at that learning rate; the figures of its batch."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        optimizer.zero_grad(set_to_none=True)
    loss, figures = loss_at(step, progress)
    if not math.isfinite(loss.item()):
        raise DataError(f"the loss at step {step} is {loss.item()}: what was learned until the last checkpoint is safe")
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return {"loss": loss.item(), **figures}


def run_stage(
    name: str, module: nn.Module, loss_at: LossAt, budget: Budget, checkpoint: Path, log: Log, deadline: Deadline
) -> bool:
    """Train `module` to the end of the stage; False when the deadline came first (the state is then on disk)."""
    optimizers = build_optimizers(module)
    step, seconds = _resume(module, optimizers, checkpoint)
    saved_at = time.monotonic()
    found: dict[str, list[float]] = defaultdict(list)
    module.train()
    module.zero_grad(set_to_none=True)  # what a stage before left on parameters that are frozen now must not be clipped
    while (progress := budget.progress(step, seconds)) < 1.0 and not deadline.passed():
        started = time.monotonic()
        rate = rate_at(progress, step, budget.peak_rate, budget.warmup, budget.decay_from)
        figures = _take_step(module, optimizers, loss_at, step, progress, rate)
        step += 1
        seconds += time.monotonic() - started
        for key, value in figures.items():
            found[key].append(value)
        if step % budget.log_every == 0:
            means = {key: sum(values) / len(values) for key, values in found.items()}
            log(stage=name, step=step, seconds=seconds, rate=rate, **means)
            found.clear()
        if time.monotonic() - saved_at > budget.save_every_seconds:
            save_state(checkpoint, _snapshot(module, optimizers, step, seconds))
            saved_at = time.monotonic()
    save_state(checkpoint, _snapshot(module, optimizers, step, seconds))
    return budget.progress(step, seconds) >= 1.0
