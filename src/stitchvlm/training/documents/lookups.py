"""Questions about single facts: fields and labels, items with their prices, values of charts."""

import random
import re
from collections.abc import Callable

from . import wordings
from .document import Document, Item, Written
from .form import LABEL
from .reading import CHARTS, Made, plain, written_in
from .suiting import is_clear, suited

_NO_NOUN = re.compile("from|to|departs|valid until", re.IGNORECASE)
"""Labels that cannot be spoken of as `the ...`."""


def _field(name: str) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        if not is_clear(document, name):
            return None
        return rng.choice(suited(wordings.FIELDS[name], document)), document.fields[name]

    return make


def _label(document: Document, rng: random.Random) -> Made:
    labels = [name for name in document.fields if name.startswith(LABEL)]
    if not labels:
        return None
    name = rng.choice(labels)
    label, value = name.removeprefix(LABEL), document.fields[name]
    unless = "under" if _is_beside(document, label, value) else ""
    if _NO_NOUN.fullmatch(label):
        unless = "(the|Which) {label}|under"
    text = rng.choice(suited(wordings.LABELLED, document, unless)).format(label=label)
    return text.replace("..", "."), value


def _is_beside(document: Document, label: str, value: Written) -> bool:
    """Whether a label's value stands in its row, and not below it."""
    rows = [[line.text for line in row] for row in document.rows()]
    return any(label in " ".join(row) and value.text in " ".join(row) for row in rows)


def _known_items(document: Document) -> list[Item]:
    """Items whose name means one thing in the document."""
    rows = [plain(written_in(row).text) for row in document.rows()]
    found = []
    for item in document.items:
        name = plain(item.name.text)
        elsewhere = sum(name in plain(other.name.text) for other in document.items)
        if elsewhere == 1 and sum(name in row for row in rows) <= 1:
            found.append(item)
    return found


def _item(part: str) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        having = [item for item in _known_items(document) if getattr(item, part) is not None]
        if not having or document.kind in CHARTS:
            return None
        item = rng.choice(having)
        several = item.quantity is not None and item.quantity.text != "1"
        group = {"price": wordings.AMOUNT if several else wordings.PRICE, "quantity": wordings.QUANTITY}
        weighed = item.quantity is not None and not item.quantity.text.isdecimal()
        unless = r"How many|\b(one|single|each|all)\b" if weighed else "How much of"
        text = rng.choice(suited(group.get(part, wordings.UNIT_PRICE), document, unless))
        return text.format(name=item.name.text), getattr(item, part)

    return make


def _count(document: Document, rng: random.Random) -> Made:
    if not document.items or document.kind in (*CHARTS, "crop"):
        return None
    boxes = tuple(box for item in document.items for box in item.name.boxes)
    return rng.choice(suited(wordings.COUNT, document)), Written(str(len(document.items)), boxes)


def _value(document: Document, rng: random.Random) -> Made:
    written = [item for item in document.items if item.quantity is not None]
    if document.kind not in CHARTS or not written:
        return None
    item = rng.choice(written)
    return rng.choice(suited(wordings.VALUE, document)).format(name=item.name.text), item.quantity or item.name


def _extreme(pick: Callable, group: tuple[str, ...]) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        if document.kind not in CHARTS or not document.items:
            return None
        return rng.choice(group), pick(document.items, key=lambda item: item.value).name

    return make


def _figures(document: Document, rng: random.Random) -> Made:
    if document.kind not in CHARTS:
        return None
    boxes = tuple(item.figure for item in document.items if item.figure is not None)
    return rng.choice(wordings.FIGURES[document.kind]), Written(str(len(boxes)), boxes)


MAKERS: dict[str, Callable[[Document, random.Random], Made]] = {
    **{name: _field(name) for name in wordings.FIELDS},
    "label": _label,
    "price": _item("price"),
    "unit_price": _item("unit_price"),
    "quantity": _item("quantity"),
    "count": _count,
    "value": _value,
    "largest": _extreme(max, wordings.LARGEST),
    "smallest": _extreme(min, wordings.SMALLEST),
    "figures": _figures,
}
"""What makes a question of each kind, or None where the document allows none."""
