"""How SparseVLM divides a budget between the best tokens and the gathered ones, and what it gathers where."""

import math

import pytest
import torch
from views import layout

from stitchvlm.methods import ReductionView, make_method


def decided(scores: torch.Tensor, states: torch.Tensor, n_keep: int, **options) -> tuple[list[int], dict[int, dict]]:
    """Kept tokens, and for each gathered one its sources and their weights."""
    n = len(scores)
    view = ReductionView([layout([])], [torch.arange(n)], 2, attention=[scores], states=[states])
    reduction = make_method("sparsevlm", **options).reduce(view, [n_keep])
    merge, groups = reduction.merges[0], {}
    for source, target, weight in zip(*(x.tolist() for x in (merge.source, merge.target, merge.weight)), strict=True):
        groups.setdefault(target, {})[source] = weight
    return reduction.kept[0].tolist(), groups


def made_up(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, generator=generator), torch.randn(n, 6, generator=generator)


@pytest.mark.parametrize(
    ("n", "n_keep", "gathered"),
    [
        (576, 309, 8),  # the release keeps 300 there and adds 9: its numbers are rounded up, and added to the budget
        (320, 61, 7),
        (320, 20, 9),
        (320, 18, 9),  # 302 leave, 90 are gathered into 9, which is half of what stays
        (320, 10, 5),
        (320, 4, 2),
        (320, 1, 0),
        (10, 4, 0),  # 6 leave, 1 would be gathered into a tenth of one
    ],
)
def test_gathered_tokens_are_never_more_than_the_best_ones(n, n_keep, gathered):
    scores, states = made_up(n)
    kept, groups = decided(scores, states, n_keep)
    assert len(kept) == n_keep and len(groups) == gathered
    best = scores.argsort(descending=True)[: n_keep - gathered].tolist()
    assert set(kept) == set(best) | set(groups) and not set(best) & set(groups)


@pytest.mark.parametrize("seed", range(4))
def test_the_better_ones_of_those_that_leave_gather_around_the_best_of_them(seed):
    """Against loops: 30 of 40 tokens leave, half of them gather around a fifth as many, which are among the 10 that stay."""
    scores, states = made_up(40, seed)
    kept, groups = decided(scores, states, 10, recycled=0.5, clusters=0.2)
    order = sorted(range(40), key=lambda k: -float(scores[k]))
    centres, others = order[7:10], order[10:25]
    expected = {centre: [centre] for centre in centres}
    for other in others:
        likeness = [
            sum(float(a) * float(b) for a, b in zip(states[other], states[centre], strict=True))
            / math.dist(states[centre], torch.zeros(6))
            for centre in centres
        ]
        expected[centres[likeness.index(max(likeness))]].append(other)
    assert kept == sorted(order[:10])
    assert {target: sorted(group) for target, group in groups.items()} == {t: sorted(g) for t, g in expected.items()}
    for target, group in groups.items():
        assert list(group.values()) == pytest.approx([1 / len(expected[target])] * len(group))
