"""Questions to fit on, and others to report: drawn apart, and independent of each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stitchvlm.plural import counted

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Draw:
    """How the questions of a fit were drawn, so that what is said of their number is what has to be recorded.

    Attributes:
        unit: what is independent of each other; of a picture, or another group of questions, one question was drawn.
        report: share of them that was set aside before, in [0, 1).
    """

    unit: Literal["question", "picture", "group"] = "question"
    report: float = 0.0

    def __post_init__(self):
        if not 0 <= self.report < 1:
            raise ValueError(f"the share to set aside for the report must lie between 0 and 1, not {self.report}")

    def count(self, n: int) -> str:
        """So many questions, in words."""
        return counted(n, "question") if self.unit == "question" else f"one question of each of {counted(n, self.unit)}"

    @property
    def new(self) -> str:
        """One question to come, in words: every picture counts the same, however many questions are asked about it."""
        return "a random question" if self.unit == "question" else f"one random question of a random {self.unit}"

    def n_report(self, n: int) -> int:
        """How many of ``n`` are set aside."""
        return round(n * self.report)

    def n_recorded(self, n_fitted: int) -> int:
        """The fewest to record for ``n_fitted`` to be left to fit on."""
        n = max(n_fitted, math.floor(n_fitted / (1 - self.report)) - 2)
        while n - self.n_report(n) < n_fitted:
            n += 1
        return n


def split(groups: Sequence[str], seed: int, draw: Draw) -> tuple[Rows, Rows]:
    """Ordinals to fit on and ordinals to report, one question of every group; questions of one group depend on each other.

    Args:
        groups: the group of every question.

    Raises:
        ValueError: if one side would be empty.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(groups))
    _, first = np.unique(np.asarray(groups)[order], return_index=True)
    chosen = random.permutation(order[np.sort(first)])
    n_report = draw.n_report(len(chosen))
    if not 0 < n_report < len(chosen):
        raise ValueError(
            f"{draw.count(len(chosen))} cannot be parted at {draw.report:g} into some to fit on and some to report: "
            "record more, or set another share aside"
        )
    return np.sort(chosen[n_report:]), np.sort(chosen[:n_report])
