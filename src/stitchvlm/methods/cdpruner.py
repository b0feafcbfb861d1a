"""CDPruner: keep tokens that differ from each other among those that the question is about."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int

_SMALL = 1e-6
_SPANNED = 1e-10
"""A token that sticks out by less than this share of its own length, squared, cannot be told from one that does not."""


@dataclass(frozen=True)
class CDPruner(TokenReducer):
    """Keep the most probable set under a determinantal point process conditioned on the question, before layer 0.

    Paper: arXiv 2506.10967, section 3: similarities of the visual tokens, multiplied on both sides by each token's relevance
    (its cosine with the question, min-max normalised), and the set chosen greedily by the growth of the determinant.

    Differs from the paper: relevance is what it names for models whose vision encoder has no text encoder beside it, the cosine of
    projected visual tokens with the mean embedding of the question's tokens, whatever the model; all text behind the last
    visual token counts, the template's included. Its sign is the text's; the release turns it round for CLIP. The least
    relevant token keeps a trace of relevance, as in the release. All tiles and pictures of a prompt are one pool (the release
    gives every crop the same budget), and tokens keep their positions (the release closes the gaps). A kernel has no more
    dimensions than embeddings are wide; tokens beyond those, on which the paper is silent, follow by relevance, where the
    release divides by rounding errors and ends with fewer tokens than asked.
    """

    name = "cdpruner"
    paper = "Beyond Attention or Similarity: CDPruner, arXiv 2506.10967"
    needs = frozenset({Evidence.EMBEDDINGS})

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.single(keep, 0)

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        kept = []
        for visual, text, present, count in zip(view.embeddings, view.instruction, view.present, n_keep, strict=True):
            present = present.to(visual.device)
            relevance = question_relevance(visual[present], text)
            kept.append(present[likeliest_set(visual[present], relevance, count).sort().values].cpu())
        return Reduction(tuple(kept))


def question_relevance(visual: Float[Tensor, "n width"], text: Float[Tensor, "n_text width"]) -> Float[Tensor, " n"]:
    """Cosine of each visual token with the mean text embedding, between a small positive number and 1."""
    if not len(visual):
        return visual.new_zeros(0, dtype=torch.float32)
    cosine = torch.nn.functional.cosine_similarity(visual.float(), text.float().mean(0, keepdim=True), dim=-1)
    return (cosine - cosine.min() + _SMALL) / (cosine.max() - cosine.min() + _SMALL)


def likeliest_set(
    visual: Float[Tensor, "n width"], relevance: Float[Tensor, " n"], count: int
) -> Int[Tensor, " count"]:
    """Greedy MAP inference by an incremental Cholesky factorisation, in the order of choice; then the most relevant.

    The determinant grows with a token by what sticks out of the span of the chosen ones. Once nothing does, every larger set is
    equally impossible, and the rest follows by relevance.
    """
    unit = torch.nn.functional.normalize(visual.double(), dim=-1)
    weight = relevance.double()
    kernel = weight[:, None] * (unit @ unit.T) * weight
    count = min(count, len(visual))
    gain = kernel.diagonal().clone()
    least = _SPANNED * gain
    factors = kernel.new_zeros(count, len(visual))
    chosen: list[int] = []
    for step in range(count):
        new = gain > least
        if not new.any():
            break
        best = int(gain.where(new, -torch.inf).argmax())
        chosen.append(best)
        row = kernel[best] - factors[:step, best] @ factors[:step]
        factors[step] = row / gain[best].sqrt()
        gain = gain - factors[step].square()
        gain[chosen] = -torch.inf
    free = torch.ones(len(visual), dtype=torch.bool, device=visual.device)
    free[chosen] = False
    rest = weight.where(free, -torch.inf).argsort(descending=True, stable=True)[: count - len(chosen)]
    return torch.cat([torch.tensor(chosen, dtype=torch.long, device=visual.device), rest])
