"""When an answer counts as right, and how sure a share of right answers is."""

import math


def normalise(answer: str) -> str:
    """An answer without what nobody means by it: surrounding space, upper case, a full stop at the end."""
    return answer.strip().casefold().removesuffix(".").rstrip()


def is_correct(answer: str, gold: str) -> bool:
    """Exact match after :func:`normalise`."""
    return normalise(answer) == normalise(gold)


def wilson_interval(n_correct: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a true share that ``n_correct`` of ``n`` is compatible with, 95 % by default (Wilson, 1927).

    Unlike the usual normal interval it stays within [0, 1] and has a width at 0 and at ``n``.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = n_correct / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
