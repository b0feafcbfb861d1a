"""Questions about what stands where: the line after a text, the first and the last, where a text is, what is in a box."""

import random
from collections.abc import Callable

from ..scene import Box
from . import wordings
from .certain import are_sure, is_certain, is_chart, is_located, is_sure, plain, text_of
from .document import Document, Line, Written, around

LONGEST = 60
"""Lines with more characters are not asked for."""
_SHORTEST = 3
"""Nor are the letters of a logo taken for a line."""
_FIELD_NAMES = {
    "company": "company name",
    "number": "document number",
    "phone": "phone number",
    "tax": "tax amount",
    "registration": "registration number",
}

Made = tuple[str, Written] | None
"""The question and what answers it."""


def box_text(box: Box) -> str:
    """A box, given as fractions of the picture, as questions and answers write it: whole thousandths, `[x0, y0, x1, y1]`."""
    return "[{}, {}, {}, {}]".format(*(min(1000, max(0, round(1000 * edge))) for edge in box))


def words_of(line: Line) -> list[Written]:
    """The words of a line, each with its box in pixels."""
    found: list[Written] = []
    glyphs = iter(line.glyphs)
    for word in line.text.split():
        own = [next(glyphs) for _ in word]
        found.append(Written(word, (around(glyph.box for glyph in own),)))
    return found


def written_in(lines: tuple[Line, ...]) -> Written:
    """What stands in lines side by side."""
    words = [word for line in lines for word in words_of(line)]
    return Written(" ".join(word.text for word in words), tuple(word.boxes[0] for word in words))


def fractions(document: Document, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    w, h = document.width, document.height
    return tuple((max(0.0, x0 / w), max(0.0, y0 / h), min(1.0, x1 / w), min(1.0, y1 / h)) for x0, y0, x1, y1 in boxes)


def _alone(rows: list[tuple[Line, ...]], chosen: list[tuple[Line, ...]]) -> bool:
    """Whether no other row stands beside the chosen ones, so that it is plain what is above and below them."""
    boxes = [around([line.box for line in row]) for row in chosen]
    _, y0, _, y1 = around(boxes)
    for row in rows:
        if row not in chosen:
            a0, b0, a1, b1 = around([line.box for line in row])
            if b0 < y1 and b1 > y0 and any(a1 < box[0] or a0 > box[2] for box in boxes):
                return False
    return True


def _follows(first: tuple[Line, ...], second: tuple[Line, ...]) -> bool:
    """Whether the second row stands below the first, not above or beside it, as rows of charts and of skewed scans may."""
    a, b = (around([line.box for line in row]) for row in (first, second))
    beside = (b[0] > a[2] or b[2] < a[0]) and b[1] < a[3]
    return a[1] + a[3] < b[1] + b[3] and not beside


def _after(document: Document, rng: random.Random) -> Made:
    if is_chart(document):
        return None
    rows = document.rows()
    compared = [plain(text_of(row)) for row in rows]
    choices = list(range(len(rows) - 1))
    rng.shuffle(choices)
    for k in choices[:12]:
        only = sum(compared[k] in other for other in compared) == 1
        short = _SHORTEST <= len(compared[k]) <= LONGEST and len(compared[k + 1]) <= LONGEST
        near = _follows(rows[k], rows[k + 1]) and _alone(rows, rows[k : k + 2])
        if short and only and near and '"' not in compared[k] and are_sure(document, *rows[k : k + 2]):
            return rng.choice(wordings.AFTER).format(text=text_of(rows[k])), written_in(rows[k + 1])
    return None


def _begins(document: Document, rng: random.Random) -> Made:
    rows = document.rows()
    compared = [plain(text_of(row)) for row in rows]
    choices = list(range(len(rows)))
    rng.shuffle(choices)
    for k in choices[:12]:
        words = text_of(rows[k]).split()
        start = " ".join(words[: rng.randint(1, max(1, len(words) - 1))])
        only = sum(other.startswith(plain(start)) for other in compared) == 1
        if (
            only
            and len(words) > 1
            and len(start) >= _SHORTEST
            and len(compared[k]) <= LONGEST
            and '"' not in start
            and _alone(rows, rows[k : k + 1])
            and are_sure(document, rows[k])
        ):
            return rng.choice(wordings.BEGINS).format(text=start), written_in(rows[k])
    return None


def _end(index: int, group: tuple[str, ...]) -> Callable[[Document, random.Random], Made]:
    def make(document: Document, rng: random.Random) -> Made:
        rows = document.rows()
        if not rows or document.kind == "crop" or document.estimated:
            return None
        middle = [(around([line.box for line in row])[1] + around([line.box for line in row])[3]) / 2 for row in rows]
        extreme = min(middle) if index == 0 else max(middle)
        written = written_in(rows[index])
        asked_for = _SHORTEST <= len(written.text) <= LONGEST
        if middle[index] != extreme or not asked_for or not _alone(rows, [rows[index]]):
            return None
        return rng.choice(group), written

    return make


def _whole(document: Document, boxes: tuple[Box, ...]) -> Written:
    """The answer to where something is."""
    box = around(boxes)
    return Written(box_text(fractions(document, (box,))[0]), (box,))


def _unique_lines(document: Document) -> list[Line]:
    """Lines whose text is in no other line."""
    compared = [plain(line.text) for line in document.lines]
    return [
        line
        for line, text in zip(document.lines, compared, strict=True)
        if _SHORTEST <= len(text) <= LONGEST
        and '"' not in text
        and sum(text in other for other in compared) == 1
        and is_sure(document, line)
    ]


def _is_findable(document: Document, name: str, written: Written) -> bool:
    """Whether it is certain that this is the field, and where it stands."""
    return is_certain(document, name, written) and is_located(document, written)


def _where(document: Document, rng: random.Random) -> Made:
    names = [n for n in ("total", "date", "company", "number", "phone", "tax", "subtotal") if n in document.fields]
    names = [n for n in names if _is_findable(document, n, document.fields[n])]
    if names and rng.random() < 0.5:
        name = rng.choice(names)
        text = rng.choice(wordings.WHERE_FIELD).format(name=_FIELD_NAMES.get(name, name))
        return text, _whole(document, document.fields[name].boxes)
    lines = _unique_lines(document)
    if not lines:
        return None
    line = rng.choice(lines)
    return rng.choice(wordings.WHERE).format(text=line.text), _whole(document, (written_in((line,)).box,))


def _is_apart(document: Document, line: Line) -> bool:
    """Whether the line's box holds no character of another line, as that of a slanting one may."""
    x0, y0, x1, y1 = line.box
    others = (glyph for other in document.lines if other is not line for glyph in other.glyphs)
    return not any(x0 <= glyph.x <= x1 and y0 <= glyph.y <= y1 for glyph in others)


def _at(document: Document, rng: random.Random) -> Made:
    lines = [line for line in document.lines if len(line.text) <= LONGEST and len(line.glyphs) > 1]
    lines = [line for line in lines if is_sure(document, line)]
    if not lines:
        return None
    line = rng.choice(lines)
    if not _is_apart(document, line):
        return None
    written = written_in((line,))
    box = box_text(fractions(document, (written.box,))[0])
    return rng.choice(wordings.AT).format(box=box), written


MAKERS: dict[str, Callable[[Document, random.Random], Made]] = {
    "after": _after,
    "begins": _begins,
    "first": _end(0, wordings.FIRST),
    "last": _end(-1, wordings.LAST),
    "where": _where,
    "at": _at,
}
"""What makes a question of each kind, or None where the document allows none."""
