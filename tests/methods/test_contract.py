"""What every method promises, checked on every method in the registry."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchvlm.families.internvl import tiled_layout
from stitchvlm.methods import Evidence, ReductionView, available_methods, make_method


def view(n_rows: int, seed: int = 0) -> ReductionView:
    generator = torch.Generator().manual_seed(seed)
    layouts = [tiled_layout(torch.arange(3, 3 + 20), [(2, 2)], 2, [(64, 48)], n_tokens=30) for _ in range(n_rows)]
    present = [torch.arange(20)] * n_rows
    guide = [torch.rand(20, generator=generator) for _ in range(n_rows)]
    return ReductionView(layouts, present, 0, guide, range(seed, seed + n_rows))


@pytest.mark.parametrize("name", sorted(available_methods()))
@settings(deadline=None, max_examples=20)
@given(n_keep=st.lists(st.integers(0, 20), min_size=1, max_size=3), seed=st.integers(0, 5))
def test_every_row_keeps_exactly_what_is_asked(name, n_keep, seed):
    kept = make_method(name).reduce(view(len(n_keep), seed), n_keep).kept
    for row, n in zip(kept, n_keep, strict=True):
        assert len(row) == n and row.tolist() == sorted(set(row.tolist())) and all(0 <= k < 20 for k in row.tolist())


@pytest.mark.parametrize("name", sorted(available_methods()))
def test_same_view_same_decision_and_only_present_tokens(name):
    present = torch.tensor([1, 4, 7, 8, 19])
    whole = view(1)
    partial = ReductionView(whole.layouts, [present], 3, whole.guide, whole.seeds)
    one, other = (make_method(name).reduce(partial, [3]).kept[0].tolist() for _ in range(2))
    assert one == other and set(one) <= set(present.tolist())


@pytest.mark.parametrize("name", sorted(available_methods()))
def test_every_method_names_its_source_and_needs(name):
    method = make_method(name)
    assert method.name == name and method.paper and method.needs <= set(Evidence) and type(method).__doc__


def test_guided_keeps_the_largest_scores():
    scores = torch.arange(20).flip(0).float()
    whole = view(1)
    kept = make_method("guided").reduce(ReductionView(whole.layouts, whole.present, 0, [scores]), [4]).kept[0]
    assert kept.tolist() == [0, 1, 2, 3]


def test_random_keeps_every_token_equally_often():
    counts = torch.zeros(20)
    for seed in range(400):
        counts[make_method("random").reduce(view(1, seed), [5]).kept[0]] += 1
    assert (counts / 400 - 0.25).abs().max() < 0.1  # 4.6 standard deviations


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match="'nonsense'.*guided.*random"):
        make_method("nonsense")
