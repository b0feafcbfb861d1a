"""Scores carried from one layout to another: by hand, against all pairs of rectangles, and as properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import KINDS, anyres, letterboxed, native, tiles, together, views

from stitchvlm.areas import hand_over

counts = st.integers(1, 4)
drawn = st.one_of(
    st.tuples(st.just(tiles), counts, counts, counts),
    st.tuples(st.just(native), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(
        st.just(anyres), counts, st.integers(2, 4), st.integers(2, 4), st.integers(0, 1), st.sampled_from([1, 0.98])
    ),
    st.tuples(st.just(letterboxed), st.integers(1, 6), st.integers(3, 8), st.integers(0, 1)),
)
"""How a layout is to be made."""


def scores_of(layout, seed: int = 0) -> torch.Tensor:
    return torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_finer_and_coarser_grids_by_hand():
    two = native(2, 1)
    scores = torch.tensor([3.0, 1.0])
    assert two.resample(scores, onto=native(4, 1)).tolist() == [1.5, 1.5, 0.5, 0.5]
    assert two.resample(scores, onto=native(3, 1)).tolist() == pytest.approx([2, 4 / 3, 2 / 3])
    assert two.resample(scores, onto=native(1, 2)).tolist() == [2, 2]
    assert native(3, 1).resample(torch.tensor([3.0, 6.0, 0.0]), onto=two).tolist() == pytest.approx([6, 3])


def test_detail_and_overview_by_hand():
    """Two tiles of one token each and a thumbnail of one token: [left, right, all]."""
    tiled, two = tiles(2, 1, 1), native(2, 1)
    assert two.resample(torch.tensor([3.0, 1.0]), onto=tiled).tolist() == [3, 1, 4]
    assert tiled.resample(torch.tensor([3.0, 1.0, 2.0]), onto=two).tolist() == [4, 2]
    other = tiles(1, 2, 1)  # above, below, all
    assert tiled.resample(torch.tensor([3.0, 1.0, 2.0]), onto=other).tolist() == [2, 2, 2]


def test_newlines_neither_give_nor_get_by_hand():
    """A base image of four tokens, then two rows of two and a newline each."""
    crops = anyres(1, 1, 2)
    assert crops.structural_mask.nonzero().squeeze(1).tolist() == [6, 9]
    scores = torch.tensor([1.0, 1, 1, 1, 5, 6, 90, 7, 8, 90])
    assert crops.resample(scores, onto=native(1, 1)).tolist() == [30]
    carried = native(1, 2).resample(torch.tensor([4.0, 8.0]), onto=crops)
    assert carried.tolist() == [2, 2, 4, 4, 2, 2, 0, 4, 4, 0]


def test_tokens_in_the_padding_get_nothing():
    carried = native(1, 1).resample(torch.tensor([6.0]), onto=letterboxed(1, 5, 1))
    assert carried.tolist() == pytest.approx([0, 2, 2, 2, 0])


def test_pictures_do_not_mix_and_their_number_must_agree():
    ours, theirs = together(native(2, 1), tiles(1, 1, 2)), together(native(1, 1), native(1, 2))
    assert ours.resample(torch.tensor([3.0, 1, 5, 6, 7, 8]), onto=theirs).tolist() == [4, 11, 15]
    with pytest.raises(ValueError, match="the guide looked at 2 pictures and the large model at 1: show both the same"):
        ours.resample(torch.ones(6), onto=native(2, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_layout_changes_nothing(kind):
    scores = torch.rand(KINDS[kind].n_visual)
    assert KINDS[kind].resample(scores, onto=KINDS[kind]) is scores


@pytest.mark.parametrize("source", KINDS)
def test_every_view_adds_up_to_what_it_was_given(source):
    for target in KINDS.values():
        _check_sums(KINDS[source], target, torch.float32, 1e-5)
        _check_sums(KINDS[source], target, torch.float64, 1e-12)


@settings(deadline=None, max_examples=30)
@given(drawn, drawn)
def test_small_views_add_up_too(source, target):
    _check_sums(source[0](*source[1:]), target[0](*target[1:]), torch.float64, 1e-12)


def _check_sums(source, target, dtype, tolerance):
    scores = scores_of(source).to(dtype)
    carried = source.resample(scores, onto=target)
    assert carried.dtype == dtype and bool((carried >= 0).all())
    if source.matches(target):
        return
    ours, theirs = views(source), views(target)
    both = len(ours) == len(theirs) == 2
    for number, view in enumerate(theirs):
        given = scores[ours[number]].sum() if both else sum(scores[one].sum() for one in ours)
        assert float(carried[view].sum()) == pytest.approx(float(given), rel=tolerance)
    assert not bool(carried[~torch.stack(theirs).any(0)].any())


@settings(deadline=None, max_examples=30)
@given(drawn, drawn, st.integers(0, 9))
def test_more_score_is_nowhere_less(made, other, seed):
    source, target = made[0](*made[1:]), other[0](*other[1:])
    scores = scores_of(source, seed)
    more = scores + (scores > 0.5)
    assert bool((source.resample(more, onto=target) >= source.resample(scores, onto=target) - 1e-9).all())


boxes = st.lists(
    st.tuples(*[st.integers(0, 7)] * 2, *[st.integers(1, 5)] * 2).map(
        lambda b: (b[0] / 12, b[1] / 12, (b[0] + b[2]) / 12, (b[1] + b[3]) / 12)
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=50)
@given(boxes, boxes, st.integers(0, 9))
def test_any_rectangles_share_as_all_pairs_of_them_do(first, second, seed):
    boxes, onto = torch.tensor(first), torch.tensor(second)
    values = torch.rand(len(first), generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    low = torch.maximum(boxes[:, None, :2], onto[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], onto[None, :, 2:])
    area = (high - low).double().clamp(min=1e-7).sub(1e-7).prod(-1)
    ours = hand_over(values, boxes, onto)
    assert float(ours.sum()) == pytest.approx(float(values.sum()), rel=1e-12)
    if bool((area.sum(1) > 0).all()):
        expected = (values[:, None] * area / area.sum(1, keepdim=True)).sum(0)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_what_lies_apart_goes_to_the_nearest():
    onto = torch.tensor([[0.0, 0, 0.1, 0.1], [0.8, 0.8, 1, 1]])
    apart = torch.tensor([[0.6, 0.6, 0.7, 0.7], [0.05, 0.0, 0.2, 0.1]])
    assert hand_over(torch.tensor([2.0, 3.0]), apart, onto).tolist() == pytest.approx([3, 2])


def test_a_row_is_closed_by_its_own_newline():
    """Two pictures of a base image and two rows of two; the base image belongs to no row."""
    crops = anyres(1, 1, 2)
    both = together(crops, crops)
    assert crops.closing(torch.tensor([0, 1, 2, 3])).nonzero().squeeze(1).tolist() == []
    assert crops.closing(torch.tensor([0, 5])).nonzero().squeeze(1).tolist() == [6]
    assert both.closing(torch.tensor([8, 14])).nonzero().squeeze(1).tolist() == [9, 16]
    assert both.closing(torch.tensor([], dtype=torch.long)).sum() == 0


def test_tiles_are_numbered_where_rows_run_across_them():
    crops = anyres(2, 1, 2)
    assert crops.n_tiles == 3 and crops.tile_number.tolist() == [0] * 4 + [1, 1, 2, 2, 2] * 2
    assert together(crops, crops).n_tiles == 6


def test_around_some_tokens_lies_the_rectangle_that_holds_them_in_each_picture():
    """4 rows of 5 tokens, and 3 of 3 behind them: rows and columns counted by hand."""
    layout = together(native(5, 4), native(3, 3))
    assert layout.around(torch.tensor([5 + 1, 15 + 2])).tolist() == [6, 7, 11, 12, 16, 17]
    assert layout.around(torch.tensor([0, 20 + 3, 20 + 7])).tolist() == [0, 23, 24, 26, 27]
    assert layout.around(torch.tensor([], dtype=torch.long)).tolist() == []
