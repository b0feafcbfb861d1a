"""What a method of visual-token reduction is: it looks at evidence and says which tokens stay."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.reduction import Reduction
from stitchvlm.shapes import Float, Int


class Evidence(Enum):
    """What a method may ask to see. The engine collects only what is asked for."""

    GUIDE_MAP = "a guide map from the small model"


@dataclass(frozen=True, eq=False)
class ReductionView:
    """All that a method sees when it decides, one entry per row of the batch.

    Attributes:
        layouts: where the visual tokens sit.
        present: ordinals of the visual tokens that are still there, ascending.
        layer: the decoder layer before which the reduction happens.
        guide: importance of every visual token of the layout (not only of those present), if the method needs it.
        seeds: one per row, for methods that draw random numbers, so that a row does not depend on its batch.
    """

    layouts: Sequence[VisualLayout]
    present: Sequence[Int[Tensor, " _n_present"]]
    layer: int
    guide: Sequence[Float[Tensor, " _n_visual"]] | None = None
    seeds: Sequence[int] = ()


class TokenReducer(ABC):
    """A method. Its options are its dataclass fields; ``paper`` names its source."""

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[Evidence]] = frozenset()

    @abstractmethod
    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        """Decide which visual tokens of every row stay, ``n_keep[row]`` of them."""


class TokenScorer(TokenReducer):
    """A method that drops the tokens with the lowest scores; it writes only :meth:`score`."""

    @abstractmethod
    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        """One score per visual token of every row's layout; higher stays."""

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        return Reduction.top(self.score(view), n_keep, view.present)
