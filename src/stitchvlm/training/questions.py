"""Questions about a drawn scene, in several wordings, whose answer is unique by construction."""

import random
from collections import Counter
from dataclasses import dataclass

from . import words as vocabulary
from .scene import Box, Scene, Thing

READ_KINDS = ("read", "price")
KINDS = ("read", "price", "colour", "shape", "where", "cell", "bind", "list")
"""The last three only help training: a fine position, colour from noun or noun from colour, and everything in random order."""

READ_THING = (
    "What is written on {it}?",
    "What is written on {it}?",
    "What does {it} say?",
    "Read the text on {it}.",
    "What text is on {it}?",
    "What is the code on {it}?",
    "Which code is on {it}?",
    "What can be read on {it}?",
    "What letters are on {it}?",
    "Read {it}.",
)
READ_SIGN = (
    "What does {it} say?",
    "What does {it} say?",
    "What is written on {it}?",
    "Read {it}.",
    "What is the text on {it}?",
    "What can be read on {it}?",
)
PRICE_TAG = ("What is the price on {it}?", "What price is on {it}?", "What does {it} say?", "Read the price on {it}.")
PRICE_ITEM = (
    "How much is the {item}?",
    "What does the {item} cost?",
    "What is the price of the {item}?",
    "How much does the {item} cost?",
)
COLOUR = (
    "Which colour is the {noun} marked {text}?",
    "What colour is the {noun} marked {text}?",
    "What is the colour of the {noun} that says {text}?",
)
COLOUR_OF = ("What colour is {it}?", "Which colour is {it}?", "What is the colour of {it}?")
COLOUR_ITEM = ("What colour is the tag of the {item}?", "Which colour is the {item} tag?")
SHAPE = ("What shape says {text}?", "Which shape is marked {text}?", "What is the shape marked {text}?")
SHAPE_OF = ("What shape is {colour}?", "Which shape is {colour}?", "What is the shape of the {colour} one?")
WHERE = ("Where is {it}?", "Where in the picture is {it}?", "In which part of the picture is {it}?")
CELL = ("Row and column of {it}?",)
LIST = ("List everything.", "What is in the picture?")

CELL_GRID = 8


@dataclass(frozen=True)
class Question:
    """One question, its answer, and the picture fractions of what the answer is read from."""

    kind: str
    text: str
    answer: str
    box: Box

    @property
    def boxes(self) -> tuple[Box, ...]:
        """None for the whole picture: that says nothing about where to look."""
        return () if self.box == (0.0, 0.0, 1.0, 1.0) else (self.box,)


def subject_of(question: Question, scene: Scene) -> list[Thing]:
    """The thing that the question's box belongs to, or all where it asks about the whole picture."""
    x = scene.width * (question.box[0] + question.box[2]) / 2
    y = scene.height * (question.box[1] + question.box[3]) / 2
    if question.kind == "list":
        return list(scene.things)
    return [min(scene.things, key=lambda t: (t.centre[0] - x) ** 2 + (t.centre[1] - y) ** 2)]


def _fractions(box: Box, scene: Scene) -> Box:
    x0, y0, x1, y1 = box
    return (
        max(0.0, x0 / scene.width),
        max(0.0, y0 / scene.height),
        min(1.0, x1 / scene.width),
        min(1.0, y1 / scene.height),
    )


def references(scene: Scene, thing: Thing) -> list[str]:
    """Phrases that mean this thing and no other: colour and noun, or one of them where that is enough."""
    pairs = Counter((t.colour, t.noun) for t in scene.things)
    nouns, colours = Counter(t.noun for t in scene.things), Counter(t.colour for t in scene.things)
    found = []
    if pairs[thing.colour, thing.noun] == 1:
        found += [f"the {thing.colour} {thing.noun}"] * 6
    if nouns[thing.noun] == 1:
        found.append(f"the {thing.noun}")
    if colours[thing.colour] == 1 and thing.noun not in ("sign", "tag"):
        found += [f"the {thing.colour} shape", f"the {thing.colour} one"]
    return found


def _is_only(scene: Scene, **trait: str) -> bool:
    """Whether one thing alone has the noun, or the colour."""
    ((name, value),) = trait.items()
    return sum(getattr(thing, name) == value for thing in scene.things) == 1


def _place(scene: Scene, thing: Thing) -> str | None:
    """By thirds, from "top left" to "bottom right", or None too near a border between thirds."""
    words = []
    for value, size, names in (
        (thing.centre[1], scene.height, vocabulary.THIRDS[0]),
        (thing.centre[0], scene.width, vocabulary.THIRDS[1]),
    ):
        share = 3 * value / size
        if min(abs(share - 1), abs(share - 2)) < 0.12:
            return None
        words.append(names[min(2, int(share))])
    return " ".join(words)


def _read(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    if thing.noun == "tag" or not thing.text:
        return None
    it = references(scene, thing)
    wordings = READ_SIGN if thing.noun == "sign" else READ_THING
    return (rng.choice(wordings).format(it=rng.choice(it)), thing.text, thing.text_box) if it else None


def _price(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    if thing.noun != "tag":
        return None
    it = references(scene, thing)
    if thing.item and (not it or rng.random() < 0.5):
        return rng.choice(PRICE_ITEM).format(item=thing.item), thing.text, thing.text_box
    return (rng.choice(PRICE_TAG).format(it=rng.choice(it)), thing.text, thing.text_box) if it else None


def _colour(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    if _is_only(scene, noun=thing.noun) and rng.random() < 0.6:
        return rng.choice(COLOUR_OF).format(it=f"the {thing.noun}"), thing.colour, thing.box
    if thing.item:
        return rng.choice(COLOUR_ITEM).format(item=thing.item), thing.colour, thing.box
    if not thing.text:
        return None
    noun = thing.noun if thing.noun in ("sign", "tag") or rng.random() < 0.3 else "shape"
    return rng.choice(COLOUR).format(noun=noun, text=thing.text), thing.colour, thing.box


def _shape(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    if thing.noun in ("sign", "tag"):
        return None
    if _is_only(scene, colour=thing.colour) and rng.random() < 0.6:
        return rng.choice(SHAPE_OF).format(colour=thing.colour), thing.noun, thing.box
    if not thing.text:
        return None
    return rng.choice(SHAPE).format(text=thing.text), thing.noun, thing.box


def _where(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    it, place = references(scene, thing), _place(scene, thing)
    return (rng.choice(WHERE).format(it=rng.choice(it)), place, thing.box) if it and place else None


def _cell(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    it = references(scene, thing)
    row, column = (
        min(CELL_GRID - 1, int(CELL_GRID * c / s))
        for c, s in zip(thing.centre[::-1], (scene.height, scene.width), strict=True)
    )
    return (rng.choice(CELL).format(it=rng.choice(it)), f"{row + 1}{column + 1}", thing.box) if it else None


def _bind(scene: Scene, thing: Thing, rng: random.Random) -> tuple[str, str, Box] | None:
    """The shortest lookup that there is: from the noun to the colour, or back. It is learned first and carries the rest."""
    ways = []
    if _is_only(scene, noun=thing.noun):
        ways.append((f"What colour is the {thing.noun}?", thing.colour, thing.box))
    if _is_only(scene, colour=thing.colour):
        ways.append((f"What is {thing.colour}?", thing.noun, thing.box))
    return rng.choice(ways) if ways else None


_MAKERS = {
    "read": _read,
    "price": _price,
    "colour": _colour,
    "shape": _shape,
    "where": _where,
    "cell": _cell,
    "bind": _bind,
}


def list_everything(scene: Scene, rng: random.Random) -> Question:
    """All things in random order, each with its text: dense supervision for binding texts to things."""
    things = rng.sample(scene.things, len(scene.things))
    parts = [" ".join(filter(None, (t.item or f"{t.colour} {t.noun}", t.text))) for t in things]
    return Question("list", rng.choice(LIST), ", ".join(parts), (0.0, 0.0, 1.0, 1.0))


def ask(scene: Scene, kind: str, rng: random.Random) -> Question | None:
    """A question of the kind about a random thing, or None where the scene allows none."""
    if not scene.things:
        return None
    if kind == "list":
        return list_everything(scene, rng)
    for thing in rng.sample(scene.things, len(scene.things)):
        made = _MAKERS[kind](scene, thing, rng)
        if made is not None:
            text, answer, box = made
            return Question(kind, text, answer, _fractions(box, scene))
    return None


def ask_several(scene: Scene, count: int, shares: dict[str, float], rng: random.Random) -> list[Question]:
    """Up to `count` different questions, kinds drawn by their shares ("read" stands for prices as well)."""
    found: dict[str, Question] = {}
    for _ in range(3 * count):
        if len(found) == count:
            break
        kind = rng.choices(list(shares), list(shares.values()))[0]
        if kind == "read" and scene.kind == "tags":
            kind = "price"
        question = ask(scene, kind, rng)
        if question is not None and (kind != "list" or not any(q.kind == "list" for q in found.values())):
            found.setdefault(question.text, question)
    return list(found.values())
