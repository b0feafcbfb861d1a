"""What is shown of a scanned page, on pages whose writing lies at known places."""

import random

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

INK = (200, 96, 520, 648)


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
def test_no_writing_is_ever_cut_off(tenths):
    left, top, right, bottom = (8 * value for value in tenths)
    window = written_window(page(ink=(left, top, right, bottom)))
    assert window[0] <= left and window[1] <= top and window[2] >= right - 7 and window[3] >= bottom - 7


def test_blank_pages_and_pictures_of_things_are_whole():
    blank = Image.new("RGB", (300, 200), "white")
    things = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(things).rectangle((100, 100, 180, 180), fill="navy")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    for picture in (blank, things, noise):
        assert page_window(picture) == (0, 0, *picture.size)


@pytest.mark.parametrize("width", [280, 330, 370])
def test_a_narrow_page_gets_margins_until_its_tiles_come_in_two_columns(width):
    picture = page(width, 1000, ink=(0, 0, width, 1000))
    narrow, window = picture.size, page_window(picture)
    shown = window[2] - window[0], window[3] - window[1]
    assert get_optimal_tiled_canvas(narrow[::-1], (448, 448), 4, 8)[0] == 1
    assert get_optimal_tiled_canvas(shown[::-1], (448, 448), 4, 8)[0] == 2
    assert window[0] < 0 and window[2] > width, "it is as far to either side"
    assert abs(-window[0] - (window[2] - width)) <= 1


def test_a_page_too_narrow_to_gain_by_it_stays_as_it_is():
    picture = page(150, 1000, ink=(0, 0, 150, 1000))
    assert page_window(picture) == written_window(picture)


def test_beyond_the_picture_there_is_paper():
    picture = page()
    shown = np.asarray(show_window(picture, (-30, 90, 230, 120)))
    assert shown.shape == (30, 260, 3) and (shown[:, :30] == 250).all()
    assert (shown[:, 30:] == np.asarray(picture)[90:120, :230]).all()


@pytest.fixture(scope="module")
def reader() -> VLM:
    return load_vlm(DOCUMENT_PAIR[0], device="cpu")


def prepared(reader: VLM, picture: Image.Image, cuts: bool) -> Inputs:
    setattr(reader.image_processor, CUTS_MARGINS, cuts)
    return reader.family.prepare(reader, [make_question("What is the total amount?", picture)], None)


def test_a_checkpoint_that_asks_for_it_sees_the_page_as_if_it_had_been_cut_by_hand(reader):
    picture = page()
    by_hand = picture.crop(page_window(picture))
    inside, outside, whole = (
        prepared(reader, picture, True),
        prepared(reader, by_hand, False),
        prepared(reader, picture, False),
    )
    assert torch.equal(inside.pixels, outside.pixels) and torch.equal(inside.token_ids[0], outside.token_ids[0])
    assert inside.pixels.shape != whole.pixels.shape or not torch.equal(inside.pixels, whole.pixels)


def test_boxes_of_its_tokens_are_of_the_whole_picture(reader):
    picture = page()
    window = page_window(picture)
    (layout,) = prepared(reader, picture, True).layouts
    (cut,) = prepared(reader, picture.crop(window), False).layouts
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


def test_tokens_of_margins_that_were_added_show_nothing(reader):
    picture = page(300, 1000, ink=(0, 0, 300, 1000))
    (layout,) = prepared(reader, picture, True).layouts
    assert not layout.shows_mask.all() and layout.box.min() == 0 and layout.box.max() == 1
    columns = layout.box[layout.shows_mask & ~layout.coarse_mask]
    assert columns[:, 0].min() == 0 and columns[:, 2].max() == 1


def test_the_document_pair_asks_for_it_and_the_other_one_does_not():
    for source in DOCUMENT_PAIR:
        assert load_vlm(source, device="cpu").image_processor.to_dict().get(CUTS_MARGINS) is True
    assert not hasattr(load_vlm("embedded:small", device="cpu").image_processor, CUTS_MARGINS)
