"""Pictures depend on the seed alone, and every question has one answer."""

import random
import re

import numpy as np
import pytest

from stitchvlm.training.generator import Style, draw_scene
from stitchvlm.training.pages import draw_page
from stitchvlm.training.questions import Question, ask
from stitchvlm.training.scene import Scene, Thing
from stitchvlm.training.words import COLOUR_NAMES, NOUNS

SEEDS = range(100)
KINDS = ("read", "price", "colour", "shape", "where", "cell")


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Scene, np.ndarray]]:
    return [draw_scene(seed, style=Style(small=seed % 2 == 0))[1:] for seed in SEEDS]


@pytest.mark.parametrize("draw", [draw_scene, draw_page])
def test_one_seed_draws_one_picture(draw):
    pictures, scenes, owners = zip(draw("a"), draw("a"), draw("b"), strict=True)
    assert pictures[0].tobytes() == pictures[1].tobytes() != pictures[2].tobytes()
    assert scenes[0] == scenes[1] != scenes[2]
    assert (owners[0] == owners[1]).all()


def test_a_scene_survives_json(scenes):
    for scene, _ in scenes[:10]:
        assert Scene.from_json(scene.to_json()) == scene


def described(scene: Scene, question: Question) -> list[Thing]:
    """The things that a question's words fit, found by reading the words and nothing else."""
    text = question.text.lower()
    items = [t for t in scene.things if t.item and re.search(rf"\b{t.item}\b", text)]
    if items:
        return items
    marked = re.search(r"\b(?:marked|says) (.+)\?$", question.text)
    if marked:
        return [t for t in scene.things if t.text == marked[1]]
    colours = [c for c in COLOUR_NAMES if re.search(rf"\b{c}\b", text)]
    nouns = [n for n in NOUNS if re.search(rf"\bthe (?:\w+ )?{n}\b", text)]
    assert colours or nouns, question.text
    return [t for t in scene.things if (not colours or t.colour in colours) and (not nouns or t.noun in nouns)]


def right_answer(scene: Scene, thing: Thing, kind: str) -> str:
    x, y = (thing.box[0] + thing.box[2]) / 2 / scene.width, (thing.box[1] + thing.box[3]) / 2 / scene.height
    place = f"{('top', 'middle', 'bottom')[int(3 * y)]} {('left', 'center', 'right')[int(3 * x)]}"
    cell = f"{min(8, 1 + int(8 * y))}{min(8, 1 + int(8 * x))}"
    answers = {"colour": thing.colour, "shape": thing.noun, "where": place, "cell": cell}
    return answers.get(kind, thing.text)


def test_every_question_means_one_thing_and_has_its_answer(scenes):
    asked = 0
    for seed, (scene, owner) in zip(SEEDS, scenes, strict=True):
        for kind in KINDS * 3:
            question = ask(scene, kind, random.Random(f"{seed}-{kind}-{asked}"))
            if question is None:
                continue
            asked += 1
            things = described(scene, question)
            assert len(things) == 1, (seed, question, things)
            assert question.answer == right_answer(scene, things[0], kind), (seed, question)
            check_box(question, things[0], scene, owner)
    assert asked > 800


def check_box(question: Question, thing: Thing, scene: Scene, owner: np.ndarray) -> None:
    """The box lies in the picture and holds the thing, or, for what is read off it, its text."""
    x0, y0, x1, y1 = question.box
    assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
    if question.kind in ("read", "price"):
        word = thing.glyphs[-len(thing.text.replace(" ", "")) :]
        assert "".join(glyph.char for glyph in word) == thing.text.replace(" ", "")
        xs, ys = [g.x for g in word], [g.y for g in word]
    else:
        ys, xs = np.nonzero(owner == 1 + scene.things.index(thing))
    slack = 1e-6
    assert x0 * scene.width - slack <= min(xs) and max(xs) <= x1 * scene.width + slack
    assert y0 * scene.height - slack <= min(ys) and max(ys) <= y1 * scene.height + slack


def test_a_list_names_everything(scenes):
    scene = next(scene for scene, _ in scenes if scene.kind == "objects" and len(scene.things) > 3)
    question = ask(scene, "list", random.Random(0))
    assert question is not None
    assert sorted(question.answer.split(", ")) == sorted(f"{t.colour} {t.noun} {t.text}".strip() for t in scene.things)


def test_nothing_can_be_asked_about_nothing():
    assert ask(Scene("objects", 10, 10), "read", random.Random(0)) is None
