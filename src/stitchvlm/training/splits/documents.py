"""The split of drawn documents: whole ones of all kinds, receipts most, and what the recipe `receipts` teaches about them."""

import random
from collections import Counter
from typing import Any

from PIL import Image

from ..documents import Document
from ..documents.document import around
from ..documents.questions import Question
from ..receipts import READ_SHARES
from ..worlds import DOCUMENTS as WORLD
from ..worlds import Papers, draw
from .archive import Split

QUESTIONS_A_PICTURE = 6
_OF_A_KIND = 2
KINDS = (
    *("receipt", "invoice", "receipt", "bars", "slip", "receipt", "form", "pie"),
    *("receipt", "ticket", "receipt", "prices", "slip", "curve", "receipt", "sign"),
)
"""Of picture after picture, again and again: about in the shares of the recipe, mixed so that a few pictures are of many kinds."""


def _varied(asked: list[Question]) -> list[Question]:
    """Those that ask for something else than the ones before: few of a kind, and no place twice."""
    found: dict[object, Question] = {}
    kinds: Counter[str] = Counter()
    for question in asked:
        place = tuple(round(edge, 2) for edge in around(question.boxes)) if question.boxes else question.answer
        if place not in found and kinds[question.kind] < _OF_A_KIND:
            found[place] = question
            kinds[question.kind] += 1
    return list(found.values())


def rows_about(document: Document, rng: random.Random) -> list[dict[str, Any]]:
    """What the split asks about a document."""
    asked = _varied(WORLD.ask(document, 3 * QUESTIONS_A_PICTURE, READ_SHARES, rng))
    return [
        {
            "kind": question.kind,
            "question": question.text,
            "answer": question.answer,
            "boxes": [[round(edge, 4) for edge in box] for box in question.boxes],
            "metric": "iou" if question.kind == "where" else "exact",
        }
        for question in asked[:QUESTIONS_A_PICTURE]
    ]


def _draw(seed: str, number: int, fonts: tuple[str, ...]) -> tuple[Image.Image, list[dict[str, Any]]]:
    """In grey, as whole documents are in training, but with their margins: boxes in questions and answers are of the whole picture,
    whatever a model is shown of it.
    """
    picture, document, _ = draw(Papers((KINDS[number % len(KINDS)],), grey=True), seed, number, fonts)
    return picture, rows_about(document, random.Random(f"{seed}/questions/{number}"))


DOCUMENTS = Split("test-documents-1", 85, _draw)
