"""What a guide is said to keep in training is what the product keeps, and rows of a lesson hold exactly that."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stitchvlm import Stitch
from stitchvlm.embedded import embedded_folder
from stitchvlm.training.generator import Style, draw_scene
from stitchvlm.training.grid import TILES
from stitchvlm.training.guiding import Guide, most_looked_at
from stitchvlm.training.language import GUIDED_KEEP, LanguageTrainer, Lesson
from stitchvlm.training.packing import Packer
from stitchvlm.training.questions import Question
from stitchvlm.training.recipes import READ
from stitchvlm.training.saved import load_saved

NOT_SAID = "Q"


@dataclass(frozen=True, eq=False)
class Shown:
    """A set of one picture."""

    name: str
    own: np.ndarray

    def tiles(self, _: int) -> np.ndarray:
        return self.own


@pytest.fixture
def exact(monkeypatch):
    """Lets training code compute in float32."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.fixture(scope="module")
def scenes():
    """A few pictures of five tiles, each with a question about it."""
    found = [draw_scene(f"guide-{number}", ("",), Style()) for number in range(40)]
    wide = [(picture, scene) for picture, scene, _ in found if len(TILES.views(scene.width, scene.height)) == 5]
    return [
        (picture, f"What is written on the {scene.things[0].colour} {scene.things[0].noun}?")
        for picture, scene in wide[:3]
    ]


@pytest.fixture(scope="module")
def stitch():
    return Stitch.from_pretrained(dtype="float32", exit="never")


@pytest.fixture
def guide(tokenizer):
    return Guide(load_saved(embedded_folder("embedded:small"), tokenizer))


def looks(guide, tokenizer, picture, questions, answers):
    """The maps of a picture's questions, all behind one picture."""
    told = [Question("read", text, answer, (0, 0, 1, 1)) for text, answer in zip(questions, answers, strict=True)]
    tiles = TILES.pixels(picture)
    total = 64 * len(tiles)
    row = Packer(tokenizer).pack(told, list(range(total)), total)
    return guide.looks([(Shown(str(id(picture)), tiles), 0)], [row])[0]


def alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    """But for the precision in which features of pictures are kept."""
    return (first - second).abs().max().item() < 0.03 * second.max().item()


@pytest.mark.usefixtures("exact")
def test_maps_are_those_of_the_product(stitch, guide, tokenizer, scenes):
    for picture, question in scenes:
        draft = stitch.guide(picture, question).drafts[0]
        found, beside = looks(guide, tokenizer, picture, [question, "Where is it?"], [draft.text, "left"])
        assert alike(found, draft.guide.scores) and not alike(beside, draft.guide.scores)


@pytest.mark.usefixtures("exact")
def test_an_answer_counts_as_far_as_the_guide_would_have_said_it(stitch, guide, tokenizer, scenes):
    for picture, question in scenes:
        draft = stitch.guide(picture, question).drafts[0]
        assert len(draft.text) > 1 and NOT_SAID not in draft.text
        (strange,) = looks(guide, tokenizer, picture, [question], [NOT_SAID * 4])
        (begun,) = looks(guide, tokenizer, picture, [question], [draft.text[:1] + NOT_SAID * 3])
        assert alike(strange, draft.guide.prefill)
        assert alike(begun, draft.guide.prefill + draft.guide.decode[0])
        assert not alike(begun, strange)


def test_each_question_is_shown_what_the_guide_looked_at(make_pipeline, tmp_path):
    own = make_pipeline(tmp_path)
    torch.nn.init.normal_(own.model.lm_head.weight, std=0.2)
    guide = Guide(own.model)
    lesson = Lesson(("wide",), (1, 3, 4, 5), 2, 3, READ, READ, (9, 9), dropped_share=1.0, guided_share=1.0)
    trainer = LanguageTrainer(own.model, own.packer, own.sets, lesson, "seed", guide)
    given = trainer.exercise(0, 1.0)
    assert len(given.rows) > 2 and all(len(asked) == 1 for asked in given.asked)
    total = 64 * len(given.cut.views(given.truths[0].width, given.truths[0].height))
    assert GUIDED_KEEP[0] * total - 1 <= len(given.kept[0]) <= GUIDED_KEEP[1] * total + 1
    shown = own.sets["wide"]
    for (question,), truth, kept, row in zip(given.asked, given.truths, given.kept, given.rows, strict=True):
        number = next(k for k in range(len(shown)) if shown.truth(k) == truth)
        where = shown.where[number]
        every = own.packer.pack([question], range(where.tokens), where.tokens, None, (where.rows, where.columns))
        ((scores,),) = guide.looks([(shown, number)], [every])
        assert row.visual.stop - row.visual.start == len(kept) == len(given.kept[0])
        assert len(set(kept) & set(most_looked_at(scores, len(kept)))) >= 0.9 * len(kept)


def test_most_looked_at_are_in_order():
    assert most_looked_at(torch.tensor([0.1, 3.0, 0.0, 2.0]), 2) == [1, 3]
    assert most_looked_at(torch.tensor([0.1, 3.0]), 5) == [0, 1]
