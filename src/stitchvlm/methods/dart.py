"""DART: drop what repeats a few pivotal tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True)
class DART(TokenReducer):
    """Keep a few pivots and the tokens that resemble them least.

    Paper: arXiv 2502.11494, section 4: pivots are the tokens with the largest key norm in the layer before; every pivot in turn
    keeps, of the tokens not yet taken, those with the lowest cosine to it.

    Differs from the paper: there every pivot keeps the tokens below a threshold, whoever else keeps them; here, as in the release,
    a token is taken once, and the norm is the sum of absolute values. Pivots are visual tokens only (the release has four of
    these and four of text), they take turns in the order of their norms one token at a time, so that exactly the asked number
    stays, and states are compared as they are, not after the model's last norm.
    """

    layer: int = 2
    pivots: int = 8

    name = "dart"
    paper = "Stop Looking for Important Tokens: DART, arXiv 2502.11494"
    needs = frozenset({Evidence.STATES})

    def __post_init__(self):
        if self.pivots < 1:
            raise ValueError(f"pivots must be at least 1, not {self.pivots}")

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.from_layer(keep, n_layers, self.layer, self.name)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        rows = zip(view.states, view.keys, view.present, n_keep, strict=True)
        return Reduction(
            tuple(
                present.cpu()[unlike_pivots(states, keys.float().abs().sum(-1), self.pivots, count).cpu().sort().values]
                for states, keys, present, count in rows
            )
        )


def unlike_pivots(
    states: Float[Tensor, "n width"], norms: Float[Tensor, " n"], n_pivots: int, count: int
) -> Int[Tensor, " count"]:
    """The pivots and, in turns, the tokens least like each of them."""
    chosen = norms.argsort(descending=True, stable=True)[: min(n_pivots, count)].tolist()
    unit = torch.nn.functional.normalize(states.float(), dim=-1)
    likeness = unit[chosen] @ unit.T
    free = torch.ones(len(states), dtype=torch.bool, device=states.device)
    free[chosen] = False
    for turn in range(min(count, len(states)) - len(chosen)):
        best = int(likeness[turn % len(likeness)].masked_fill(~free, torch.inf).argmin())
        free[best] = False
        chosen.append(best)
    return torch.tensor(chosen, dtype=torch.long)
