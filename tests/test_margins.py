"""What is shown of a scanned page, on pages whose writing lies at known places."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from stitchvlm import make_question
from stitchvlm.embedded import DOCUMENT_PAIR
from stitchvlm.families import load_vlm
from stitchvlm.families.base import VLM, Inputs
from stitchvlm.margins import CUTS_MARGINS, page_window, show_window, written_window
from stitchvlm.methods.base import ReductionView
from stitchvlm.methods.uniform import Uniform
from stitchvlm.schedule import Shrink

INK = (200, 96, 520, 648)
TILE = 448, 448


def columns(width: int, height: int, least: int = 4, most: int = 8) -> int:
    """As InternVL's own processor has them."""
    return get_optimal_tiled_canvas((height, width), TILE, least, most)[0]


def page(
    width: int = 800, height: int = 1000, ink: tuple[int, int, int, int] = INK, paper: int = 250, dark: int = 40
) -> Image.Image:
    """A page with strokes two pixels wide all over that window, and two specks in its margins."""
    picture = Image.new("RGB", (width, height), (paper,) * 3)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = ink
    for y in range(top, bottom, 16):
        for x in range(left, right, 8):
            draw.rectangle((x, y, x + 1, min(y + 9, bottom - 1)), fill=(dark,) * 3)
    for x, y in ((8, 8), (width - 24, height - 24)):
        draw.rectangle((x, y, x + 7, y + 7), fill=(dark,) * 3)
    return picture


@pytest.mark.parametrize(("paper", "dark"), [(250, 40), (250, 205), (160, 60)])
def test_writing_is_found_in_any_light_and_specks_are_none_of_it(paper, dark):
    left, top, right, bottom = written_window(page(paper=paper, dark=dark))
    assert 0 <= INK[0] - left <= 16 and 0 <= INK[1] - top <= 16
    assert 0 <= right - INK[2] <= 24 and 0 <= bottom - INK[3] <= 24


@given(st.tuples(*[st.integers(0, 60)] * 2, st.integers(70, 99), st.integers(70, 99)))
def test_no_writing_is_ever_cut_off(eighths):
    left, top, right, bottom = (8 * value for value in eighths)
    window = written_window(page(ink=(left, top, right, bottom)))
    assert window[0] <= left and window[1] <= top and window[2] >= right - 7 and window[3] >= bottom - 7


def test_a_line_of_small_type_that_stands_alone_is_no_speck():
    picture = page()
    draw = ImageDraw.Draw(picture)
    for x in range(600, 680, 4):
        draw.rectangle((x, 850, x + 1, 856), fill=(40, 40, 40))
    window = written_window(picture)
    assert window[2] >= 680 and window[3] >= 857


@pytest.mark.parametrize("times", [2, 4])
def test_a_finer_scan_of_a_page_is_cut_at_the_same_places(times):
    """Strokes are then so thick that they would fill blocks of some pixels; places agree to a block of the coarser scan."""
    picture = page(1400, 1440)
    finer = picture.resize((times * 1400, times * 1440), Image.Resampling.NEAREST)
    expected = [times * edge for edge in written_window(picture)]
    assert written_window(finer) == pytest.approx(expected, abs=8 * times)


def test_blank_pages_and_pictures_of_things_are_whole():
    blank = Image.new("RGB", (300, 200), "white")
    things = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(things).rectangle((100, 100, 180, 180), fill="navy")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    for picture in (blank, things, noise):
        assert page_window(picture, columns) == (0, 0, *picture.size)


@pytest.mark.parametrize("width", [280, 330, 370])
def test_a_narrow_page_gets_margins_until_its_tiles_come_in_two_columns(width):
    picture = page(width, 1000, ink=(0, 0, width, 1000))
    narrow, window = picture.size, page_window(picture, columns)
    shown = window[2] - window[0], window[3] - window[1]
    assert columns(*narrow) == 1 and columns(*shown) == 2
    assert window[0] < 0 and window[2] > width, "it is as far to either side"
    assert abs(-window[0] - (window[2] - width)) <= 1


@pytest.mark.parametrize(("width", "most"), [(150, 8), (300, 5)], ids=["too narrow", "too few tiles"])
def test_a_page_that_gains_nothing_by_it_stays_as_it_is(width, most):
    picture = page(width, 1000, ink=(0, 0, width, 1000))
    assert page_window(picture, lambda *size: columns(*size, most=most)) == written_window(picture)


def test_beyond_the_picture_there_is_paper():
    picture = page()
    shown = np.asarray(show_window(picture, (-30, 90, 230, 120)))
    assert shown.shape == (30, 260, 3) and (shown[:, :30] == 250).all()
    assert (shown[:, 30:] == np.asarray(picture)[90:120, :230]).all()


@pytest.fixture(scope="module")
def reader() -> VLM:
    return load_vlm(DOCUMENT_PAIR[0], device="cpu")


@pytest.fixture
def prepared(reader, monkeypatch) -> Callable[..., Inputs]:
    """Pictures of one question as numbers, by a checkpoint that `cuts` margins or does not."""

    def prepare(picture: Any, cuts: bool, **how: Any) -> Inputs:
        monkeypatch.setattr(reader.image_processor, CUTS_MARGINS, cuts)
        question = make_question("What is the total amount?", picture)
        return reader.family.prepare(reader, [question], how.pop("max_tiles", None), **how)

    return prepare


def test_a_checkpoint_that_asks_for_it_sees_the_page_as_if_it_had_been_cut_by_hand(prepared):
    picture = page()
    by_hand = picture.crop(page_window(picture, columns))
    inside, outside, whole = (
        prepared(picture, True),
        prepared(by_hand, False),
        prepared(picture, False),
    )
    assert torch.equal(inside.pixels, outside.pixels) and torch.equal(inside.token_ids[0], outside.token_ids[0])
    assert inside.pixels.shape != whole.pixels.shape or not torch.equal(inside.pixels, whole.pixels)


def test_boxes_of_its_tokens_are_of_the_whole_picture(prepared):
    picture = page()
    window = page_window(picture, columns)
    (layout,) = prepared(picture, True).layouts
    (cut,) = prepared(picture.crop(window), False).layouts
    assert layout.image_sizes == ((800, 1000),)
    for number in random.Random(0).sample(range(layout.n_visual), 20):
        x0, y0, x1, y1 = cut.box[number].tolist()
        w, h = window[2] - window[0], window[3] - window[1]
        expected = (
            (window[0] + x0 * w) / 800,
            (window[1] + y0 * h) / 1000,
            (window[0] + x1 * w) / 800,
            (window[1] + y1 * h) / 1000,
        )
        assert layout.box[number].tolist() == pytest.approx(expected, abs=1e-5)


def test_tokens_of_margins_that_were_added_show_nothing(prepared):
    picture = page(300, 1000, ink=(0, 0, 300, 1000))
    (layout,) = prepared(picture, True).layouts
    assert not layout.shows_mask.all() and layout.box.min() == 0 and layout.box.max() == 1
    columns = layout.box[layout.shows_mask & ~layout.coarse_mask]
    assert columns[:, 0].min() == 0 and columns[:, 2].max() == 1


def test_of_several_pictures_each_is_cut_on_its_own(prepared):
    pages = [page(), Image.new("RGB", (300, 300), "white"), page(ink=(40, 400, 360, 900))]
    (together,) = prepared(pages, True).layouts
    for number, picture in enumerate(pages):
        (alone,) = prepared(picture, True).layouts
        assert torch.equal(together.box[together.image == number], alone.box)
    assert prepared(None, True).layouts[0].n_visual == 0


@pytest.mark.parametrize("how", [{"max_tiles": 1}, {"to": Shrink(0.3, False)}], ids=["one tile", "smaller"])
def test_smaller_pictures_are_of_the_same_page(prepared, how):
    picture = page()
    by_hand = picture.crop(page_window(picture, columns))
    inside, outside = prepared(picture, True, **how), prepared(by_hand, False, **how)
    assert torch.equal(inside.pixels, outside.pixels)


def test_a_guide_that_cuts_leads_one_that_does_not(prepared):
    """What the guide gives to writing arrives at writing: nothing lies in the margins, and nothing is lost."""
    picture = page()
    (cut,), (whole,) = prepared(picture, True).layouts, prepared(picture, False).layouts
    carried = cut.resample(torch.ones(cut.n_visual), whole)
    left, top, right, bottom = page_window(picture, columns)
    edges = torch.tensor([left / 800, top / 1000, right / 800, bottom / 1000])
    outside = ((whole.box[:, 2:] <= edges[:2]) | (whole.box[:, :2] >= edges[2:])).any(1)
    assert carried.sum().item() == pytest.approx(cut.n_visual) and outside.any() and (carried[outside] == 0).all()


def test_a_layout_knows_whether_margins_are_left_out(prepared):
    narrow = page(300, 1000, ink=(0, 0, 300, 1000))
    for picture, cuts, expected in ((page(), True, True), (page(), False, False), (narrow, True, False)):
        (layout,) = prepared(picture, cuts).layouts
        assert layout.leaves_margins(0) is expected


def test_an_even_stride_over_a_cut_page_is_that_over_the_page_itself(prepared):
    picture = page()
    (cut,) = prepared(picture, True).layouts
    (by_hand,) = prepared(picture.crop(page_window(picture, columns)), False).layouts
    turns = [
        Uniform().score(ReductionView([layout], [torch.arange(layout.n_visual)], 0))[0] for layout in (cut, by_hand)
    ]
    assert torch.equal(*turns)


def test_the_document_pair_asks_for_it_and_the_other_one_does_not():
    for source in DOCUMENT_PAIR:
        assert load_vlm(source, device="cpu").image_processor.to_dict().get(CUTS_MARGINS) is True
    assert not hasattr(load_vlm("embedded:small", device="cpu").image_processor, CUTS_MARGINS)
