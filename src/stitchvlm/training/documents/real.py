"""Real scanned receipts in a folder, read into the form of drawn ones.

The folder holds pictures and a file of JSON lines for each split. A line describes one receipt: `id`, `image` (a path within
the folder), `size` (width and height in pixels), `qa` (objects with `field` and `answer`) and `lines` (objects with `text` and
a `box` of fractions of the picture). Where single characters stand is not known: they are spread evenly over their line until
`placing` finds out. Texts are taken as they were typed, and some collections were typed in capitals whatever the paper says.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..scene import Box, Glyph
from .document import CHARACTERS, Document, Line, Written
from .reading import words_of

_CAPITALS = 0.72
"""Height of capitals in heights of a line's box, which holds descenders and some air."""

_NO_TOTALS = ("sub", "qty", "excl", "chang", "accept", "item", "cash", "gross")
"""Words of rows that hold a part of the total, or what was paid."""


@dataclass(frozen=True)
class RealReceipt:
    """A receipt that was scanned: where its picture is and what it says. Its document is marked as estimated."""

    id: str
    path: Path
    document: Document

    def picture(self) -> Image.Image:
        """The picture in grey (mode L) at the document's size."""
        with Image.open(self.path) as image:
            picture = image.convert("L")
        size = self.document.width, self.document.height
        return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def read_receipts(folder: str | Path, split: str = "train", places: str | Path | None = None) -> list[RealReceipt]:
    """All receipts of `split`.jsonl in the folder, in its order, with the characters' places of the file `places`.

    That file maps a receipt's id to its document's lines: from where to where each character reaches, or null.

    Raises:
        ValueError: with one sentence, if a file is missing, something in it is not of the form above, or places do not fit.
    """
    source = Path(folder) / f"{split}.jsonl"
    if not source.is_file():
        raise ValueError(f"{source} is missing: a folder of receipts has a file of JSON lines for every split")
    known = {} if places is None else _read_places(Path(places))
    receipts = []
    for number, text in enumerate(source.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            data = json.loads(text)
            receipt = RealReceipt(str(data["id"]), Path(folder) / data["image"], _document(data))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} of {source} does not describe a receipt: {error!r}") from error
        if not receipt.path.is_file():
            raise ValueError(f"{receipt.path} is missing, which line {number} of {source} names")
        if receipt.id in known:
            try:
                receipt = replace(receipt, document=_document(data, known[receipt.id]))
            except (LookupError, TypeError, ValueError) as error:
                raise ValueError(f"{places} does not fit receipt {receipt.id} of {source}: delete it") from error
        receipts.append(receipt)
    if not receipts:
        raise ValueError(f"{source} holds no receipt")
    return receipts


def _read_places(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as places of characters: {error}") from error
    if not isinstance(known, dict):
        raise ValueError(f"{path} holds no places of characters")
    return known


def _document(data: dict[str, Any], places: list[list[list[float]] | None] | None = None) -> Document:
    width, height = (int(length) for length in data["size"])
    if min(width, height) < 1:
        raise ValueError(f"a picture cannot be {width} x {height} pixels large")
    found = [_line(line["text"], line["box"], width, height) for line in data["lines"]]
    lines = _in_rows([line for line in found if line.glyphs])
    if places is not None:
        lines = tuple(_placed(line, spans) for line, spans in zip(lines, places, strict=True))
    fields = {str(qa["field"]): _find(str(qa["field"]), str(qa["answer"]), lines) for qa in data["qa"] if qa["answer"]}
    return Document("real", width, height, lines, fields, estimated=True)


def _line(text: str, fractions: list[float], width: int, height: int) -> Line:
    """A line with its characters spread over its box."""
    x0, y0, x1, y1 = fractions[0] * width, fractions[1] * height, fractions[2] * width, fractions[3] * height
    if not (x0 <= x1 and y0 <= y1):
        raise ValueError(f"the box of {text!r} ends before it begins")
    if min(fractions) < 0 or max(fractions) > 1:
        raise ValueError(f"the box of {text!r} reaches beyond the picture")
    text = " ".join("".join(char if char in CHARACTERS else " " for char in text).split())
    pitch = (x1 - x0) / max(1, len(text))
    middle, high = round((y0 + y1) / 2, 2), round(_CAPITALS * (y1 - y0), 2)
    glyphs = tuple(
        Glyph(
            char,
            round(x0 + (k + 0.5) * pitch, 2),
            middle,
            round(pitch, 2),
            high,
            k == 0 or text[k - 1] == " ",
            k == len(text) - 1 or text[k + 1] == " ",
        )
        for k, char in enumerate(text)
        if char != " "
    )
    return Line(text, (round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)), 0, glyphs, placed=False)


def _placed(line: Line, spans: list[list[float]] | None) -> Line:
    """The line with its characters where `spans` have them; as it is where there are none."""
    if spans is None:
        return line
    glyphs = tuple(
        replace(glyph, x=round((x0 + x1) / 2, 2), width=round(x1 - x0, 2))
        for glyph, (x0, x1) in zip(line.glyphs, spans, strict=True)
    )
    return replace(line, glyphs=glyphs, placed=True)


def _in_rows(lines: list[Line]) -> tuple[Line, ...]:
    """The lines from top to bottom, with those side by side in one row."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda each: each.box[1] + each.box[3]):
        middle = (line.box[1] + line.box[3]) / 2
        last = rows[-1][-1].box if rows else (0.0, 0.0, 0.0, 0.0)
        beside = (
            all(line.box[0] >= other.box[2] - 4 or line.box[2] <= other.box[0] + 4 for other in rows[-1])
            if rows
            else False
        )
        if beside and last[1] + 0.2 * (last[3] - last[1]) < middle < last[3] - 0.2 * (last[3] - last[1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return tuple(
        replace(line, row=number)
        for number, row in enumerate(rows)
        for line in sorted(row, key=lambda each: each.box[0])
    )


def _find(field: str, answer: str, lines: tuple[Line, ...]) -> Written:
    """The answer and the boxes of its words where it stands; without boxes if that cannot be told."""
    wanted = answer.casefold().split()
    places: list[tuple[int, tuple[Box, ...]]] = []
    for k, line in enumerate(lines):
        words = line.text.casefold().split()
        boxes = _word_boxes(line)
        for begin in range(len(words) - len(wanted) + 1):
            if all(_fits(a, b) for a, b in zip(wanted, words[begin:], strict=False)):
                places.append((k, boxes[begin : begin + len(wanted)]))
    if field == "company" and not places:
        return Written(answer, _over_lines(wanted, lines))
    if not places:
        return Written(answer, ())
    if field != "total":
        return Written(answer, places[0][1])
    rows = {line.row: "" for line in lines}
    for line in lines:
        rows[line.row] += f" {line.text.casefold()}"
    for is_it in (_names_total, _names_sum, _names_nothing):
        named = [boxes for k, boxes in places if is_it(rows[lines[k].row])]
        if named:
            return Written(answer, named[-1])
    return Written(answer, ())


def _fits(wanted: str, word: str) -> bool:
    """Whether a printed word is the wanted one, but for signs around it."""
    signs = ":;,.()$*#rm-="
    return wanted == word or wanted.strip(signs) == word.strip(signs) != ""


def _names_total(row: str) -> bool:
    """Whether a row speaks of a total, not of a part of it or of what was paid."""
    return any(word in row for word in ("total", "due", "payable")) and not any(word in row for word in _NO_TOTALS)


def _names_sum(row: str) -> bool:
    """Whether a row speaks of what is to be paid in another way, such as after rounding."""
    return any(word in row for word in ("round", "net", "amount", "amt")) and not any(
        word in row for word in _NO_TOTALS
    )


def _names_nothing(row: str) -> bool:
    """Whether a row has nothing but one amount; on skewed scans what it is may stand in the row above."""
    amounts = sum(any(char.isdigit() for char in word) for word in row.split())
    return amounts == 1 and not any(char.isalpha() for char in row.replace("rm", ""))


def _word_boxes(line: Line) -> tuple[Box, ...]:
    return tuple(word.box for word in words_of(line))


def _over_lines(wanted: list[str], lines: tuple[Line, ...]) -> tuple[Box, ...]:
    """Boxes of words that go on over the ends of lines; none if they are not found one after the other."""
    words = [
        (word, box) for line in lines for word, box in zip(line.text.casefold().split(), _word_boxes(line), strict=True)
    ]
    for begin in range(len(words) - len(wanted) + 1):
        part = words[begin : begin + len(wanted)]
        if all(_fits(a, b) for a, (b, _) in zip(wanted, part, strict=True)):
            return tuple(box for _, box in part)
    return ()
