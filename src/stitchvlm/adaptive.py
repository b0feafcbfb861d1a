"""Adaptive keep: how many visual tokens stay depends on how the guide map spreads over the picture."""

import math
from dataclasses import dataclass, fields

from torch import Tensor

from stitchvlm.shapes import Float


@dataclass(frozen=True)
class MassKeep:
    """As many visual tokens as hold a given share of the guide map's mass, question by question.

    A map that points at one place keeps few tokens, one that is spread out keeps many. An addition of this project; the paper keeps
    the same share of every picture.

    Attributes:
        mass: share of the map's sum that the kept tokens hold.
        floor: the least share of visual tokens that stays, rounded up.
        ceiling: the largest, rounded down.

    Raises:
        ValueError: if a share is out of its range.
    """

    mass: float
    floor: float = 0.01
    ceiling: float = 1.0

    def __post_init__(self):
        if not 0 < self.mass <= 1:
            raise ValueError(f"mass must be a share in (0, 1] of the guide map's sum, not {self.mass}")
        if not 0 <= self.floor <= self.ceiling <= 1:
            raise ValueError(
                f"floor and ceiling must be shares with floor <= ceiling, not {self.floor} and {self.ceiling}"
            )

    def count(self, scores: Float[Tensor, " n_visual"]) -> int:
        """How many of the tokens with these scores stay."""
        n_visual = len(scores)
        held = scores.double().sort(descending=True).values.cumsum(0)
        n_enough = int((held < self.mass * held[-1]).sum()) + 1 if n_visual else 0
        return max(math.ceil(self.floor * n_visual), min(n_enough, int(self.ceiling * n_visual)))

    def __str__(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return ",".join(f"{field.name}={getattr(self, field.name):g}" for field in changed)

    @classmethod
    def parse(cls, text: str) -> "MassKeep":
        """Read ``mass=0.95``, or ``mass=95%,floor=2%,ceiling=0.5``.

        Raises:
            ValueError: if it is not written so, or a share is out of its range.
        """
        shares: dict[str, float] = {}
        for part in text.split(","):
            name, _, number = part.strip().partition("=")
            try:
                shares[name] = float(number[:-1]) / 100 if number.endswith("%") else float(number)
            except ValueError:
                shares = {}
                break
        if "mass" not in shares or set(shares) - {"mass", "floor", "ceiling"}:
            raise ValueError(f"an adaptive keep is written mass=0.95 or mass=0.95,floor=0.02,ceiling=0.5, not {text!r}")
        return cls(**shares)
