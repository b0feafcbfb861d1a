"""Downsampling: the picture itself is made smaller, which needs no method at all."""

from dataclasses import dataclass

from stitchvlm.methods.base import Method
from stitchvlm.schedule import Schedule


@dataclass(frozen=True)
class Downsample(Method):
    """Shrink the picture before the large model sees it, until it makes no more visual tokens than are to be kept.

    A baseline from no paper. Every method has to beat it, because it costs nothing and spares the vision encoder too. It is no
    reduction between layers but a change of the question, so it only says by how much, and the family knows which sizes its encoder
    can take. Encoders work on grids, so the share is met from below, not exactly; the trace says what came of it.
    """

    name = "downsample"
    paper = "baseline, no paper"

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.shrunk(keep)
