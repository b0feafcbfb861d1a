"""What an exit score can be made of: each variant is the plain average of some of the parts."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

ScoreName = Literal["mean", "confidence", "consistency", "mean-per-token", "consistency-per-token"]
"""``mean`` is the paper's (arXiv 2412.03324, equation 6). The others leave one part out, or take the consistency per token
(a geometric mean), so that long answers are not punished for their length."""

PARTS: dict[str, tuple[str, ...]] = {
    "mean": ("confidence", "consistency"),
    "confidence": ("confidence",),
    "consistency": ("consistency",),
    "mean-per-token": ("confidence", "consistency_per_token"),
    "consistency-per-token": ("consistency_per_token",),
}
"""The parts that each variant is the average of."""

CUT = -1.0
"""The score that stands in for that of a draft which was cut short, below every threshold. Such a draft never exits, neither at
threshold 0 nor with ``always``, since it may lack what a whole answer would say: so live exits are
(:class:`~stitchvlm.exits.SmallEarlyExit`), and so recorded ones are counted in curves, fits and figures."""


def combine(name: str, parts: Mapping[str, Any]) -> Any:
    """The score of that name from its parts, which may be numbers or arrays.

    Raises:
        ValueError: if there is no such score, or a part of it is missing.
    """
    if name not in PARTS:
        raise ValueError(f"there is no exit score {name!r}: choose one of {', '.join(get_args(ScoreName))}")
    missing = [part for part in PARTS[name] if parts.get(part) is None]
    if missing:
        raise ValueError(
            f"the exit score {name} needs {missing[0]}, which is not recorded: record it with --exit never"
        )
    return sum(parts[part] for part in PARTS[name]) / len(PARTS[name])
