"""How much of an answer's place kept tokens show: by hand on two tiles with a thumbnail, and what holds for any layout."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import anyres, native, tiles

from stitchvlm.areas import share_covered
from stitchvlm.evaluation.coverage import coverage, covered, covered_by
from stitchvlm.evaluation.statistics import mean_interval
from stitchvlm.records import Trace

TWO_TILES = tiles(2, 1, side=4)
"""Tokens 0 to 31 show an eighth of the width and a quarter of the height each, 32 to 47 a quarter of both."""
ON_TWO = (1 / 16, 0.0, 3 / 16, 0.25)
"""A place of which token 0 shows the left half and token 1 the right one, and the thumbnail's first token all."""
LAYOUTS = [TWO_TILES, tiles(1, 1, side=3), native(7, 5), anyres(2, 2, side=4), anyres(2, 2, side=4, cut_off=1)]


@pytest.mark.parametrize(
    ("kept", "detail", "any_view"),
    [((), 0, 0), ((0,), 0.5, 0.5), ((0, 1), 1, 1), ((0, 32), 0.5, 1), ((32,), 0, 1), ((2, 8, 33, 47), 0, 0)],
)
def test_coverage_by_hand(kept, detail, any_view):
    assert covered(TWO_TILES, kept, [ON_TWO]) == pytest.approx({"detail": detail, "any": any_view})


def test_of_several_places_the_area_counts():
    """Token 0 shows half of the first place and all of the second, which is a quarter as large."""
    assert covered(TWO_TILES, [0], [ON_TWO, (0.0, 0.0, 1 / 16, 0.125)]) == pytest.approx({"detail": 0.6, "any": 0.6})


def test_a_place_within_one_token_and_one_beyond_the_picture():
    assert covered(TWO_TILES, [0], [(0.01, 0.01, 0.02, 0.02)]) == {"detail": 1.0, "any": 1.0}
    assert covered(TWO_TILES, [0], [(-3.0, -1.0, 0.25, 0.25)]) == pytest.approx({"detail": 0.5, "any": 0.5})


@pytest.mark.parametrize("box", [(0.1, 0.1, 0.1, 0.4), (0.5, 0.2, 0.3, 0.4), (120.0, 40.0, 180.0, 60.0)])
def test_a_place_without_area_is_none(box):
    assert covered(TWO_TILES, range(48), [box]) is None


def test_tokens_of_another_picture_do_not_count():
    other = replace(TWO_TILES, image=torch.ones_like(TWO_TILES.image))
    assert covered(other, range(48), [ON_TWO]) == {"detail": 0.0, "any": 0.0}


def test_newlines_and_padding_show_nothing():
    layout = anyres(2, 2, side=4)
    nothing = [number for number in range(layout.n_visual) if not bool(layout.shows_mask[number])]
    assert nothing and covered(layout, nothing, [(0.1, 0.1, 0.9, 0.9)]) == {"detail": 0.0, "any": 0.0}


corner = st.integers(0, 11)


@st.composite
def rectangles(draw):
    (x0, x1), (y0, y1) = (
        draw(st.tuples(corner, st.integers(1, 12)).filter(lambda ends: ends[0] < ends[1])) for _ in "xy"
    )
    return x0, y0, x1, y1


@settings(deadline=None)
@given(rectangles(), st.lists(rectangles(), max_size=6))
def test_areas_are_those_of_counted_cells(part, boxes):
    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    wanted = len(cells(part) & set().union(*map(cells, boxes))) / len(cells(part))
    told = share_covered(torch.tensor(part) / 12, torch.tensor(boxes).view(-1, 4) / 12)
    assert told == pytest.approx(wanted, abs=1e-6)


@settings(deadline=None)
@given(st.sampled_from(LAYOUTS), rectangles(), st.sets(st.integers(0, 47)), st.sets(st.integers(0, 47)))
def test_keeping_all_shows_all_and_more_tokens_no_less(layout, place, some, others):
    box = tuple(side / 12 for side in place)
    some, more = ({n for n in kept if n < layout.n_visual} for kept in (some, some | others))
    few, many, everything = (covered(layout, sorted(kept), [box]) for kept in (some, more, range(layout.n_visual)))
    assert everything == pytest.approx({"detail": 1.0, "any": 1.0}, abs=1e-5)
    for view in ("detail", "any"):
        assert 0 <= few[view] <= many[view] + 1e-9 <= 1 + 1e-5
    assert few["detail"] <= few["any"] + 1e-9


def test_an_answer_is_told_where_its_place_is_known_and_the_large_model_was_asked():
    trace = Trace({}, n_visual=48, n_kept=1, average_retention=0.1, kept=(0,), layout=TWO_TILES)
    assert covered_by(trace, [ON_TWO]) == pytest.approx({"detail": 0.5, "any": 0.5})
    assert covered_by(trace, []) is None is covered_by(replace(trace, kept=None), [ON_TWO])


def test_shares_of_questions_with_their_intervals():
    shares = [(0.5, 0.5), (0.95, 1.0), (0.2, 0.6), (1.0, 1.0)]
    records = [
        {"group": "ab"[n // 2], "covered": {"detail": detail, "any": any_view}}
        for n, (detail, any_view) in enumerate(shares)
    ]
    told = coverage([*records, {"group": "c", "covered": None}, {"group": "d"}])
    assert told["n"] == 4 and told["detail"]["mean_share"] == pytest.approx(2.65 / 4)
    assert told["detail"]["questions"]["50%"]["mean"] == 0.75 and told["detail"]["questions"]["90%"]["mean"] == 0.5
    assert told["any"]["questions"]["50%"]["mean"] == 1.0 and told["any"]["questions"]["90%"]["mean"] == 0.5
    low, high = mean_interval([1, 1, 0, 1], "aabb")
    assert told["detail"]["questions"]["50%"] == {"mean": 0.75, "low": low, "high": high}
    assert coverage([]) is None is coverage([{"group": "c", "covered": None}])
