"""DivPrune: keep tokens that differ from each other, whatever is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True)
class DivPrune(TokenReducer):
    """Keep the visual tokens whose smallest mutual cosine distance is largest, found greedily before layer 0.

    Paper: arXiv 2503.02175, algorithm 1: the first token is the one whose nearest neighbour is farthest; then always the token
    that is farthest from its nearest chosen one.

    Differs from the paper: not in the algorithm. All tiles and pictures of a prompt are one pool, as all crops are in the
    release; beside the release, tokens keep their positions (it closes the gaps), distances are taken in float32, and no
    token is chosen twice, which half precision allows.
    """

    name = "divprune"
    paper = "DivPrune, arXiv 2503.02175"
    needs = frozenset({Evidence.EMBEDDINGS})

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.single(keep, 0)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept = []
        for embeddings, present, count in zip(view.embeddings, view.present, n_keep, strict=True):
            chosen = farthest_points(embeddings[present.to(embeddings.device)], count)
            kept.append(present.cpu()[chosen.sort().values.cpu()])
        return Reduction(tuple(kept))


def farthest_points(features: Float[Tensor, "n width"], count: int) -> Int[Tensor, " count"]:
    """Max-min selection by cosine distance, in the order of choice."""
    count = min(count, len(features))
    if count == 0:
        return torch.empty(0, dtype=torch.long, device=features.device)
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    distance = 1 - unit @ unit.T
    others = distance.clone().fill_diagonal_(torch.inf)
    chosen = [others.min(1).values.argmax() if len(features) > 1 else torch.tensor(0, device=features.device)]
    nearest = distance[chosen[0]].clone()
    for _ in range(count - 1):
        nearest[chosen[-1]] = -torch.inf
        chosen.append(nearest.argmax())
        nearest = torch.minimum(nearest, distance[chosen[-1]])
    return torch.stack(chosen)
