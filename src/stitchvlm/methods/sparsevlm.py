"""SparseVLM: the words that speak of the picture judge it, and what leaves is partly recycled."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Merge, Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Bool, Float


@dataclass(frozen=True)
class SparseVLM(TokenReducer):
    """Keep the visual tokens that the question's visual words attend to most, and gather a part of the others into few.

    Paper: arXiv 2410.04417, sections 3.2 to 3.4: raters are the text tokens whose embeddings resemble the visual tokens more
    than the mean does; of the tokens that leave, the better scored share ``recycled`` is clustered, and each cluster's sum stays as
    one token.

    Attributes:
        stages: how often tokens leave.
        ratio: share that stays each time, before all shares are fitted to the asked average.
        recycled: share of the leaving tokens that is gathered.
        clusters: number of clusters, as a share of the gathered tokens. They count among those that are to be kept, of which
            they are at most half.

    Differs from the paper: how many stay, and in which layers, follows from the asked average and not from the rank of the
    attention matrix. There clusters come on top of the tokens that stay, of which the rank leaves at least one; here they
    count in the budget, and as 3 % of what leaves they would be all of it below 3 % of what there was (of 320 tokens that become 4,
    94 are gathered into 9), so that they are never more than half of what stays (the hardest budget of the release has 16 in 82). A
    cluster's mean stays, as in the release (in the text the sum), at the place of its best scored member (in the release behind
    the others); clusters gather around the best scored of the gathered tokens, not around density peaks. Raters are chosen
    among all text behind the last visual token, the template's included, as in the release. All tiles and pictures of a prompt
    are one pool, and tokens keep their positions (the release counts them anew).
    """

    stages: int = 3
    ratio: float = 0.5
    recycled: float = 0.3
    clusters: float = 0.1

    name = "sparsevlm"
    paper = "SparseVLM, arXiv 2410.04417"
    needs = frozenset({Evidence.ATTENTION, Evidence.STATES})

    def __post_init__(self):
        if self.stages < 1 or not 0 < self.ratio < 1:
            raise ValueError(f"stages must be at least 1 and ratio between 0 and 1, not {self.stages} and {self.ratio}")
        if not 0 <= self.recycled <= 1 or not 0 <= self.clusters <= 1:
            raise ValueError(
                f"recycled and clusters must be shares between 0 and 1, not {self.recycled} and {self.clusters}"
            )

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.pyramid(keep, n_layers, self.stages + 1, self.ratio)

    def schedule_at(self, keep: float, layer: int) -> Schedule:
        raise ValueError(f"{self.name} takes tokens away at several layers: leave the layer out")

    def asking_rows(
        self, layout: VisualLayout, embeddings: Float[Tensor, "n_tokens width"]
    ) -> Bool[Tensor, " n_tokens"]:
        rows = torch.zeros(layout.n_tokens, dtype=torch.bool)
        start = layout.first_text_after_visual
        if not layout.n_visual:
            return ~rows
        text = embeddings[start:].float()
        likeness = (embeddings[layout.index.to(embeddings.device)].float() @ text.T).softmax(-1).mean(0)
        rows[start:] = (likeness >= likeness.mean()).cpu()
        return rows

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept, merges = [], []
        for scores, states, present, count in zip(view.attention, view.states, view.present, n_keep, strict=True):
            stay, merge = self._row(scores.cpu(), states.float().cpu(), count)
            present = present.cpu()
            kept.append(present[stay])
            merges.append(Merge(present[merge.source], present[merge.target], merge.weight))
        return Reduction(tuple(kept), tuple(merges))

    def _row(self, scores: Tensor, states: Tensor, count: int) -> tuple[Tensor, Merge]:
        """Places that stay, ascending, and the recycled ones that flow into some of them."""
        order = scores.argsort(descending=True, stable=True)
        n_recycled = int(self.recycled * max(0, len(order) - count))
        n_clusters = min(int(self.clusters * n_recycled), count // 2)
        best, rest = order[: count - n_clusters], order[count - n_clusters :]
        centres, others = rest[:n_clusters], rest[n_clusters : n_recycled + n_clusters]
        stay = torch.cat([best, centres]).sort().values
        if not n_clusters or not len(others):
            return stay, Merge(stay[:0], stay[:0], scores[:0])
        unit = torch.nn.functional.normalize(states, dim=-1)
        target = torch.cat([centres, centres[(unit[others] @ unit[centres].T).argmax(1)]])
        members = torch.zeros(len(scores)).index_add_(0, target, torch.ones(len(target)))
        return stay, Merge(torch.cat([centres, others]), target, 1 / members[target])
