"""The Qwen2-VL kind: what training computes is what the family and transformers compute, and a whole run in miniature."""

import json
import random

import numpy as np
import pytest
import torch
from conftest import COUNT, TINY, budget
from PIL import Image

from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.records import Question as Asked
from stitchvlm.training import cache, pipeline, train
from stitchvlm.training.answering import answer_logits
from stitchvlm.training.attention import use_plain_attention
from stitchvlm.training.generator import Style, draw_scene
from stitchvlm.training.grid import LEAST_TOKENS, MOST_TOKENS, Whole
from stitchvlm.training.grounding import Standing
from stitchvlm.training.kinds import KINDS, features
from stitchvlm.training.labels import COLUMN, dense_labels
from stitchvlm.training.language import Exercise, LanguageTrainer, Lesson
from stitchvlm.training.packing import Packer, collate
from stitchvlm.training.pipeline import Pipeline
from stitchvlm.training.questions import Question
from stitchvlm.training.recipe import Pictures, Recipe, Stage
from stitchvlm.training.recipes import READ, RECIPES
from stitchvlm.training.regions import token_boxes
from stitchvlm.training.saved import save_model
from stitchvlm.training.tokenizer import special_tokens, train_tokenizer
from stitchvlm.training.tower import Views, normalise
from stitchvlm.training.words import THIRDS
from stitchvlm.training.worlds import SCENES

CPU = torch.device("cpu")
KIND = KINDS["qwen2_vl"]
WHOLE = Whole(MOST_TOKENS)
CELL = WHOLE.cell
GRID = (13, 18)
TOTAL = GRID[0] * GRID[1]
QUESTION = Question("read", "What is written on the red circle?", "K7B", (0, 0, 1, 1))


@pytest.fixture(scope="module")
def own_tokenizer():
    return train_tokenizer(KIND.picture_tokens)


@pytest.fixture(scope="module")
def vlm(own_tokenizer, tmp_path_factory):
    """A tiny model as it is saved, through the family, in float32."""
    folder = tmp_path_factory.mktemp("qwen2_vl")
    save_model(_build(TINY, own_tokenizer), folder)
    KIND.save_processor(own_tokenizer, folder)
    return load_vlm(str(folder), dtype=torch.float32, device="cpu")


@pytest.fixture
def model(vlm, own_tokenizer, exact):
    """The same weights as training holds them, computing in float32."""
    built = _build(TINY, own_tokenizer)
    built.load_state_dict(vlm.model.state_dict())
    return built.eval()


def _build(size, tokenizer):
    tokens = {token: tokenizer.convert_tokens_to_ids(token) for token in special_tokens(KIND.picture_tokens)}
    built = KIND.build(size, tokens, len(tokenizer), seed=3)
    torch.nn.init.normal_(built.lm_head.weight, std=0.2)
    use_plain_attention(built)
    return built


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def features_of(model, picture: Image.Image) -> torch.Tensor:
    with torch.no_grad():
        return features(model, normalise(WHOLE.pixels(picture), CPU))[0]


def test_only_the_tokens_of_pictures_have_other_names(tokenizer, own_tokenizer):
    names = [t.convert_ids_to_tokens(range(len(t))) for t in (tokenizer, own_tokenizer)]
    renamed = {one: other for one, other in zip(*names, strict=True) if one != other}
    assert renamed == {
        "<img>": "<|vision_start|>",
        "</img>": "<|vision_end|>",
        "<IMG_CONTEXT>": "<|image_pad|>",
        "<video>": "<|video_pad|>",
    }
    for text in ("What is written on the red circle?", "K7B $4.99", "<|im_start|>user\n"):
        assert tokenizer(text).input_ids == own_tokenizer(text).input_ids


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 250), (240, 180), (60, 40)])
def test_pixels_and_features_are_those_of_the_family(vlm, model, size):
    inputs = vlm.family.prepare(vlm, [Asked("?", (noise(*size),))], None)
    pixels = WHOLE.pixels(noise(*size))
    (view,) = WHOLE.views(*size)
    assert pixels.shape == (1, CELL * view.rows, CELL * view.columns, 3)
    assert LEAST_TOKENS <= view.rows * view.columns == inputs.layouts[0].n_visual <= MOST_TOKENS
    assert (normalise(pixels, CPU) - inputs.tiles[0]).abs().max() < 1e-5
    with torch.no_grad():
        assert torch.allclose(features_of(model, noise(*size)), vlm.family.encode(vlm, inputs), atol=1e-4)


def test_pictures_of_a_batch_do_not_see_each_other(model):
    pixels = torch.randn(3, 3, 4 * CELL, 6 * CELL, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = features(model, pixels)
        alone = torch.cat([features(model, pixels[k : k + 1]) for k in range(3)])
    assert together.shape == (3, 24, TINY.text_width) and torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("system", [None, "Be concise."])
@pytest.mark.parametrize("kept", [list(range(TOTAL)), [0, 17, 18, 100, 233]], ids=["all", "some"])
def test_packed_ids_and_positions_are_those_of_the_family(vlm, own_tokenizer, system, kept):
    inputs = vlm.family.prepare(vlm, [Asked(QUESTION.text, (noise(640, 480),), system)], None)
    present = [torch.tensor(kept)]
    stream = vlm.family.embed(vlm, inputs, torch.zeros(len(kept), TINY.text_width), present).stream
    row = Packer(own_tokenizer, KIND.chat).pack([QUESTION], kept, TOTAL, system, GRID)
    batch, length = collate([row], CPU), stream.positions.shape[-1]
    assert torch.equal(batch.positions[:, :, :length], stream.positions)
    assert torch.equal(batch.tokens[0, :length], inputs.token_ids[0][stream.index[0]])
    assert batch.visual[0].sum() == len(kept)


@torch.no_grad()
def test_the_engine_says_what_training_learns(vlm, model, own_tokenizer):
    """Logits of the first answer token with most of the picture missing."""
    kept = [3, 40, 41, 42, 120, 233]
    features = features_of(model, noise(640, 480))
    row = Packer(own_tokenizer, KIND.chat).pack([QUESTION], kept, TOTAL, None, GRID)
    logits, targets = answer_logits(model, collate([row], CPU), features[kept])
    engine = Engine(vlm)
    inputs = vlm.family.prepare(vlm, [Asked(QUESTION.text, (noise(640, 480),))], None)
    prompt = vlm.family.embed(vlm, inputs, features[kept], [torch.tensor(kept)])
    told = engine.prefill(prompt).logits[0]
    assert torch.allclose(logits[0], told, atol=1e-3)
    assert len(targets) == 4


def test_labels_and_boxes_follow_the_grid():
    _, scene, owner = draw_scene(5)
    (view,) = WHOLE.views(scene.width, scene.height)
    labels, boxes = dense_labels(scene, owner, WHOLE), token_boxes(scene, WHOLE)
    assert labels.shape[:2] == (1, view.rows * view.columns) == (1, len(boxes))
    for token in np.flatnonzero(labels[0, :, COLUMN["colour"]] > 0):
        x, y = (boxes[token, :2] + boxes[token, 2:]) / 2
        around = owner[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8]
        assert around.any()
    text = next(thing for thing in scene.things if thing.text)
    x0, y0, x1, y1 = text.text_box
    inside = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
    assert (labels[0, inside, COLUMN["char0"] : COLUMN["order0"]] > 0).any()


def test_tokens_are_taught_the_words_for_their_own_place(own_tokenizer):
    _, scene, _ = draw_scene(5)
    words = torch.tensor(Packer(own_tokenizer, KIND.chat).words(THIRDS))
    assert [own_tokenizer.decode(row) for row in words] == ["topmiddlebottom", " left center right"]
    kept = [0, len(token_boxes(scene, WHOLE)) - 1]
    given = Exercise(None, None, [scene], [], [], [kept], WHOLE, SCENES)
    assert given.thirds().tolist() == [[0, 0], [2, 2]]
    outputs = torch.nn.Linear(len(own_tokenizer), len(own_tokenizer), bias=False)
    torch.nn.init.eye_(outputs.weight)
    said = torch.zeros(2, len(own_tokenizer))
    for token, (row, column) in enumerate(given.thirds().tolist()):
        said[token, [words[0, row], words[1, column]]] = 30.0
    standing = Standing(given.thirds(), words)
    assert standing.loss(said, outputs) < 1e-6
    assert standing.loss(said.flip(0), outputs) > 10


def test_the_model_is_small(own_tokenizer):
    built = _build(RECIPES["qwen2_vl"].sizes["other"], own_tokenizer)
    assert 1_500_000 < sum(weight.numel() for weight in built.parameters()) < 5_000_000


def tiny_recipe() -> Recipe:
    lesson = Lesson(pictures=2, questions=3, first_shares=READ, last_shares=READ, most_things=(9, 9), dropped_share=0.5)
    stages = (Stage("tower", budget(3), tiles_a_step=4), Stage("find", budget(3), lesson))
    sets = {"page": Style(kinds=("page",), small=True)}
    sets |= {name: Style(small=True) for name in ("small", "wide", "small-check", "wide-check")}
    pictures = {name: Pictures(style, COUNT, 1, Whole(64)) for name, style in sets.items()}
    return Recipe(pictures, {"other": stages}, {"other": TINY}, kind="qwen2_vl")


@pytest.fixture
def tiny_run(tmp_path, monkeypatch, own_tokenizer):
    """A finished run of the tiny recipe."""
    monkeypatch.setattr(cache, "SHARD_PICTURES", COUNT)
    monkeypatch.setitem(RECIPES, "tiny", tiny_recipe())
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: own_tokenizer)
    (tmp_path / "fonts").mkdir()
    assert train("tiny", tmp_path, fonts=tmp_path / "fonts", workers=1, device="cpu")
    return tmp_path


def test_a_run_in_miniature(tiny_run):
    folder = tiny_run / "pair" / "other"
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    assert settings["image_processor_type"] == "Qwen2VLImageProcessor"
    engine = Engine(load_vlm(str(folder), device="cpu"))
    assert engine.vlm.model.dtype == torch.bfloat16
    again = Pipeline("other", RECIPES["tiny"], tiny_run / "data", tiny_run / "next", 7, CPU)
    assert again.begin_with(folder) == "find"
    views, labels, _ = Views(list(again.sets.values())).draw(random.Random(0), 4, tries=3)
    assert len(views) == len(labels) and labels.shape[1] == views.shape[1] * views.shape[2] // CELL**2


def test_steps_lower_the_loss(tiny_run, exact):
    made = Pipeline("other", RECIPES["tiny"], tiny_run / "data", tiny_run / "next", 7, CPU)
    lesson = Lesson(pictures=2, questions=3, first_shares=READ, last_shares=READ, most_things=(9, 9))
    trainer = LanguageTrainer(made.model, made.packer, made.sets, lesson, "seed")
    optimizer = torch.optim.AdamW(made.model.model.language_model.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        loss, figures = trainer.loss_at(0, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0] and figures["astray"] > 0
