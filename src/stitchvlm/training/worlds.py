"""The two worlds that pictures come from, drawn scenes and documents, and what training has to know of each.

What a set shows is said by its style: a `generator.Style` for scenes, `Papers` for drawn documents, `Receipts` for real ones.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from PIL import Image

from . import questions
from .documents import Document, draw_crop, draw_document
from .documents import questions as document_questions
from .documents.augment import augment, cut_margins, cut_square
from .documents.certain import lines_of
from .documents.document import PARTS, Written
from .documents.form import LABEL
from .documents.reading import fractions, words_of
from .documents.real import RealReceipt, read_receipts
from .generator import Style, draw_scene
from .grid import Tiles
from .pages import draw_page
from .regions import Spot
from .scene import Box, Scene

LINES = frozenset({"after", "begins", "first", "last", "at"})
FACTS = frozenset(document_questions.KINDS) - LINES - {"where", "price"}
"""Kinds of questions about documents that the log sums up: what a line says, and other facts. Scenes have prices as well."""
WHOLE = frozenset({"largest", "smallest", "count", "figures", "first", "last"})
"""Kinds of questions that can be answered only by who sees all of the document."""
SPELLED = (LINES | FACTS | {"price", "read"}) - {"count", "pieces", "figures"}
"""Kinds of questions whose answer is spelled as it stands in the picture."""
HELD_OUT = 20
"""Real receipts that are kept from training, to see on the way how it does on them."""
_PART = (0.85, 1.2)
"""Sides of squares of real receipts, in those of what a tile shows."""
_TOGETHER = 4
_FEWEST_LINES = 3


class Truth(Protocol):
    """What a picture holds."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


class Asked(Protocol):
    """A question, its answer, and what the answer is read from, as fractions of the picture."""

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def answer(self) -> str: ...

    @property
    def boxes(self) -> tuple[Box, ...]: ...


@dataclass(frozen=True)
class World:
    """Attributes:
    read: what was written with `to_json`.
    ask: up to so many questions with these shares of kinds.
    together: which of the questions may be asked when most of the picture is missing, the spots that must then be there, and
        boxes of what might be taken for an answer.
    beside: what tells what stands in these boxes, as boxes; all of them are fractions of the picture.
    guessed: whether characters in these boxes, fractions of the picture, stand only about where they are said to.
    aside: whether what a picture holds is so much that it is read only when it is needed.
    """

    read: Callable[[dict[str, Any]], Any]
    ask: Callable[[Any, int, dict[str, float], random.Random], list[Any]]
    together: Callable[[list[Any], Any], tuple[list[Any], list[Any], list[Box]]]
    beside: Callable[[Any, Sequence[Box]], tuple[Box, ...]]
    guessed: Callable[[Any, Sequence[Box]], bool]
    aside: bool


def _about_one_thing(
    asked: list[questions.Question], scene: Scene
) -> tuple[list[questions.Question], list[Any], list[Box]]:
    """The questions about what the first one is about."""
    subject = questions.subject_of(asked[0], scene)
    return [question for question in asked if questions.subject_of(question, scene) == subject], subject, []


def _about_known_places(asked: list[Asked], document: Document) -> tuple[list[Asked], list[Spot], list[Box]]:
    """The first few whose place is known. Around it lie the lines that tell what it is; words that have digits, as most answers
    do, might be taken for another.
    """
    found = [question for question in asked if question.boxes and question.kind not in WHOLE][:_TOGETHER]
    w, h = document.width, document.height
    spots = []
    for x0, y0, x1, y1 in (box for question in found for box in question.boxes):
        tall = y1 - y0
        around = 0.0, h * (y0 - tall), float(w), h * (y1 + tall)
        spots.append(Spot(around, (w * x0, h * y0, w * x1, h * y1)))
    words = [word for line in document.lines for word in words_of(line) if any(char.isdigit() for char in word.text)]
    return found, spots, [word.boxes[0] for word in words]


def _left_of(document: Document, boxes: Sequence[Box]) -> tuple[Box, ...]:
    """The words in the same rows to the left of all of it."""
    rows = {line.row for line in lines_of(document, _in_pixels(document, boxes))}
    left = document.width * min((box[0] for box in boxes), default=0.0)
    words = [word.boxes[0] for line in document.lines if line.row in rows for word in words_of(line)]
    return fractions(document, tuple(box for box in words if (box[0] + box[2]) / 2 < left))


def _ask_document(
    document: Document, count: int, shares: dict[str, float], rng: random.Random
) -> list[document_questions.Question]:
    return document_questions.ask_several(document, count, rng, shares)


def _holds_a_guess(document: Document, boxes: Sequence[Box]) -> bool:
    return not all(line.placed for line in lines_of(document, _in_pixels(document, boxes)))


def _in_pixels(document: Document, boxes: Sequence[Box]) -> Written:
    w, h = document.width, document.height
    return Written("", tuple((x0 * w, y0 * h, x1 * w, y1 * h) for x0, y0, x1, y1 in boxes))


SCENES = World(Scene.from_json, questions.ask_several, _about_one_thing, lambda *_: (), lambda *_: False, aside=False)
DOCUMENTS = World(Document.from_json, _ask_document, _about_known_places, _left_of, _holds_a_guess, aside=True)


@dataclass(frozen=True)
class Papers:
    """Drawn documents, without colour if `grey`. With `sides` they are square parts whose sides in pixels lie between these two.

    With `page` blank margins are cut off (`margins`), for a model that cuts pages into these tiles.
    """

    kinds: tuple[str, ...]
    sides: tuple[int, int] | None = None
    grey: bool = False
    page: Tiles | None = None


@dataclass(frozen=True)
class Receipts:
    """Real receipts in `folder` (`documents.real`), each once as it is and then changed by chance, without the blank margins that
    are cut off for these tiles.

    With `parts` they are squares that are about as large as what a tile shows of the whole receipt. `held_out` ones are never among
    the others. `places` is a file with the places of their characters (`placing`).
    """

    page: Tiles
    folder: str = ""
    parts: bool = False
    held_out: bool = False
    places: str | None = None


Shown = Style | Papers | Receipts
Drawn = tuple[Image.Image, Any, np.ndarray | None]
"""A picture, what it holds, and of a scene which thing owns each pixel."""


def described(shown: Shown) -> dict[str, Any]:
    """What a style says, wherever on this machine its files lie."""
    told = {"shown": type(shown).__name__, **asdict(shown)}
    if isinstance(shown, Receipts):
        del told["folder"]
        told["places"] = shown.places is not None
    return told


def world_of(shown: Shown) -> World:
    """The world that pictures of this style come from."""
    return SCENES if isinstance(shown, Style) else DOCUMENTS


def draw(shown: Shown, key: str, number: int, fonts: tuple[str, ...]) -> Drawn:
    """Picture `number` of a set with that style; `key` and `number` alone decide what it is."""
    if isinstance(shown, Papers):
        return _draw_paper(shown, f"{key}/{number}", fonts)
    if isinstance(shown, Receipts):
        return _draw_receipt(shown, f"{key}/{number}", number)
    if shown.kinds == ("page",):
        return draw_page(f"{key}/{number}", fonts, shown.small)
    return draw_scene(f"{key}/{number}", fonts, shown)


def _draw_paper(shown: Papers, seed: str, fonts: tuple[str, ...]) -> Drawn:
    """Anew until enough is written in it."""
    rng = random.Random(f"paper-{seed}")
    while True:
        own, kind = f"{seed}/{rng.getrandbits(32)}", rng.choice(shown.kinds)
        if shown.sides is None:
            picture, document = draw_document(own, kind, fonts)
        else:
            picture, document = draw_crop(own, kind, fonts, rng.randint(*shown.sides))
        if shown.page is not None:
            picture, document = cut_margins(picture, document, shown.page)
        if len(document.lines) >= _FEWEST_LINES or kind == "sign":
            return picture.convert("L") if shown.grey else picture, in_capitals(document), None


@lru_cache(maxsize=4)
def _known(folder: str, places: str | None) -> list[RealReceipt]:
    return read_receipts(folder, places=places)


def _draw_receipt(shown: Receipts, seed: str, number: int) -> Drawn:
    known = _known(shown.folder, shown.places)
    chosen = known[-HELD_OUT:] if shown.held_out else known[:-HELD_OUT]
    if not chosen:
        raise ValueError(
            f"{shown.folder} holds no more than {HELD_OUT} receipts, which are kept from training: name another"
        )
    receipt, rng = chosen[number % len(chosen)], random.Random(f"receipt-{seed}")
    picture, document = receipt.picture(), receipt.document
    if number >= len(chosen):
        picture, document = augment(picture, document, rng)
    picture, document = cut_margins(picture, document, shown.page)
    if shown.parts:
        x0, y0, x1, y1 = shown.page.boxes(*picture.size)[0]
        side = math.sqrt((x1 - x0) * (y1 - y0)) * rng.uniform(*_PART)
        picture, document = cut_square(picture, document, rng, round(side))
    return picture, in_capitals(document), None


def in_capitals(document: Document) -> Document:
    """The document as it is asked for and answered: case is folded, since what reads it does not tell case apart."""

    def capital(written: Written | None) -> Any:
        return written and replace(written, text=written.text.upper())

    lines = tuple(replace(line, text=line.text.upper()) for line in document.lines)
    items = tuple(replace(item, **{part: capital(getattr(item, part)) for part in PARTS}) for item in document.items)
    fields = {
        LABEL + name.removeprefix(LABEL).upper() if name.startswith(LABEL) else name: capital(written)
        for name, written in document.fields.items()
    }
    return replace(document, lines=lines, fields=fields, items=items)
