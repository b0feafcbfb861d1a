"""Guide maps that cross from one model's visual tokens to another's."""

import torch
from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.shapes import Bool, Float

_LEAST_SHARE = 1e-4


def carry(scores: Float[Tensor, " n_visual"], source: VisualLayout, target: VisualLayout) -> Float[Tensor, " n_target"]:
    """Scores by which tokens of another layout can be chosen as the source's own are; the same ones where the layouts match.

    What a token is resampled is divided by what it would be if all scores were 1: that mean is in the units of the source, so
    large tokens do not win for being large, nor pictures for being cut into few. An overview, blurred as it is, would then
    hardly be kept where it has no scores of its own, and by sums it would always be: so detail and overview take turns,
    each as often as its means add up to. Any number of best tokens is then split between them by their numbers of tokens, more of
    that view at whose tokens the source looked more. The turns are put into the scores by dealing out the means of both
    views, the highest to the first in turn.

    Raises:
        ValueError: if the layouts are of different numbers of pictures.
    """
    if source.matches(target):
        return scores
    exact = scores.double().cpu()
    received = source.resample(exact, onto=target)
    possible = source.resample(torch.ones_like(exact), onto=target)
    # Tokens within one of the source's are equal: rounded, so that noise in the last digit does not choose between them.
    means = torch.where(possible > 0, received / possible, 0.0).float()
    return _in_turns(means, target.coarse_mask).to(scores)


def _in_turns(means: Float[Tensor, " n"], coarse_mask: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The same numbers in other places: descending within each view as before, and both views taking turns.

    The k-th of a view has its turn at (k - 1/2) / share, which is Webster's rule for dividing seats by shares: it splits any number
    of first turns as evenly as whole tokens can be. The shares are rounded, since equal turns are common, and noise in the
    last digits should not choose between them.
    """
    turn = torch.full_like(means, torch.inf, dtype=torch.double)
    share = round(float(means[coarse_mask].double().sum() / means.double().sum().clamp(min=1e-30)), 4)
    share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
    for view, of_all in ((coarse_mask, share), (~coarse_mask, 1 - share)):
        own = view & (means > 0)
        place = means[own].argsort(descending=True, stable=True).argsort()
        turn[own] = (place.double() + 0.5) / of_all
    dealt = torch.empty_like(means)
    dealt[turn.argsort(stable=True)] = means.sort(descending=True).values
    return dealt
