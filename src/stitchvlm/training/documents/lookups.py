"""Questions about single facts: fields and labels, items with their prices, values of charts."""

import random
from collections.abc import Callable

from . import wordings
from .certain import CHARTS, is_chart, is_only, is_told, is_whole, plain, text_of
from .document import Document, Item, Line, Written
from .form import LABEL
from .reading import Made


def _field(name: str) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        written = document.fields.get(name)
        if written is None or not is_only(document, name):
            return None
        if not is_told(document, name, written) or not is_whole(document, written):
            return None
        return rng.choice(wordings.FIELDS[name]), written

    return make


def _label(document: Document, rng: random.Random) -> Made:
    shown = {name: _line_of(document, name.removeprefix(LABEL)) for name in document.fields if name.startswith(LABEL)}
    names = [name for name, line in shown.items() if line is not None]
    if not names:
        return None
    name = rng.choice(names)
    line, written = shown[name], document.fields[name]
    below = line is not None and written.boxes[0][1] >= line.box[3]
    group = [wording for wording in wordings.LABELLED if below or "under" not in wording]
    return rng.choice(group).format(label=name.removeprefix(LABEL)), written


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
        several = item.unit_price is not None and item.price is not None and item.unit_price.text != item.price.text
        group = {"price": wordings.AMOUNT if several else wordings.PRICE, "quantity": wordings.QUANTITY}
        return rng.choice(group.get(part, wordings.UNIT_PRICE)).format(name=item.name.text), getattr(item, part)

    return make


def _count(document: Document, rng: random.Random) -> Made:
    if not document.items or document.kind in (*CHARTS, "crop"):
        return None
    boxes = tuple(box for item in document.items for box in item.name.boxes)
    return rng.choice(wordings.COUNT), Written(str(len(document.items)), boxes)


def _value(document: Document, rng: random.Random) -> Made:
    written = [item for item in document.items if item.quantity is not None]
    if not is_chart(document) or not written:
        return None
    item = rng.choice(written)
    return rng.choice(wordings.VALUE).format(name=item.name.text), item.quantity or item.name


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
