"""The split of drawn documents: whole ones of all kinds, receipts most, and what the recipe `receipts` teaches about them."""

import random
from typing import Any

from PIL import Image

from ..receipts import READ_SHARES
from ..worlds import DOCUMENTS as WORLD
from ..worlds import Papers, draw
from .archive import Split

QUESTIONS_A_PICTURE = 6
KINDS = (
    *("receipt", "invoice", "receipt", "bars", "slip", "receipt", "form", "pie"),
    *("receipt", "ticket", "receipt", "prices", "slip", "curve", "receipt", "sign"),
)
"""Of picture after picture, again and again: in the shares of the recipe, so mixed that the first few questions are of many kinds."""


def _draw(seed: str, number: int, fonts: tuple[str, ...]) -> tuple[Image.Image, list[dict[str, Any]]]:
    """In grey, as whole documents are in training. No two questions have one answer at one place."""
    picture, document, _ = draw(Papers((KINDS[number % len(KINDS)],), grey=True), seed, number, fonts)
    rng = random.Random(f"{seed}/questions/{number}")
    asked = WORLD.ask(document, 2 * QUESTIONS_A_PICTURE, READ_SHARES, rng)
    about = {(question.answer, question.boxes): question for question in asked}
    return picture, [
        {
            "kind": question.kind,
            "question": question.text,
            "answer": question.answer,
            "boxes": [[round(edge, 4) for edge in box] for box in question.boxes],
            "metric": "iou" if question.kind == "where" else "exact",
        }
        for question in list(about.values())[:QUESTIONS_A_PICTURE]
    ]


DOCUMENTS = Split("test-documents-1", 85, _draw)
