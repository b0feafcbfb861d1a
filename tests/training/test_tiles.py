"""Tiles are those of the image processor, and labels say what lies under each visual token."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from stitchvlm.training.generator import draw_scene
from stitchvlm.training.grid import TILES, Tiles
from stitchvlm.training.labels import COLUMN, HEADS, IGNORE, dense_labels
from stitchvlm.training.regions import asked_tokens, keep_around, token_boxes, tokens_touching
from stitchvlm.training.scene import Glyph, Scene, Thing
from stitchvlm.training.tower import normalise
from stitchvlm.training.words import COLOUR_NAMES, GLYPHS, NOUNS

TILE, CELLS = TILES.side, TILES.cells
RECEIPT_TILES = Tiles(448, 14, 1, 8)
SIZES = [(640, 480), (480, 640), (240, 180), (160, 160), (1000, 250), (360, 720), (37, 211)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cut", [TILES, RECEIPT_TILES])
def test_tiles_and_thumbnail_are_the_processors_own(size, cut):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    settings = {"crop_to_patches": True, "min_patches": cut.least, "max_patches": cut.most, "do_convert_rgb": True}
    processor = GotOcr2ImageProcessorPil(size={"height": cut.side, "width": cut.side}, resample=3, **settings)
    theirs = processor(picture, do_rescale=False, do_normalize=False, return_tensors="np").pixel_values
    ours = cut.pixels(picture)
    assert len(ours) == len(cut.boxes(*size))
    assert np.abs(ours.transpose(0, 3, 1, 2).astype(int) - theirs.astype(int)).max() <= 1
    ready = processor(picture, return_tensors="pt").pixel_values
    assert (normalise(ours, torch.device("cpu")) - ready).abs().max() < 1.1 / 255 / 0.26


def tiny_scene() -> tuple[Scene, np.ndarray]:
    """One tile: a red square over the four cells in the middle, `K7` across the border of the upper two."""
    side = TILE // CELLS
    left, right = 3 * side, 5 * side
    letters = (
        Glyph("K", left + 0.5 * side, left + 0.5 * side, 9, 12, begins=True, ends=False),
        Glyph("7", left + 1.5 * side, left + 0.5 * side, 9, 12, begins=False, ends=True),
    )
    box = (left, left, right, right)
    owner = np.zeros((TILE, TILE), np.uint8)
    owner[left:right, left:right] = 1
    return Scene("objects", TILE, TILE, (Thing("square", "red", "K7", "", box, box, letters),)), owner


def test_labels_of_a_scene_drawn_by_hand():
    scene, owner = tiny_scene()
    labels = dense_labels(scene, owner)
    assert labels.shape == (1, CELLS * CELLS, len(HEADS))
    grid = labels.reshape(CELLS, CELLS, len(HEADS))
    expected = np.zeros_like(grid)
    expected[3:5, 3:5, COLUMN["colour"]] = 1 + COLOUR_NAMES.index("red")
    expected[3:5, 3:5, COLUMN["noun"]] = 1 + NOUNS.index("square")
    for point in (1, 2):  # 7.5 and 12.5 px into the cell, under letters that reach from 5.5 to 14.5
        expected[3, 3, [COLUMN[f"char{point}"], COLUMN[f"order{point}"]]] = 1 + GLYPHS.index("K"), 1
        expected[3, 4, [COLUMN[f"char{point}"], COLUMN[f"order{point}"]]] = 1 + GLYPHS.index("7"), 2
    expected[3, 3, COLUMN["begins"]] = 1
    expected[3, 4, COLUMN["ends"]] = 1
    assert (grid == expected).all()


def test_letters_too_small_to_read_are_not_asked_for():
    scene, owner = tiny_scene()
    tiny = tuple(Glyph(g.char, g.x, g.y, g.width / 4, g.height / 4, g.begins, g.ends) for g in scene.things[0].glyphs)
    thing = Thing("square", "red", "K7", "", scene.things[0].box, scene.things[0].box, tiny)
    grid = dense_labels(Scene("objects", TILE, TILE, (thing,)), owner).reshape(CELLS, CELLS, len(HEADS))
    assert set(np.unique(grid[3, 3:5, COLUMN["char0"] : COLUMN["begins"]])) == {0, IGNORE}
    assert (grid[3, 3:5, [COLUMN["begins"], COLUMN["ends"]]] == IGNORE).all()


def test_kept_tokens_hold_the_text():
    _, scene, _ = draw_scene(5)
    thing = next(thing for thing in scene.things if thing.text)
    kept = keep_around(scene, [thing], 40, np.random.default_rng(0))
    boxes = token_boxes(scene)[kept]
    assert kept == sorted(set(kept)) and len(kept) <= 40
    for glyph in thing.glyphs:
        inside = (
            (boxes[:, 0] <= glyph.x) & (glyph.x <= boxes[:, 2]) & (boxes[:, 1] <= glyph.y) & (glyph.y <= boxes[:, 3])
        )
        assert inside.any()


def test_a_guide_that_misses_some_leaves_parts_of_the_text():
    _, scene, _ = draw_scene(5)
    thing = next(thing for thing in scene.things if thing.text)
    text = set(tokens_touching(token_boxes(scene), thing.text_box).tolist())
    counts = []
    for seed in range(40):
        kept = keep_around(scene, [thing], 40, np.random.default_rng(seed), lost=0.3)
        assert len(kept) <= 40
        counts.append(len(text & set(kept)) / len(text))
    assert 0.6 < np.mean(counts) < 0.8


def test_what_might_be_the_answer_is_kept_whole_or_not_at_all():
    """Among so few kept tokens, only what is kept on purpose is whole; and never is there room for all of them."""
    _, scene, _ = draw_scene(5)
    first, *others = [thing for thing in scene.things if thing.text]
    boxes = token_boxes(scene)
    whole, alone = 0, 0
    for seed in range(40):
        for given, count in (([thing.text_box for thing in others], "whole"), ([], "alone")):
            rng = np.random.default_rng(seed)
            kept = set(keep_around(scene, [first], 60, rng, others=given))
            assert set(tokens_touching(boxes, first.text_box)) <= kept
            there = sum(set(tokens_touching(boxes, thing.text_box)) <= kept for thing in others)
            whole, alone = whole + there * (count == "whole"), alone + there * (count == "alone")
    assert whole >= 20 and alone <= whole / 4


def test_asked_tokens_are_counted_among_the_kept_ones():
    _, scene, _ = draw_scene(5)
    thing = next(thing for thing in scene.things if thing.text)
    x0, y0, x1, y1 = thing.text_box
    box = (x0 / scene.width, y0 / scene.height, x1 / scene.width, y1 / scene.height)
    text = set(tokens_touching(token_boxes(scene), thing.text_box).tolist())
    kept = keep_around(scene, [thing], 40, np.random.default_rng(0), lost=0.3)
    found, nowhere = asked_tokens(scene, [(box,), ()], kept)
    assert {kept[k] for k in found} == text & set(kept)
    assert nowhere == []
