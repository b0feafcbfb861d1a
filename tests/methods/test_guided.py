"""The floor per picture, against a case worked out by hand and as a property; smoothing, against all pairs of tokens."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, native, together

from stitchvlm.families.tiles import grid_layout, tiled_layout
from stitchvlm.maps import MapForm
from stitchvlm.methods import Guided, ReductionView


def two_pictures(scores: torch.Tensor) -> ReductionView:
    """Two pictures of one tile each, four visual tokens a tile."""
    place = torch.tensor([2, 3, 4, 5, 9, 10, 11, 12])
    layout = tiled_layout(place, [(1, 1), (1, 1)], 2, [(28, 28), (28, 28)], n_tokens=20)
    return ReductionView([layout], [torch.arange(8)], 0, [scores])


def test_a_floor_leaves_the_dull_picture_its_share():
    view = two_pictures(torch.tensor([9.0, 8, 7, 6, 1, 4, 3, 2]))

    def kept(floor: float) -> list[int]:
        return Guided(floor).reduce(view, [4]).kept[0].tolist()

    assert kept(0.0) == [0, 1, 2, 3]  # the first picture takes all
    assert kept(0.5) == [0, 1, 2, 5]  # half of two tokens: the best one of the second picture
    assert kept(1.0) == [0, 1, 5, 6]  # both alike


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.integers(0, 8), st.floats(0, 1))
def test_the_count_is_kept_and_so_is_the_floor(scores, n_keep, floor):
    view = two_pictures(torch.tensor(scores))
    kept = Guided(floor).reduce(view, [n_keep]).kept[0]
    assert len(kept) == n_keep and kept.tolist() == sorted(set(kept.tolist()))
    for picture in (0, 1):
        assert (view.layouts[0].image[kept] == picture).sum() >= int(floor * n_keep / 2)


@pytest.mark.parametrize("limit", [{}, {"tile_mass": 0.5}, {"tile_budget": 1}, {"tile_budget": 2, "tile_mass": 0.1}])
@pytest.mark.parametrize("floor", [0.5, 1.0])
def test_limits_of_tiles_leave_the_floor(limit, floor):
    layout = together(native(6, 6), native(6, 6))
    scores = torch.rand(72, generator=torch.Generator().manual_seed(0)) + (1 - layout.image)
    kept = Guided(picture_floor=floor, **limit).reduce(ReductionView([layout], [torch.arange(72)], 0, [scores]), [20])
    n_dull = int(floor * 10)
    bright, dull = scores[:36].topk(20 - n_dull).indices, 36 + scores[36:].topk(n_dull).indices
    assert kept.kept[0].tolist() == sorted([*bright.tolist(), *dull.tolist()])


def test_the_floor_takes_no_more_tiles_than_it_needs():
    """Two pictures of three tiles of 2 x 2 tokens: the best tile of the second one suffices, the first one's is over budget."""
    layout = tiled_layout(torch.arange(32), [(3, 1), (3, 1)], 2, [(84, 28)] * 2, n_tokens=40)
    scores = torch.zeros(32)
    scores[[0, 1, 4, 8]] = 9.0  # the first picture's best one has two of them
    scores[[16, 20, 21, 24]] = torch.tensor([2.0, 3.0, 1.5, 1.0])
    view = ReductionView([layout], [torch.arange(32)], 0, [scores])

    def kept(**limits):
        return Guided(picture_floor=1.0, **limits).reduce(view, [6]).kept[0].tolist()

    assert kept() == [0, 1, 4, 16, 20, 21]
    assert kept(tile_budget=1) == kept(tile_mass=0.5) == [0, 1, 2, 20, 21, 22]
    assert kept(tile_budget=3) == [0, 1, 4, 20, 21, 22]


def test_a_floor_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1, not 1.5"):
        Guided(1.5)


def test_smoothing_takes_the_mean_over_touching_tokens_of_a_tile():
    """Two tiles of 3 x 3 tokens, side by side: nothing crosses the seam."""
    layout = tiled_layout(torch.arange(27), [(2, 1)], 3, [(56, 28)], n_tokens=30)
    tiles = layout.tile < 2
    scores = torch.zeros(layout.n_visual)
    scores[[2, 4]] = 9.0  # the upper right corner and the middle of the first tile
    view = ReductionView([layout], [torch.arange(layout.n_visual)], 0, [scores])
    found = Guided(smooth=True).score(view)[0][tiles]
    assert found[:9].tolist() == pytest.approx([9 / 4, 18 / 6, 18 / 4, 9 / 6, 18 / 9, 18 / 6, 9 / 4, 9 / 6, 9 / 4])
    assert not found[9:].any() and torch.equal(Guided().score(view)[0], scores)


def mean_over_pairs(scores: torch.Tensor, layout) -> torch.Tensor:
    """As smoothing is defined, over all pairs of tokens: of one tile, and at most a quarter of a side apart on both axes."""
    smoothed = scores.clone()
    low, high = layout.box[:, :2], layout.box[:, 2:]
    apart = torch.maximum(low[:, None], low) - torch.minimum(high[:, None], high)
    touches = (apart <= (high - low)[:, None] / 4).all(-1) & (layout.tile_number[:, None] == layout.tile_number)
    shows = layout.shows_mask
    for token in shows.nonzero().flatten().tolist():
        smoothed[token] = scores[touches[token] & shows].mean()
    return smoothed


def smoothed(scores: torch.Tensor, layout) -> torch.Tensor:
    return Guided(smooth=True).score(ReductionView([layout], [torch.arange(layout.n_visual)], 0, [scores]))[0]


def scattered(n_tokens: int, seed: int, steps: int):
    """Rectangles anywhere, larger and smaller ones, with edges in so many places; some empty, some twice."""
    places = torch.randint(steps + 1, (n_tokens, 4), generator=torch.Generator().manual_seed(seed)) / steps
    box = torch.cat([torch.minimum(places[:, :2], places[:, 2:]), torch.maximum(places[:, :2], places[:, 2:])], dim=1)
    return replace(native(n_tokens, 1), box=box, tile=torch.arange(n_tokens) % 2)


@pytest.mark.parametrize("layout", [*KINDS.values(), together(*KINDS.values())], ids=[*KINDS, "together"])
def test_smoothing_is_what_all_pairs_of_tokens_say(layout):
    scores = torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(0))
    found = smoothed(scores, layout)
    torch.testing.assert_close(found, mean_over_pairs(scores, layout), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, scores)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(0, 99), st.integers(1, 12))
def test_so_it_is_on_no_grid_at_all(n_tokens, seed, steps):
    layout = scattered(n_tokens, seed, steps)
    scores = torch.rand(n_tokens, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(smoothed(scores, layout), mean_over_pairs(scores, layout), rtol=1e-5, atol=1e-6)


def test_a_large_picture_of_one_tile_is_smoothed_like_an_image():
    """So many tokens that all pairs of them would be two thousand million."""
    layout = grid_layout(torch.arange(240 * 180), [(180, 240)], ((960, 720),), n_tokens=240 * 180)
    scores = torch.rand(180, 240, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.avg_pool2d(scores[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    torch.testing.assert_close(smoothed(scores.flatten(), layout), expected.flatten(), rtol=1e-5, atol=1e-6)


def test_options_of_the_map_are_handed_on():
    assert Guided().map_form == MapForm()
    guided = Guided(layers="last", rows="answer", heads="max", layer_weights="rising", sinks="damp")
    assert guided.map_form == MapForm("last", "answer", "max", "rising", "damp")
