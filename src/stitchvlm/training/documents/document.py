"""What a drawn or real document holds: the ground truth that questions and dense labels are made from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..scene import Box, Glyph

CHARACTERS = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~£€"
"""Every character that a drawn document can hold."""


@dataclass(frozen=True)
class Written:
    """A piece of text as it stands in the picture, and the box of each of its words, in pixels; none if its place is unknown."""

    text: str
    boxes: tuple[Box, ...]

    @property
    def box(self) -> Box:
        """The smallest box around all words."""
        return around(self.boxes)


@dataclass(frozen=True)
class Line:
    """A piece of text printed in one go. Pieces side by side, such as a name and its price, share their `row`.

    Glyphs are the characters of the text but for spaces, in order. Where only the line's box was known they were spread
    evenly over it, and are not `placed`.
    """

    text: str
    box: Box
    row: int
    glyphs: tuple[Glyph, ...] = ()
    placed: bool = True


@dataclass(frozen=True)
class Item:
    """Something bought, or one of a chart's values.

    `figure` is the box of its bar, point or slice and `value` the number that this shows; both are for charts only.
    """

    name: Written
    quantity: Written | None = None
    unit_price: Written | None = None
    price: Written | None = None
    figure: Box | None = None
    value: float | None = None


@dataclass(frozen=True)
class Document:
    """A picture's contents, all places in its pixels.

    `fields` holds what a user may look for ("total", "date", "company", ...) as it is written. `estimated` says that it was
    written down from a real picture: there may be more in that than is known, and not all lines are placed.
    """

    kind: str
    width: int
    height: int
    lines: tuple[Line, ...] = ()
    fields: dict[str, Written] = field(default_factory=dict)
    items: tuple[Item, ...] = ()
    estimated: bool = False

    def rows(self) -> list[tuple[Line, ...]]:
        """Lines that stand side by side, from left to right, rows from top to bottom."""
        found: dict[int, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.row, []).append(line)
        return [tuple(sorted(found[row], key=lambda line: line.box[0])) for row in sorted(found)]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries; a glyph is the list of its values."""
        return {
            "kind": self.kind,
            "width": self.width,
            "height": self.height,
            "lines": [
                {
                    "text": line.text,
                    "box": list(line.box),
                    "row": line.row,
                    "glyphs": [_values(g) for g in line.glyphs],
                    "placed": line.placed,
                }
                for line in self.lines
            ],
            "fields": {name: _to_json(written) for name, written in self.fields.items()},
            "items": [
                {name: _to_json(getattr(item, name)) for name in PARTS}
                | {"figure": item.figure and list(item.figure), "value": item.value}
                for item in self.items
            ],
            "estimated": self.estimated,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Document":
        """The document that `to_json` was called on."""
        lines = tuple(
            Line(
                line["text"],
                tuple(line["box"]),
                line["row"],
                tuple(Glyph(*values) for values in line["glyphs"]),
                line.get("placed", True),
            )
            for line in data["lines"]
        )
        items = tuple(
            Item(
                **{name: _from_json(item[name]) for name in PARTS},
                figure=item["figure"] and tuple(item["figure"]),
                value=item["value"],
            )
            for item in data["items"]
        )
        fields = {name: Written(**_boxes(written)) for name, written in data["fields"].items()}
        return cls(data["kind"], data["width"], data["height"], lines, fields, items, data["estimated"])


PARTS = ("name", "quantity", "unit_price", "price")
"""What may be written of an item."""


def _values(glyph: Glyph) -> list[Any]:
    return [glyph.char, glyph.x, glyph.y, glyph.width, glyph.height, glyph.begins, glyph.ends]


def _to_json(written: Written | None) -> dict[str, Any] | None:
    return None if written is None else {"text": written.text, "boxes": [list(box) for box in written.boxes]}


def _boxes(data: dict[str, Any]) -> dict[str, Any]:
    return {"text": data["text"], "boxes": tuple(tuple(box) for box in data["boxes"])}


def _from_json(data: dict[str, Any] | None) -> Written | None:
    return None if data is None else Written(**_boxes(data))


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of them."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
