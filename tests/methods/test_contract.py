"""What every method promises, checked on every method in the registry."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from views import GRIDS, SHOWN, layout, permuted, scaled, view, without

from stitchvlm.methods import Evidence, TokenReducer, available_methods, make_method
from stitchvlm.reduction import Reduction, TokenStream
from stitchvlm.schedule import Schedule

METHODS = available_methods()
REDUCERS = [name for name, method in METHODS.items() if issubclass(method, TokenReducer)]
ROOT = Path(__file__).parents[2]
N_VISUAL = [layout(grids).n_visual for grids in GRIDS]

every_reducer = pytest.mark.parametrize("name", REDUCERS)


def reduce(name: str, seen, n_keep) -> Reduction:
    return make_method(name).reduce(seen, n_keep)


def stream(n_visual: int, seed: int = 0) -> TokenStream:
    """One row: three text tokens, the visual ones, seven more text tokens."""
    n_tokens = n_visual + 10
    hidden = torch.randn(1, n_tokens, 6, generator=torch.Generator().manual_seed(seed))
    place = torch.arange(n_tokens)[None]
    ordinal = torch.where((place >= 3) & (place < 3 + n_visual), place - 3, -1)
    return TokenStream(hidden, place, place, ordinal, (n_tokens,))


# Decisions


@every_reducer
@settings(deadline=None, max_examples=15)
@given(data=st.data(), rows=st.lists(st.integers(0, len(GRIDS) - 1), min_size=1, max_size=3), seed=st.integers(0, 5))
def test_every_row_keeps_exactly_what_is_asked_of_what_is_there(name, data, rows, seed):
    """Only the evidence that the method asks for is there, and some tokens may have left before."""
    present = [
        torch.tensor(sorted(data.draw(st.sets(st.sampled_from(range(n)), min_size=1)))) if n else torch.arange(0)
        for n in (N_VISUAL[row] for row in rows)
    ]
    n_keep = [data.draw(st.integers(0, len(there))) for there in present]
    kept = reduce(name, view(METHODS[name].needs, rows, seed, present), n_keep).kept
    for row, there, n in zip(kept, present, n_keep, strict=True):
        assert len(row) == n and row.tolist() == sorted(set(row.tolist())) and set(row.tolist()) <= set(there.tolist())


@every_reducer
def test_the_same_view_gives_the_same_decision(name):
    one, other = (reduce(name, view(METHODS[name].needs, seed=3), [7]) for _ in range(2))
    assert torch.equal(one.kept[0], other.kept[0]) and flows(one, 0) == flows(other, 0)


@every_reducer
def test_a_row_does_not_depend_on_its_batch(name):
    needs, n_keep = METHODS[name].needs, [9, 2, 5, 0]
    together = reduce(name, view(needs, range(4)), n_keep)
    for row, n in enumerate(n_keep):
        alone = reduce(name, view(needs, [row]), [n])
        assert torch.equal(alone.kept[0], together.kept[row]) and flows(alone, 0) == flows(together, row)


@every_reducer
def test_keeping_all_changes_nothing(name):
    reduction = reduce(name, view(METHODS[name].needs), [N_VISUAL[0]])
    before = stream(N_VISUAL[0])
    after = reduction.apply(before, [torch.arange(N_VISUAL[0])])
    assert torch.equal(after.index, before.index) and torch.equal(after.hidden, before.hidden)
    assert after.size is None or (after.size == 1).all()


@every_reducer
@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_the_scale_of_the_evidence_does_not_matter(name, factor):
    seen = view(METHODS[name].needs, seed=1)
    assert torch.equal(reduce(name, seen, [7]).kept[0], reduce(name, scaled(seen, factor), [7]).kept[0])


@every_reducer
def test_evidence_that_moves_takes_the_decision_with_it_unless_places_count(name):
    """A method that says it minds places does so at least sometimes."""
    follows = []
    for seed in range(6):
        seen = view(METHODS[name].needs, seed=seed)
        order = torch.randperm(N_VISUAL[0], generator=torch.Generator().manual_seed(seed))
        kept, moved = (reduce(name, some, [7]).kept[0] for some in (seen, permuted(seen, order)))
        follows.append(sorted(order[moved].tolist()) == kept.tolist())
    assert all(follows) != METHODS[name].minds_places


@every_reducer
@pytest.mark.parametrize("n_keep", [0, 1, 7, 13, 19])
def test_what_flows_together_is_a_mean_of_present_tokens(name, n_keep):
    reduction = reduce(name, view(METHODS[name].needs), [n_keep])
    if reduction.merges is None:
        return
    merge, n = reduction.merges[0], N_VISUAL[0]
    total = torch.zeros(n).index_add_(0, merge.target, merge.weight)
    targets = merge.target.unique()
    torch.testing.assert_close(total[targets], torch.ones(len(targets)))
    assert set(targets.tolist()) <= set(reduction.kept[0].tolist()) and (merge.weight >= 0).all()
    assert len(merge.source.unique()) == len(merge.source), "a token flows into one other only"
    after = reduction.apply(stream(n), [torch.arange(n)])
    if reduction.proportional and n_keep:
        assert after.size is not None and after.size[after.ordinal >= 0].sum() == n, "every token still counts"


def flows(reduction: Reduction, row: int) -> list[tuple[int, int, float]] | None:
    if reduction.merges is None:
        return None
    merge = reduction.merges[row]
    return list(zip(merge.source.tolist(), merge.target.tolist(), merge.weight.tolist(), strict=True))


# Needs


@every_reducer
def test_every_need_is_a_need(name):
    """A view that lacks one of them cannot be judged."""
    for evidence in METHODS[name].needs:
        with pytest.raises(ValueError, match="zip"):
            reduce(name, without(view(METHODS[name].needs), evidence), [7])


def test_the_views_of_these_tests_show_every_kind_of_evidence():
    assert set(SHOWN) == set(Evidence)


# Schedules


@every_reducer
@pytest.mark.parametrize("n_layers", [6, 12, 28, 48])
@pytest.mark.parametrize("keep", [0.05, 0.09, 0.18, 0.35, 0.64, 1.0])
def test_the_asked_average_is_met_or_refused(name, n_layers, keep):
    schedule = tried(lambda: make_method(name).schedule(keep, n_layers))
    if isinstance(schedule, str):
        assert "cannot come down to" in schedule and keep * n_layers < 2
    else:
        assert schedule.average_retention(n_layers, 10_000) == pytest.approx(keep, abs=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_layer_given_is_taken_or_refused(name):
    schedule = tried(lambda: make_method(name).schedule_at(0.3, 3))
    if isinstance(schedule, str):
        assert name in schedule and "leave the layer out" in schedule
    else:
        assert schedule.resolve(8, 100) == ((3, 30),)


def tried(run: Callable[[], Schedule]) -> Schedule | str:
    """What comes of it, or the sentence with which it is refused."""
    try:
        return run()
    except ValueError as error:
        return str(error)


@every_reducer
def test_what_needs_a_layer_before_refuses_layer_0(name):
    if METHODS[name].needs & {Evidence.ATTENTION, Evidence.STATES}:
        with pytest.raises(ValueError, match=f"{name} (looks at the layer before|takes tokens away at several layers)"):
            make_method(name).schedule_at(0.3, 0)
    else:
        assert make_method(name).schedule_at(0.3, 0).resolve(8, 100) == ((0, 30),)


# Descriptions


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name):
    method = make_method(name)
    described = inspect.getdoc(method)
    assert method.name == name and method.needs <= set(Evidence)
    assert described.split("\n\n")[0].endswith(".")
    if method.paper == "baseline, no paper":
        assert "A baseline from no paper" in described and "Differs from" not in described
    else:
        number = re.search(r"arXiv \d{4}\.\d{5}", method.paper).group()
        assert f"Paper: {number}, " in described and "Differs from the paper: " in described
    assert "." not in described.split("\n\n")[0][:-1].replace("``.", ""), "the idea is one sentence"


def test_the_smallest_method_is_under_forty_lines():
    assert min(len(inspect.getsource(inspect.getmodule(method)).splitlines()) for method in METHODS.values()) < 40


def test_the_readme_names_every_method_of_this_package_and_its_paper():
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    for name, method in METHODS.items():
        if not method.__module__.startswith("stitchvlm."):
            continue
        number = re.search(r"arXiv \d{4}\.\d{5}|baseline", method.paper).group()
        assert any(f"`{name}`" in row and number in row for row in rows), f"{name}, {number}"


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match="'nonsense'.*guided.*random.*large-alone"):
        make_method("nonsense")


# Single methods


def test_guided_keeps_the_largest_scores():
    seen = view({Evidence.GUIDE_MAP})
    seen.guide[0][:] = torch.arange(20).flip(0).float()
    assert reduce("guided", seen, [4]).kept[0].tolist() == [0, 1, 2, 3]


def test_random_keeps_every_token_equally_often():
    counts = torch.zeros(20)
    for seed in range(400):
        counts[reduce("random", view((), seed=seed), [5]).kept[0]] += 1
    assert (counts / 400 - 0.25).abs().max() < 0.1  # 4.6 standard deviations


def test_uniform_spreads_over_every_tile_and_its_corners():
    """2 x 2 tiles of 2 x 2 tokens and a thumbnail: first one of each, then the one across, and so on."""
    whole = view(())
    first = reduce("uniform", whole, [5]).kept[0]
    assert whole.layouts[0].tile[first].tolist() == [0, 1, 2, 3, 4]
    both = reduce("uniform", whole, [10]).kept[0]
    assert (both % 4).tolist() == [0, 3] * 5


def test_uniform_leaves_tokens_that_show_nothing_to_the_end():
    whole = view(())
    shown = replace(whole.layouts[0], structural_mask=torch.arange(20) == 4)
    kept = [reduce("uniform", replace(whole, layouts=[shown]), [n]).kept[0].tolist() for n in (5, 19, 20)]
    assert [4 in some for some in kept] == [False, False, True]


def test_short_names_of_the_models_alone():
    assert make_method("none") == make_method("large-alone") and make_method("small") == make_method("small-alone")
