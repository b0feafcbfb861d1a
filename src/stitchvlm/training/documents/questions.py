"""Questions about a document, in many wordings, whose answer stands in the picture and is unique."""

import random
import re
from dataclasses import dataclass

from ..scene import Box
from .document import Document
from .lookups import MAKERS as LOOKUPS
from .reading import MAKERS as READINGS
from .reading import box_text, fractions

__all__ = ["KINDS", "Question", "ask", "ask_several", "box_text"]


@dataclass(frozen=True)
class Question:
    """A question and its answer. `boxes` are what the answer is read from, as fractions of the picture; none if that is unknown."""

    kind: str
    text: str
    answer: str
    boxes: tuple[Box, ...]


_MAKERS = LOOKUPS | READINGS
KINDS = tuple(_MAKERS)
"""Kinds of questions: the names of fields, and what else can be looked up or read."""


def ask(document: Document, kind: str, rng: random.Random) -> Question | None:
    """A question of the kind, or None where the document allows none."""
    made = _MAKERS[kind](document, rng)
    if made is None:
        return None
    text, answer = made
    return Question(kind, re.sub(" +", " ", text), answer.text, fractions(document, answer.boxes))


def ask_several(
    document: Document, count: int, rng: random.Random, shares: dict[str, float] | None = None
) -> list[Question]:
    """Up to `count` different questions, kinds drawn by their shares (all alike without any)."""
    weights = shares or dict.fromkeys(KINDS, 1.0)
    found: dict[str, Question] = {}
    for _ in range(8 * count):
        if len(found) == count:
            break
        question = ask(document, rng.choices(tuple(weights), tuple(weights.values()))[0], rng)
        if question is not None:
            found.setdefault(question.text, question)
    return list(found.values())
