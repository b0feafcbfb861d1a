"""ToMe: alike tokens are averaged, not dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Merge, Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True)
class ToMe(TokenReducer):
    """Merge visual tokens by bipartite soft matching; attention is proportional to what a token stands for.

    Paper: arXiv 2210.09461, section 3: every other token seeks the most similar one of the rest by the cosine of their keys;
    the most similar pairs flow together, weighted by size, and the logarithm of a token's size is added to its attention.

    Differs from the paper: there a few tokens merge in every block of a vision transformer. Here visual states merge inside the
    language model before ``layer``, in rounds of at most half the tokens until the asked number is left; a merged token
    has the position of the token that others flow into, and the two halves of a later round alternate by place. All tiles
    and pictures of a prompt are one sequence. Keys are compared after the rotary embedding and with all heads
    joined, not averaged; from round to round a merged key is the mean weighted by size (in the paper new ones are made).
    """

    layer: int = 2
    proportional: bool = True

    name = "tome"
    paper = "Token Merging: Your ViT But Faster, arXiv 2210.09461"
    needs = frozenset({Evidence.STATES})
    minds_places = True

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.from_layer(keep, n_layers, self.layer, self.name)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept, merges = [], []
        for keys, sizes, present, count in zip(view.keys, view.sizes, view.present, n_keep, strict=True):
            present, sizes = present.cpu(), sizes.cpu()
            root = merge_roots(keys.float().cpu(), sizes, count)
            kept.append(present[root.unique()])
            total = torch.zeros(len(present)).index_add_(0, root, sizes[: len(root)])
            merges.append(Merge(present[: len(root)], present[root], sizes[: len(root)] / total[root]))
        return Reduction(tuple(kept), tuple(merges), self.proportional)


def merge_roots(metric: Float[Tensor, "n dim"], sizes: Float[Tensor, " n"], count: int) -> Int[Tensor, " _n_roots"]:
    """For each token the token that it ends up in (itself where it stays), until ``count`` are left.

    Where none is to be left there is nothing to merge into, and no roots.
    """
    n = len(metric)
    root = torch.arange(n)
    if count == 0:
        return root[:0]
    metric, sizes = metric.clone(), sizes.clone().float()
    alive = torch.arange(n)
    while len(alive) > count:
        first, second = alive[::2], alive[1::2]
        unit = torch.nn.functional.normalize(metric, dim=-1)
        best, partner = (unit[first] @ unit[second].T).max(1)
        gone = best.argsort(descending=True, stable=True)[: min(len(alive) - count, len(alive) // 2)]
        source, target = first[gone], second[partner[gone]]
        weighted = (metric * sizes[:, None]).index_add(0, target, metric[source] * sizes[source, None])
        sizes = sizes.index_add(0, target, sizes[source])
        metric = torch.where(torch.isin(torch.arange(n), target)[:, None], weighted / sizes[:, None], metric)
        root[source] = target
        alive = alive[~torch.isin(alive, source)]
    while not torch.equal(root, root[root]):
        root = root[root]
    return root
