"""One model alone: the two rows between which every method has to find its place."""

from dataclasses import dataclass

from stitchvlm.methods.base import Method
from stitchvlm.schedule import Schedule


@dataclass(frozen=True)
class LargeAlone(Method):
    """The large model answers from all its visual tokens.

    A baseline from no paper: the 100 % row of every table.
    """

    name = "large-alone"
    paper = "baseline, no paper"

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule()


@dataclass(frozen=True)
class SmallAlone(Method):
    """The small model answers everything, and the large one is never touched.

    A baseline from no paper. Guidance that does not beat it is of no use: arXiv 2412.03324 has this row in its tables too.
    """

    name = "small-alone"
    paper = "baseline, no paper"
    asks_large = False

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule()
