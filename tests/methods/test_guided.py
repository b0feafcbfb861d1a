"""The floor per picture, against a case worked out by hand and as a property."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchvlm.families.internvl import tiled_layout
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
