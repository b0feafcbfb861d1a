"""What of a document is certain enough to be asked for: lines of which all is seen, fields that are the only ones of their kind."""

import re

from .document import Document, Line, Written

CHARTS = ("bars", "curve", "pie")
_LABELLED = frozenset(
    "total|subtotal|tax|cash|change|rounding|discount|service|number|tax_number|cashier|table|pieces|due date".split(
        "|"
    )
)
"""Fields that only a label to their left tells from others."""
_MISTAKEN = {"date": ("due date",), "phone": ("other phone",), "discount": ("item discount",)}
"""Fields beside which another one cannot be asked for."""
_RIVALS = {"phone": ("customer care", "attn:"), "time": ("opening hours",)}
"""Begin lines that hold another of what the field is."""
_LOSS = re.compile(r"-\D{0,4}\d[\d.,]*\D{0,4}")
"""An amount below zero."""


def plain(text: str) -> str:
    """The text as it is compared: case and white space do not count."""
    return " ".join(text.casefold().split())


def text_of(row: tuple[Line, ...]) -> str:
    """The text of lines side by side, also of those that are not sure."""
    return " ".join(line.text for line in row)


def lines_of(document: Document, written: Written) -> list[Line]:
    """The lines that hold the middle of one of its boxes."""
    middles = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in written.boxes]
    return [
        line
        for line in document.lines
        if any(line.box[0] <= x <= line.box[2] and line.box[1] <= y <= line.box[3] for x, y in middles)
    ]


def is_chart(document: Document) -> bool:
    """Whether it is a chart, or a part of one in which some of it is named."""
    return document.kind in CHARTS or any(item.figure is not None for item in document.items)


def is_sure(document: Document, line: Line) -> bool:
    """Whether the line says what can be seen of it.

    Where paper is curled, the edge of a crop may cut the middle out of a line. Of a line whose characters are not placed it is
    not known which of them the edge of a crop cuts off.
    """
    if len(line.glyphs) != len(line.text.replace(" ", "")):
        return False
    spare = 0.0 if line.placed or document.kind != "crop" else 2 * max(glyph.width for glyph in line.glyphs)
    return spare == 0.0 or (line.box[0] >= spare and line.box[2] <= document.width - spare)


def are_sure(document: Document, *rows: tuple[Line, ...]) -> bool:
    """Whether all lines of these rows are."""
    return all(is_sure(document, line) for row in rows for line in row)


def is_whole(document: Document, written: Written) -> bool:
    """Whether all of it is seen: a guessed place at the edge of a crop may be cut off."""
    guessed = [line for line in lines_of(document, written) if not line.placed]
    if not guessed or document.kind != "crop":
        return True
    spare = 2 * max(glyph.width for line in guessed for glyph in line.glyphs)
    return (
        min(box[0] for box in written.boxes) >= spare and max(box[2] for box in written.boxes) <= document.width - spare
    )


def is_located(document: Document, written: Written) -> bool:
    """Whether its boxes are no guess: its characters are placed, or it takes up the whole of its lines."""
    lines = lines_of(document, written)
    words = sum(len(line.text.split()) for line in lines)
    return bool(written.boxes) and (all(line.placed for line in lines) or words == len(written.boxes))


def is_told(document: Document, name: str, written: Written) -> bool:
    """Whether a crop shows what tells the field from others: its label may lie outside."""
    if document.kind != "crop" or name not in _LABELLED or not written.boxes:
        return True
    own = {line.row for line in lines_of(document, written)}
    left = written.boxes[0][0]
    before = (g.char for line in document.lines if line.row in own for g in line.glyphs if g.x < left)
    return any(char.isalpha() for char in before)


def is_certain(document: Document, name: str, written: Written) -> bool:
    """Whether a field can be asked for: nothing else is what it is, and what tells it from others and all of it can be seen."""
    return is_only(document, name) and is_told(document, name, written) and is_whole(document, written)


def is_only(document: Document, name: str) -> bool:
    """Whether nothing else in the document is what the field is."""
    if any(other in document.fields for other in _MISTAKEN.get(name, ())):
        return False
    if name == "discount":  # goods may have one of their own
        rounding = document.fields.get("rounding")
        losses = [line.text for line in document.lines if _LOSS.fullmatch(line.text)]
        return len([text for text in losses if rounding is None or text != rounding.text]) <= 1
    return not any(plain(line.text).startswith(_RIVALS.get(name, ())) for line in document.lines)
