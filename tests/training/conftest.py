"""A recipe so small that a whole run takes seconds, and the data it is trained on."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from stitchvlm.training import cache, pipeline
from stitchvlm.training.architecture import Size
from stitchvlm.training.checkpoint import Log
from stitchvlm.training.documents import KINDS as DOCUMENT_KINDS
from stitchvlm.training.documents import Document, draw_document
from stitchvlm.training.generator import Style
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.language import Lesson
from stitchvlm.training.loop import Budget, Deadline
from stitchvlm.training.pipeline import Pipeline
from stitchvlm.training.recipe import Pictures, Recipe, Stage
from stitchvlm.training.recipes import READ, RECIPES
from stitchvlm.training.tokenizer import DOCUMENT_SPEECH, SPECIAL, special_tokens, train_tokenizer

TINY = Size(vision_width=32, vision_layers=1, text_width=64, text_layers=3, text_mlp=64, text_kv_heads=1)
GROWN = replace(TINY, text_layers=4, text_mlp=96)
COUNT = 8


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer()


@pytest.fixture(scope="session")
def tokens(tokenizer) -> dict[str, int]:
    return {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}


@pytest.fixture
def exact(monkeypatch):
    """Lets training code compute in float32."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.fixture
def tiny_model(tokenizer, tokens):
    """A tiny model whose output layer is not empty, with the attention that training uses."""
    model = KINDS["internvl"].build(TINY, tokens, len(tokenizer), seed=3).eval()
    torch.nn.init.normal_(model.lm_head.weight, std=0.2)
    return model


@pytest.fixture(scope="session")
def speaker():
    """The tokenizer of the recipe that reads documents."""
    return train_tokenizer(KINDS["internvl_448"].picture_tokens, DOCUMENT_SPEECH)


@pytest.fixture(scope="session")
def build_large_tiles(speaker):
    """Builds a model of some size, but for its vision width, for tiles of 448 pixels."""
    kind = KINDS["internvl_448"]
    tokens = {token: speaker.convert_tokens_to_ids(token) for token in special_tokens(kind.picture_tokens)}
    return lambda size: kind.build(replace(size, vision_width=160), tokens, len(speaker), seed=3)


def budget(steps: int) -> Budget:
    return Budget(steps=steps, peak_rate=1e-3, warmup=2, decay_from=0.5, log_every=2)


def tiny_recipe() -> Recipe:
    """Every kind of stage that the real recipes have, two or three steps each."""
    lesson = Lesson(pictures=2, questions=3, first_shares=READ, last_shares=READ, most_things=(9, 9), dropped_share=0.5)
    stages = (
        Stage("tower", budget(3), tiles_a_step=4),
        Stage("find", budget(3), lesson),
        Stage("wide", budget(3), lesson),
        Stage("last", budget(2), lesson),
    )
    small, page = Style(small=True), Style(kinds=("page",))
    sets = {"page": page, "small": small, "wide": small, "small-check": small, "wide-check": small}
    return Recipe(
        {name: Pictures(style, COUNT, 1) for name, style in sets.items()},
        {"small": stages, "large": (replace(stages[2], name="deep", text_mlp=64), *stages[2:])},
        {"small": TINY, "large": GROWN},
    )


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory) -> Path:
    """The pictures of the tiny recipe, drawn once with Pillow's own font."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "SHARD_PICTURES", COUNT)
        for name, p in tiny_recipe().pictures.items():
            assert cache.render_set(folder, name, p.count, p.seed, p.style, ("",), workers=1)
    return folder


@pytest.fixture
def tiny_world(_drawn, monkeypatch, tokenizer) -> Path:
    """Makes the tiny recipe one that `train` knows; the folder with its pictures."""
    monkeypatch.setattr(cache, "SHARD_PICTURES", COUNT)
    monkeypatch.setitem(RECIPES, "tiny", tiny_recipe())
    monkeypatch.setattr(pipeline, "train_tokenizer", lambda *_: tokenizer)
    return _drawn


class StopAfter(Deadline):
    """A deadline that passes when it has been asked that many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def passed(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.fixture
def stop_after() -> type[StopAfter]:
    return StopAfter


@pytest.fixture
def make_pipeline(tiny_world):
    """Builds the tiny pipeline of the small (or the large) model with its state in the given folder."""
    return lambda folder, which="small": Pipeline(which, RECIPES["tiny"], tiny_world, folder, 7, torch.device("cpu"))


@pytest.fixture
def log(tmp_path) -> Log:
    return Log(tmp_path / "log.jsonl")


@pytest.fixture(scope="session")
def drawn() -> list[tuple[Image.Image, Document]]:
    """Documents of every kind, without effects: only their geometry is as in training."""
    return [draw_document(seed, kind, clean=True) for kind in DOCUMENT_KINDS for seed in range(6)]


@pytest.fixture(scope="session")
def documents(drawn) -> list[Document]:
    return [document for _, document in drawn]
