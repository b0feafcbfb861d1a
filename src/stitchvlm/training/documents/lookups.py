"""Questions about single facts: fields and labels, items with their prices, values of charts."""

import random
import re
from collections.abc import Callable

from . import wordings
from .certain import CHARTS, is_certain, is_chart, plain, text_of
from .document import Document, Item, Line, Written
from .form import LABEL
from .reading import Made
from .suiting import suited

_NO_NOUN = re.compile("from|to|departs|valid until", re.IGNORECASE)
"""Labels that cannot be spoken of as `the ...`."""


def _field(name: str) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        written = document.fields.get(name)
        if written is None or not is_certain(document, name, written):
            return None
        return rng.choice(suited(wordings.FIELDS[name], document)), written

    return make


def _label(document: Document, rng: random.Random) -> Made:
    shown = {name: _line_of(document, name.removeprefix(LABEL)) for name in document.fields if name.startswith(LABEL)}
    names = [name for name, line in shown.items() if line is not None]
    if not names:
        return None
    name = rng.choice(names)
    label, line, written = name.removeprefix(LABEL), shown[name], document.fields[name]
    below = line is not None and written.boxes[0][1] >= line.box[3]
    unless = "" if below else "under"
    if _NO_NOUN.fullmatch(label):
        unless = "(the|Which) {label}|under"
    text = rng.choice(suited(wordings.LABELLED, document, unless)).format(label=label)
    return text.replace("..", "."), written


def _line_of(document: Document, label: str) -> Line | None:
    """The line that a label stands in, alone or before its value."""
    words = plain(label).split()
    begun = (line for line in document.lines if plain(line.text).replace(":", " ").split()[: len(words)] == words)
    return next(begun, None)


def _known_items(document: Document) -> list[Item]:
    """Items whose name means one thing in the document."""
    rows = [plain(text_of(row)) for row in document.rows()]
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
        if not having or is_chart(document):
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
    if not is_chart(document) or not written:
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
