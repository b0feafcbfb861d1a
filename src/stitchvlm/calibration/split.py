"""Questions to fit on, and others to report: drawn apart, and independent of each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def split(groups: Sequence[str], report: float, seed: int) -> tuple[Rows, Rows]:
    """Ordinals to fit on and ordinals to report, one question of every group; questions of one group depend on each other.

    Args:
        groups: the group of every question.
        report: share of the groups to set aside, in (0, 1).

    Raises:
        ValueError: if the share is out of its range, or one side would be empty.
    """
    if not 0 < report < 1:
        raise ValueError(f"the share to set aside for the report must lie between 0 and 1, not {report}")
    random = np.random.default_rng(seed)
    order = random.permutation(len(groups))
    _, first = np.unique(np.asarray(groups)[order], return_index=True)
    chosen = random.permutation(order[np.sort(first)])
    n_report = round(len(chosen) * report)
    if not 0 < n_report < len(chosen):
        raise ValueError(
            f"{len(chosen)} independent questions are too few to fit on some and report others: record more"
        )
    return np.sort(chosen[n_report:]), np.sort(chosen[:n_report])
