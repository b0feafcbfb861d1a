"""What the overlay shows: kept parts as they were, dropped ones darker, attention where it was."""

import numpy as np
import pytest
import torch
from PIL import Image

from stitchvlm.families.tiles import tiled_layout
from stitchvlm.overlay import check_output, dim_dropped, draw_overlay, heat, save_picture
from stitchvlm.records import Answer, GuideMap, Trace, Verdict

SIZE = (320, 240)
RED = (200, 60, 60)


def layout():
    """Two tiles side by side of 4 x 4 tokens, and a thumbnail: 48 tokens."""
    return tiled_layout(torch.arange(48), [(2, 1)], side=4, sizes=[SIZE], n_tokens=50)


def guide(top: int) -> GuideMap:
    scores = torch.full((48,), 0.01)
    scores[top] = 1.0
    return GuideMap(layout(), scores, torch.zeros(0, 48))


def answered(kept: tuple[int, ...] | None, guided: bool = True) -> Answer:
    trace = Trace(
        seconds={"total": 0.5},
        n_visual=48,
        n_kept=len(kept or ()),
        average_retention=0.1,
        verdict=Verdict(kept is None, 0.9, {"confidence": 0.9, "consistency": 0.9}),
        kept=kept,
        layout=layout(),
    )
    return Answer("K7P", "small" if kept is None else "large", trace, guide(0) if guided else None)


def red_picture() -> Image.Image:
    return Image.new("RGB", SIZE, RED)


def test_kept_stays_and_dropped_is_darker():
    dimmed = np.asarray(dim_dropped(red_picture(), layout(), kept=[0, 31]))
    assert (dimmed[0:60, 0:40] == RED).all(), "token 0 is the top left eighth of the width"
    assert (dimmed[180:, 280:] == RED).all(), "token 31 is the bottom right one"
    dropped = np.ones(dimmed.shape[:2], bool)
    dropped[0:60, 0:40] = dropped[180:, 280:] = False
    assert (dimmed[dropped].sum(-1) < 0.5 * sum(RED)).all()


def test_an_overview_token_clears_nothing_and_is_outlined():
    nothing = np.asarray(dim_dropped(red_picture(), layout(), kept=[]))
    dimmed = np.asarray(dim_dropped(red_picture(), layout(), kept=[32]))
    changed = (dimmed != nothing).any(-1)
    assert changed[0, 0:80].all() and changed[59, 0:80].all() and changed[0:60, 79].all()
    assert not changed[1:59, 1:79].any() and not changed[60:].any()


def test_tokens_of_another_picture_are_not_shown():
    nothing = dim_dropped(red_picture(), layout(), kept=[])
    assert dim_dropped(red_picture(), layout(), kept=[0, 1, 2], number=1).tobytes() == nothing.tobytes()


def test_heat_is_where_the_attention_is():
    values = heat(guide(top=5), SIZE)
    assert values.shape == (240, 320) and values.min() >= 0 and values.max() == 1
    assert (values[60:120, 40:80] == 1).all() and (values[:60] < 0.5).all() and (values[:, 160:] < 0.5).all()


def test_heat_of_no_attention_is_cold():
    silent = GuideMap(layout(), torch.zeros(48), torch.zeros(0, 48))
    assert (heat(silent, SIZE) == 0).all()


@pytest.mark.parametrize("size", [(640, 480), (1, 1), (3000, 40), (40, 3000)])
def test_any_shape_can_be_drawn(size):
    picture = draw_overlay(answered((0, 5, 40)), Image.new("RGB", size, RED), "What is it? " * 30)
    assert 600 < picture.width < 1400 and picture.height < 3000


def test_two_panels_with_a_guide_and_one_without():
    both = draw_overlay(answered((0, 5)), red_picture(), "What?")
    alone = draw_overlay(answered((0, 5), guided=False), red_picture(), "What?")
    assert both.width > 1.8 * alone.width


def test_an_exit_leaves_the_picture_undimmed():
    exited = draw_overlay(answered(None), red_picture(), "What?")
    pruned = draw_overlay(answered((0, 5)), red_picture(), "What?")
    n_red = [(np.asarray(picture) == RED).all(-1).sum() for picture in (exited, pruned)]
    assert n_red[0] > 600 * 400 and n_red[1] < 0.1 * n_red[0]


def test_the_answers_place_is_framed_on_both_panels_and_others_answers_stand_above():
    plain, framed = (
        draw_overlay(answered((0, 5)), red_picture(), "What?", place=place) for place in (None, (0.25, 0.25, 0.5, 0.5))
    )
    blue = (np.asarray(framed) == (0, 114, 178)).all(-1)
    columns = np.flatnonzero(blue.any(0))
    assert not (np.asarray(plain) == (0, 114, 178)).all(-1).any()
    assert (columns < 28 + 620).any() and (columns > 28 + 620 + 28).any()
    told = draw_overlay(answered((0, 5)), red_picture(), "What?", others={"Large model": "K7P", "Nobody": ""})
    assert told.height > plain.height + 40
    exited = draw_overlay(answered(None), red_picture(), "What?", place=(0.25, 0.25, 0.5, 0.5))
    assert (np.asarray(exited) == (0, 114, 178)).all(-1).any()


def test_words_wider_than_the_picture_are_broken():
    picture = draw_overlay(answered((0,)), red_picture(), "W" * 400)
    assert picture.width < 1400


@pytest.mark.parametrize("name", ["o.png", "o.JPG", "o.webp"])
def test_written_whole(tmp_path, name):
    save_picture(red_picture(), tmp_path / name)
    with Image.open(tmp_path / name) as written:
        assert written.size == SIZE
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_format_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"o\.xyz"):
        check_output(tmp_path / "o.xyz")
    with pytest.raises(ValueError, match="no folder"):
        check_output(tmp_path / "missing" / "o.png")
