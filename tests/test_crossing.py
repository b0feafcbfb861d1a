"""Guides of another layout: tokens kept cover the region that the guide points at, whatever both layouts look like."""

from math import floor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, anyres, covered, native, shared, tiles, together, views

from stitchvlm.adaptive import MassKeep
from stitchvlm.crossing import carry
from stitchvlm.methods import Guided, ReductionView

REGIONS = [(0.1, 0.6, 0.25, 0.75), (0.45, 0.4, 0.6, 0.55)]


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed))


def pointing_at(layout, region, seed: int = 0) -> torch.Tensor:
    """A map of which each token's part comes from how much of it lies in the region, and a little from anywhere."""
    return shared(layout, region) + 0.05 * noise(layout.n_visual, seed)


def keep(scores, layout, n_keep: int, **options) -> torch.Tensor:
    view = ReductionView([layout], [torch.arange(layout.n_visual)], 0, [scores])
    return Guided(**options).reduce(view, [n_keep]).kept[0]


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("share", [0.09, 0.35])
def test_kept_tokens_cover_the_region_that_another_layout_points_at(source, share):
    for target in KINDS.values():
        for region in REGIONS:
            scores = carry(pointing_at(KINDS[source], region), KINDS[source], target)
            kept = keep(scores, target, int(share * target.n_visual))
            assert covered(target, kept, region) >= 0.95


@pytest.mark.parametrize("source", KINDS)
def test_every_picture_of_a_prompt_has_its_own_region(source):
    """The second picture is cut otherwise by the other model too, and the guide points elsewhere in it."""
    ours = together(KINDS[source], tiles(1, 1, 16))
    for target in ("2 x 2 tiles", "native", "crops"):
        theirs = together(KINDS[target], native(30, 20))
        parts = [pointing_at(KINDS[source], REGIONS[0]), pointing_at(tiles(1, 1, 16), REGIONS[1])]
        kept = keep(carry(torch.cat(parts), ours, theirs), theirs, int(0.09 * theirs.n_visual))
        n_first = KINDS[target].n_visual
        assert covered(KINDS[target], kept[kept < n_first], REGIONS[0]) >= 0.95
        assert covered(native(30, 20), kept[kept >= n_first] - n_first, REGIONS[1]) >= 0.95


@pytest.mark.parametrize("source", KINDS)
def test_a_map_of_one_value_stays_one_value(source):
    for target in KINDS.values():
        carried = carry(torch.full((KINDS[source].n_visual,), 3.0), KINDS[source], target)
        shows = torch.stack(views(target)).any(0) if not KINDS[source].matches(target) else slice(None)
        torch.testing.assert_close(carried[shows], torch.full_like(carried[shows], 3.0), rtol=1e-5, atol=0)


def test_one_value_stays_one_in_pictures_cut_very_differently():
    ours, theirs = together(native(20, 20), tiles(1, 1, 2)), together(native(3, 3), tiles(2, 2, 8))
    carried = carry(torch.full((404,), 2.0), ours, theirs)
    torch.testing.assert_close(carried, torch.full_like(carried, 2.0))


def test_the_same_layout_keeps_what_the_paper_keeps():
    scores = noise(KINDS["2 x 2 tiles"].n_visual)
    assert carry(scores, KINDS["2 x 2 tiles"], tiles(2, 2, 12)) is scores


def test_by_hand():
    """Four tokens in a row guide two tiles of one token and a thumbnail of one: means 6, 2 and 4, which take turns."""
    carried = carry(torch.tensor([8.0, 4.0, 3.0, 1.0]), native(4, 1), tiles(2, 1, 1))
    assert carried.tolist() == [6, 2, 4]  # turns 1/16, 3/16 and 1/8
    carried = carry(torch.tensor([3.0, 1.0, 8.0]), tiles(2, 1, 1), tiles(1, 2, 1))
    assert carried.tolist() == [2, 2, 8]  # means 2, 2 and 8: the thumbnail was looked at more
    carried = carry(torch.tensor([3.0, 1.0, 8.0]), tiles(2, 1, 1), native(2, 1))
    assert carried.tolist() == pytest.approx([14 / 3, 10 / 3])  # 7 of 1.5 and 5 of 1.5


def test_tokens_within_one_of_the_source_tie_so_that_the_first_stay():
    source, target = native(7, 3), native(70, 30)
    carried = carry(noise(21).double(), source, target)
    assert len(carried.unique()) == 21 and carried.dtype == torch.double


def test_an_overview_does_not_take_all_and_is_not_lost():
    """By sums its large tokens would come first, by means the blur would put them last."""
    target = KINDS["4 x 3 tiles"]
    share = float(target.coarse_mask.double().mean())
    for source in ("native", "one tile"):
        scores = carry(pointing_at(KINDS[source], REGIONS[0]), KINDS[source], target)
        for n_keep in (13, 100, 300, 700):
            n_coarse = int(target.coarse_mask[keep(scores, target, n_keep)].sum())
            assert abs(n_coarse - share * n_keep) <= 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.floats(0.2, 5.0))
def test_views_take_turns_by_how_much_they_were_looked_at(seed, stress):
    """For any number of best tokens each view has its share of them, rounded up or down."""
    source, target = tiles(3, 2, 4), tiles(2, 2, 4)
    scores = noise(source.n_visual, seed).double() + 0.1
    scores[source.coarse_mask] *= stress
    order = carry(scores, source, target).argsort(descending=True)
    means = [
        float(scores[view].mean()) * int(other.sum()) for view, other in zip(views(source), views(target), strict=True)
    ]
    for n_keep in range(1, 40):
        quota = n_keep * means[1] / sum(means)
        n_coarse = int(target.coarse_mask[order[:n_keep]].sum())
        assert floor(quota) <= n_coarse <= floor(quota) + 1 or n_coarse == 16


@pytest.mark.parametrize("grid", [(3, 1), (5, 1), (3, 3), (3, 2)])
@pytest.mark.parametrize("source", ["one tile", "native"])
def test_noise_in_the_last_digits_does_not_choose(grid, source):
    source, target = KINDS[source], tiles(*grid, 4)
    scores = shared(source, REGIONS[0]) + 0.01 * noise(source.n_visual)
    for seed in range(5):
        noisy = scores * (1 + 3e-7 * (2 * noise(source.n_visual, seed) - 1))
        orders = [carry(one, source, target).argsort(descending=True, stable=True) for one in (scores, noisy)]
        for n_keep in range(1, target.n_visual):
            assert set(orders[0][:n_keep].tolist()) == set(orders[1][:n_keep].tolist()), (seed, n_keep)


def test_newlines_stay_with_their_rows_and_are_not_counted():
    target = anyres(2, 2, 6)
    scores = carry(pointing_at(native(20, 20), REGIONS[0]), native(20, 20), target)
    for n_keep in (0, 1, 7, 40, target.n_visual):
        kept = keep(scores, target, n_keep)
        structural = target.structural_mask[kept]
        assert int((~structural).sum()) == min(n_keep, int((~target.structural_mask).sum()))
        assert set(kept[structural].tolist()) == set(target.closing(kept[~structural]).nonzero().squeeze(1).tolist())
    assert keep(scores, target, target.n_visual).tolist() == list(range(target.n_visual))


def test_newlines_that_were_scored_count_as_others():
    layout = anyres(1, 1, 2)
    scores = torch.tensor([1.0, 2, 3, 4, 5, 6, 9, 7, 8, 0.5])
    assert keep(scores, layout, 2).tolist() == [6, 8]


def test_options_of_the_guided_method_work_on_a_carried_map():
    source, target = native(40, 30), KINDS["4 x 3 tiles"]
    scores = carry(pointing_at(source, (0.3, 0.1, 0.7, 0.3)), source, target)
    n_keep = int(0.09 * target.n_visual)
    free, held = keep(scores, target, n_keep), keep(scores, target, n_keep, tile_budget=3)
    assert len(free) == len(held) == n_keep and len(target.tile_number[held].unique()) == 3
    assert covered(target, held, (0.3, 0.1, 0.45, 0.3)) + covered(target, held, (0.55, 0.1, 0.7, 0.3)) > 1.5
    some = keep(scores, target, n_keep, tile_mass=0.9)
    assert len(target.tile_number[some].unique()) < len(target.tile_number[free].unique())
    assert covered(target, keep(scores, target, n_keep, smooth=True), (0.3, 0.1, 0.7, 0.3)) > 0.75


def test_a_floor_holds_for_pictures_of_a_carried_map():
    source, target = together(native(9, 9), native(9, 9)), together(KINDS["2 x 2 tiles"], tiles(2, 1, 16))
    scores = carry(torch.cat([1 + noise(81), 0.1 * noise(81)]), source, target)
    second = target.image == 1
    assert not second[keep(scores, target, 100)].any()
    assert second[keep(scores, target, 100, picture_floor=0.5)].sum() >= 18


def test_keeping_by_mass_holds_that_share_of_a_carried_map():
    source, region = KINDS["one tile"], REGIONS[1]
    for name in ("native", "4 x 3 tiles", "crops"):
        target = KINDS[name]
        scores = carry(shared(source, region), source, target)
        n_keep = MassKeep(0.9).count(scores)
        kept = keep(scores, target, n_keep)
        assert 0.9 <= float(scores[kept].sum() / scores.sum()) <= 0.92
        assert n_keep < 0.06 * target.n_visual and covered(target, kept, region) > 0.85
