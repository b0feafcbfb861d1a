"""VisionZip: the vision encoder knows which patches it drew its conclusions from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Merge, Reduction
from stitchvlm.schedule import Schedule


@dataclass(frozen=True)
class VisionZip(TokenReducer):
    """Keep the visual tokens that the vision encoder attends to most, and average the others into a few contextual ones.

    Paper: arXiv 2412.04467, section 3: attention of the encoder's summary token in the last layer but one; contextual tokens are
    evenly spaced among the rest, and every other token joins the one whose key is most like its own.

    Differs from the paper: attention and keys are averaged over the patches that make up one visual token, and tokens are merged
    after the projector, not before it. All tiles and pictures of a prompt are one pool, so that a token may join one of
    another tile (the release gives every crop the same budget). The summary token itself does not go to the language model (in
    the release it does, and counts as one of those kept). A contextual token is the average of its group, as in the text (the
    release adds the average to it), and stands at its own place (in the release behind all others); all keep their positions (there
    they are counted anew). The share of contextual tokens is that of the published settings, rounded down.
    """

    contextual: float = 10 / 64

    name = "visionzip"
    paper = "VisionZip, arXiv 2412.04467"
    needs = frozenset({Evidence.VISION})
    minds_places = True

    def __post_init__(self):
        if not 0 <= self.contextual < 1:
            raise ValueError(f"contextual must be a share in [0, 1), not {self.contextual}")

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.single(keep, 0)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept, merges = [], []
        for shown, present, count in zip(view.vision, view.present, n_keep, strict=True):
            present = present.cpu()
            stay, merge = self._row(shown.attention.cpu()[present], shown.keys.cpu()[present], count)
            kept.append(present[stay])
            merges.append(Merge(present[merge.source], present[merge.target], merge.weight))
        return Reduction(tuple(kept), tuple(merges))

    def _row(self, attention: Tensor, keys: Tensor, count: int) -> tuple[Tensor, Merge]:
        """Places that stay, ascending, and how the rest flows into the contextual ones."""
        n_contextual = int(self.contextual * count)
        order = attention.argsort(descending=True, stable=True)
        dominant, rest = order[: count - n_contextual], order[count - n_contextual :].sort().values
        targets = rest[:: max(1, len(rest) // n_contextual)][:n_contextual] if n_contextual else rest[:0]
        stay = torch.cat([dominant, targets]).sort().values
        others = rest[~torch.isin(rest, targets)]
        if not len(targets) or not len(others):
            return stay, Merge(stay[:0], stay[:0], attention[:0])
        unit = torch.nn.functional.normalize(keys.float(), dim=-1)
        joined = torch.cat([targets, targets[(unit[others] @ unit[targets].T).argmax(1)]])
        members = torch.zeros(len(attention)).index_add_(0, joined, torch.ones(len(joined)))
        return stay, Merge(torch.cat([targets, others]), joined, 1 / members[joined])
