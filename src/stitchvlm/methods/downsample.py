"""Downsampling: the picture itself is made smaller, which needs no method at all."""

from dataclasses import dataclass
from typing import Literal

from stitchvlm.methods.base import Method
from stitchvlm.schedule import Schedule


@dataclass(frozen=True)
class Downsample(Method):
    """Shrink the picture before the large model sees it, until it makes no more visual tokens than are to be kept.

    A baseline from no paper. Every method has to beat it, because it costs nothing and spares the vision encoder too. It is no
    reduction between layers but a change of the question, so it only says by how much, and the family knows which sizes its encoder
    can take.

    Attributes:
        grid: encoders work on whole grids, and few shares can be met; take the next ``"smaller"`` or the next ``"larger"``
            grid. The trace says what came of it.
    """

    grid: Literal["smaller", "larger"] = "smaller"

    name = "downsample"
    paper = "baseline, no paper"

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.shrunk(keep, self.grid == "larger")
