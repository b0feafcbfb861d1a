"""Schedules: the paper's arithmetic and every rounding edge."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchvlm.errors import UnreachableError
from stitchvlm.schedule import PruneStep, Schedule, Shrink, parse_keep


@pytest.mark.parametrize(("share", "layer", "average"), [(0.4, 19, 0.6375), (0.2, 9, 0.35), (0.05, 2, 0.0896)])
def test_the_papers_settings_at_48_layers(share, layer, average):
    """Table of semantics: f = r; 64 %, 35 % and 9 % of 48 layers."""
    schedule = Schedule.single(share, share)
    assert schedule.resolve(48, 1000) == ((layer, int(1000 * share)),)
    assert schedule.average_retention(48, 1000) == pytest.approx(average, abs=1e-4)


@pytest.mark.parametrize(("keep", "layer", "stays"), [(0.09, 0, 0.09), (0.35, 2, 0.22), (0.64, 4, 0.46)])
def test_an_average_is_met_on_a_shallow_model(keep, layer, stays):
    """By hand at 12 layers: K = int(12 (1 - sqrt(1 - a))), r = (12 a - K) / (12 - K)."""
    step = Schedule.for_average(keep, 12).steps[0]
    assert (step.at, step.keep) == (layer, pytest.approx(stays))


@given(keep=st.floats(0.001, 1), n_layers=st.integers(1, 100), n_visual=st.integers(1, 5000))
def test_averages_are_realised_to_within_one_token(keep, n_layers, n_visual):
    realised = Schedule.for_average(keep, n_layers).average_retention(n_layers, n_visual)
    assert keep - 1 / n_visual - 1e-9 <= realised <= keep + 1e-9


@pytest.mark.parametrize(
    ("n_layers", "layers"), [(48, [2, 4, 9, 14, 19]), (32, [1, 3, 6, 9, 12]), (80, [3, 7, 15, 23, 32])]
)
def test_the_named_ratios_prune_where_the_paper_does(n_layers, layers):
    """By hand for 9, 18, 35, 50 and 64 %: int(L f) with f = 1 - sqrt(1 - a)."""
    averages = (0.09, 0.18, 0.35, 0.5, 0.64)
    assert [Schedule.for_average(average, n_layers).steps[0].at for average in averages] == layers


def test_keeping_all_is_no_step():
    assert Schedule.for_average(1.0, 24).steps == () and Schedule().average_retention(24, 100) == 1


def test_nothing_may_be_left():
    assert Schedule.single(0.05, 2).resolve(8, 16) == ((2, 0),)


def test_a_prompt_without_pictures_has_nothing_to_keep():
    assert Schedule.single(0.05, 2).resolve(8, 0) == ((2, 0),)
    assert Schedule.single(0.05, 2).average_retention(8, 0) == 1


def test_pyramids_count_every_stretch_of_layers():
    pyramid = Schedule((PruneStep(2, 0.5), PruneStep(6, 0.1)))
    assert pyramid.resolve(8, 100) == ((2, 50), (6, 10))
    assert pyramid.average_retention(8, 100) == pytest.approx((2 * 100 + 4 * 50 + 2 * 10) / 800)


@pytest.mark.parametrize("steps", [((4, 0.5), (2, 0.1)), ((2, 0.1), (4, 0.5)), ((2, 0.5), (2, 0.1))])
def test_steps_out_of_order_are_refused(steps):
    with pytest.raises(ValueError, match="steps must go deeper"):
        Schedule(tuple(PruneStep(*step) for step in steps)).resolve(8, 100)


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_shares_outside_are_refused(keep):
    with pytest.raises(ValueError, match="keep"):
        Schedule.single(keep, 0)
    with pytest.raises(ValueError, match="keep"):
        Schedule.for_average(keep, 12)


def test_layers_beyond_the_model_are_refused():
    with pytest.raises(ValueError, match="layer 12 is beyond the model, which has layers 0 to 11"):
        Schedule.single(0.1, 12).resolve(12, 100)
    with pytest.raises(ValueError, match="not -1"):
        PruneStep(-1, 0.5)
    with pytest.raises(ValueError, match="share of the depth"):
        PruneStep(1.0, 0.5)


@pytest.mark.parametrize(("text", "keep"), [("9%", 0.09), ("0.2", 0.2), (" 35 % ", 0.35), (0.5, 0.5), ("100%", 1.0)])
def test_shares_as_users_write_them(text, keep):
    assert parse_keep(text) == pytest.approx(keep)


@pytest.mark.parametrize("text", ["", "%", "nine", "9", "0%", "nan", "101%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="keep must be a share"):
        parse_keep(text)


@pytest.mark.parametrize(("keep", "layer", "share"), [(0.5, 2, 0.4), (0.25, 2, 0.1), (0.2, 2, 0.04), (1.0, 2, 1.0)])
def test_from_a_layer_the_share_follows_from_the_average(keep, layer, share):
    (step,) = Schedule.from_layer(keep, 12, layer, "fastv").steps
    assert step.at == layer and step.keep == pytest.approx(share)


def test_an_average_below_the_layers_before_is_refused():
    with pytest.raises(
        UnreachableError, match="fastv keeps everything up to layer 2, which is 16.7% of 12 layers.* 9.0%"
    ):
        Schedule.from_layer(0.09, 12, 2, "fastv")
    with pytest.raises(ValueError, match="layer 12 is beyond"):
        Schedule.from_layer(0.5, 12, 12, "fastv")


def test_a_pyramid_at_its_own_average_has_equal_stages_and_its_ratio():
    """arXiv 2410.17247: four stages, each with half the tokens of the one before; 46.9 % on average."""
    steps = Schedule.pyramid((1 + 0.5 + 0.25 + 0.125) / 4, 32, stages=4, ratio=0.5).steps
    assert [step.at for step in steps] == [8, 16, 24]
    assert [step.keep for step in steps] == pytest.approx([0.5, 0.25, 0.125])


def test_a_pyramid_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="4 stages needs as many layers, and the model has 3"):
        Schedule.pyramid(0.5, 3, 4, 0.5)
    with pytest.raises(UnreachableError, match=r"cannot come down to 5.0%"):
        Schedule.pyramid(0.05, 12, 4, 0.5)


@given(st.floats(0.05, 1), st.integers(4, 60), st.integers(2, 4), st.floats(0.1, 0.9))
def test_a_pyramid_meets_the_average_with_ever_fewer_tokens(keep, n_layers, stages, ratio):
    try:
        schedule = Schedule.pyramid(keep, n_layers, stages, ratio)
    except ValueError:
        assert keep * n_layers < 1
        return
    assert schedule.average_retention(n_layers, 100_000) == pytest.approx(keep, abs=1e-3)


def test_a_shrunk_picture_has_no_steps():
    assert Schedule.shrunk(0.3) == Schedule(picture=Shrink(0.3)) and Schedule.shrunk(0.3).resolve(8, 100) == ()
    assert Schedule.shrunk(1.0) == Schedule()
