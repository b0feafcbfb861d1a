"""Questions about a document, in many wordings, whose answer stands in the picture and is unique."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..scene import Box
from . import wordings
from .document import Document, Item, Line, Written, around
from .form import LABEL

CHARTS = ("bars", "curve", "pie")
LONGEST = 60
"""Lines with more characters are not asked for."""
_FIELD_NAMES = {"number": "document number", "phone": "phone number", "tax": "tax amount", "registration": "registration number"}


@dataclass(frozen=True)
class Question:
    """A question and its answer. `boxes` are what the answer is read from, as fractions of the picture; none if that is unknown."""

    kind: str
    text: str
    answer: str
    boxes: tuple[Box, ...]


def box_text(box: Box) -> str:
    """A box, given as fractions of the picture, as questions and answers write it: whole thousandths, `[x0, y0, x1, y1]`."""
    return "[{}, {}, {}, {}]".format(*(min(1000, max(0, round(1000 * edge))) for edge in box))


def words_of(line: Line) -> list[Written]:
    """The words of a line, each with its box in pixels."""
    found: list[Written] = []
    glyphs = iter(line.glyphs)
    for word in line.text.split():
        own = [next(glyphs) for _ in word]
        edges = ((g.x - g.width / 2, g.y - g.height / 2, g.x + g.width / 2, g.y + g.height / 2) for g in own)
        found.append(Written(word, (around(edges),)))
    return found


def _written(lines: tuple[Line, ...]) -> Written:
    """What stands in lines side by side."""
    words = [word for line in lines for word in words_of(line)]
    return Written(" ".join(word.text for word in words), tuple(word.boxes[0] for word in words))


def _fractions(document: Document, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    w, h = document.width, document.height
    return tuple((max(0.0, x0 / w), max(0.0, y0 / h), min(1.0, x1 / w), min(1.0, y1 / h)) for x0, y0, x1, y1 in boxes)


def _plain(text: str) -> str:
    """The text as it is compared: case and white space do not count."""
    return " ".join(text.casefold().split())


_Made = tuple[str, Written] | None
"""The question and what answers it."""


def _field(name: str) -> Callable[[Document, random.Random], _Made]:
    def make(document: Document, rng: random.Random) -> _Made:
        written = document.fields.get(name)
        if written is None or (name == "date" and "due date" in document.fields):
            return None
        return rng.choice(wordings.FIELDS[name]), written

    return make


def _label(document: Document, rng: random.Random) -> _Made:
    labels = [name for name in document.fields if name.startswith(LABEL)]
    if not labels:
        return None
    name = rng.choice(labels)
    return rng.choice(wordings.LABELLED).format(label=name.removeprefix(LABEL)), document.fields[name]


def _known_items(document: Document) -> list[Item]:
    """Items whose name means one thing in the document."""
    rows = [_plain(_written(row).text) for row in document.rows()]
    found = []
    for item in document.items:
        name = _plain(item.name.text)
        elsewhere = sum(name in _plain(other.name.text) for other in document.items)
        if elsewhere == 1 and sum(name in row for row in rows) <= 1:
            found.append(item)
    return found


def _item(part: str) -> Callable[[Document, random.Random], _Made]:
    def make(document: Document, rng: random.Random) -> _Made:
        having = [item for item in _known_items(document) if getattr(item, part) is not None]
        if not having or document.kind in CHARTS:
            return None
        item = rng.choice(having)
        several = item.unit_price is not None and item.price is not None and item.unit_price.text != item.price.text
        group = {"price": wordings.AMOUNT if several else wordings.PRICE, "quantity": wordings.QUANTITY}
        return rng.choice(group.get(part, wordings.UNIT_PRICE)).format(name=item.name.text), getattr(item, part)

    return make


def _count(document: Document, rng: random.Random) -> _Made:
    if not document.items or document.kind in (*CHARTS, "crop"):
        return None
    boxes = tuple(box for item in document.items for box in item.name.boxes)
    return rng.choice(wordings.COUNT), Written(str(len(document.items)), boxes)


def _alone(rows: list[tuple[Line, ...]], chosen: list[tuple[Line, ...]]) -> bool:
    """Whether no other row stands beside the chosen ones, so that it is plain what is above and below them."""
    boxes = [around([line.box for line in row]) for row in chosen]
    x0, y0, x1, y1 = around(boxes)
    for row in rows:
        if row not in chosen:
            a0, b0, a1, b1 = around([line.box for line in row])
            if b0 < y1 and b1 > y0 and any(a1 < box[0] or a0 > box[2] for box in boxes):
                return False
    return True


def _after(document: Document, rng: random.Random) -> _Made:
    if document.kind in CHARTS:
        return None
    rows = document.rows()
    texts = [_written(row) for row in rows]
    plain = [_plain(written.text) for written in texts]
    choices = list(range(len(rows) - 1))
    rng.shuffle(choices)
    for k in choices[:12]:
        begins = sum(other.startswith(plain[k]) for other in plain)
        short = 3 <= len(plain[k]) <= LONGEST and len(plain[k + 1]) <= LONGEST
        if short and begins == 1 and '"' not in plain[k] and _alone(rows, rows[k : k + 2]):
            return rng.choice(wordings.AFTER).format(text=texts[k].text), texts[k + 1]
    return None


def _begins(document: Document, rng: random.Random) -> _Made:
    rows = document.rows()
    texts = [_written(row) for row in rows]
    plain = [_plain(written.text) for written in texts]
    choices = list(range(len(rows)))
    rng.shuffle(choices)
    for k in choices[:12]:
        words = texts[k].text.split()
        start = " ".join(words[: rng.randint(1, max(1, len(words) - 1))])
        only = sum(other.startswith(_plain(start)) for other in plain) == 1
        if only and len(words) > 1 and len(start) >= 3 and len(plain[k]) <= LONGEST and '"' not in start and _alone(rows, rows[k : k + 1]):
            return rng.choice(wordings.BEGINS).format(text=start), texts[k]
    return None


def _end(index: int, group: tuple[str, ...]) -> Callable[[Document, random.Random], _Made]:
    def make(document: Document, rng: random.Random) -> _Made:
        rows = document.rows()
        if not rows or document.kind == "crop" or document.estimated:
            return None
        middle = [(around([line.box for line in row])[1] + around([line.box for line in row])[3]) / 2 for row in rows]
        extreme = min(middle) if index == 0 else max(middle)
        written = _written(rows[index])
        if middle[index] != extreme or len(written.text) > LONGEST or not _alone(rows, [rows[index]]):
            return None
        return rng.choice(group), written

    return make


def _whole(document: Document, boxes: tuple[Box, ...]) -> Written:
    """The answer to where something is."""
    box = around(boxes)
    return Written(box_text(_fractions(document, (box,))[0]), (box,))


def _unique_lines(document: Document) -> list[Line]:
    """Lines whose text is in no other line."""
    plain = [_plain(line.text) for line in document.lines]
    return [
        line
        for line, text in zip(document.lines, plain, strict=True)
        if 3 <= len(text) <= LONGEST and '"' not in text and sum(text in other for other in plain) == 1
    ]


def _where(document: Document, rng: random.Random) -> _Made:
    names = [n for n in ("total", "date", "company", "number", "phone", "tax", "subtotal") if n in document.fields]
    names = [n for n in names if document.fields[n].boxes and (n != "date" or "due date" not in document.fields)]
    if names and rng.random() < 0.5:
        name = rng.choice(names)
        text = rng.choice(wordings.WHERE_FIELD).format(name=_FIELD_NAMES.get(name, name))
        return text, _whole(document, document.fields[name].boxes)
    lines = _unique_lines(document)
    if not lines:
        return None
    line = rng.choice(lines)
    return rng.choice(wordings.WHERE).format(text=line.text), _whole(document, (line.box,))


def _at(document: Document, rng: random.Random) -> _Made:
    lines = [line for line in document.lines if len(line.text) <= LONGEST and len(line.glyphs) > 1]
    if not lines:
        return None
    line = rng.choice(lines)
    box = box_text(_fractions(document, (line.box,))[0])
    return rng.choice(wordings.AT).format(box=box), _written((line,))


def _value(document: Document, rng: random.Random) -> _Made:
    written = [item for item in document.items if item.quantity is not None]
    if document.kind not in CHARTS or not written:
        return None
    item = rng.choice(written)
    return rng.choice(wordings.VALUE).format(name=item.name.text), item.quantity or item.name


def _extreme(pick: Callable, group: tuple[str, ...]) -> Callable[[Document, random.Random], _Made]:
    def make(document: Document, rng: random.Random) -> _Made:
        if document.kind not in CHARTS or not document.items:
            return None
        return rng.choice(group), pick(document.items, key=lambda item: item.value).name

    return make


def _figures(document: Document, rng: random.Random) -> _Made:
    if document.kind not in CHARTS:
        return None
    boxes = tuple(item.figure for item in document.items if item.figure is not None)
    return rng.choice(wordings.FIGURES[document.kind]), Written(str(len(boxes)), boxes)


_MAKERS: dict[str, Callable[[Document, random.Random], _Made]] = {
    **{name: _field(name) for name in wordings.FIELDS},
    "label": _label,
    "price": _item("price"),
    "unit_price": _item("unit_price"),
    "quantity": _item("quantity"),
    "count": _count,
    "after": _after,
    "begins": _begins,
    "first": _end(0, wordings.FIRST),
    "last": _end(-1, wordings.LAST),
    "where": _where,
    "at": _at,
    "value": _value,
    "largest": _extreme(max, wordings.LARGEST),
    "smallest": _extreme(min, wordings.SMALLEST),
    "figures": _figures,
}
KINDS = tuple(_MAKERS)
"""Kinds of questions: a field's name, or what the functions above ask for."""


def ask(document: Document, kind: str, rng: random.Random) -> Question | None:
    """A question of the kind, or None where the document allows none."""
    made = _MAKERS[kind](document, rng)
    if made is None:
        return None
    text, answer = made
    return Question(kind, re.sub(" +", " ", text), answer.text, _fractions(document, answer.boxes))


def ask_several(document: Document, count: int, rng: random.Random, shares: dict[str, float] | None = None) -> list[Question]:
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
