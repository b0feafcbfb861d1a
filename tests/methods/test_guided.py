"""The floor per picture, against a case worked out by hand and as a property."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchvlm.families.tiles import tiled_layout
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
    smoothed = Guided(smooth=True).score(view)[0][tiles]
    assert smoothed[:9].tolist() == pytest.approx([9 / 4, 18 / 6, 18 / 4, 9 / 6, 18 / 9, 18 / 6, 9 / 4, 9 / 6, 9 / 4])
    assert not smoothed[9:].any() and torch.equal(Guided().score(view)[0], scores)


def test_options_of_the_map_are_handed_on():
    assert Guided().map_form == MapForm()
    guided = Guided(layers="last", rows="answer", heads="max", layer_weights="rising", sinks="damp")
    assert guided.map_form == MapForm("last", "answer", "max", "rising", "damp")
