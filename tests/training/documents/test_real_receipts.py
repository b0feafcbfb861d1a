"""Real receipts are read into the form of drawn ones, and broken folders are refused in one sentence."""

import json
import random

import pytest
from PIL import Image, ImageDraw

from stitchvlm.training.documents.augment import augment, cut_margins, cut_square
from stitchvlm.training.documents.document import Document
from stitchvlm.training.documents.questions import ask
from stitchvlm.training.documents.real import read_receipts
from stitchvlm.training.grid import Tiles

LINES = [
    {"text": "EXAMPLE SHOP", "box": [0.2, 0.05, 0.8, 0.1]},
    {"text": "AND SONS", "box": [0.3, 0.11, 0.7, 0.16]},
    {"text": "DATE: 01/02/2020", "box": [0.1, 0.2, 0.6, 0.25]},
    {"text": "SUBTOTAL", "box": [0.1, 0.5, 0.4, 0.55]},
    {"text": "5.00", "box": [0.7, 0.505, 0.9, 0.555]},
    {"text": "TOTAL", "box": [0.1, 0.6, 0.4, 0.65]},
    {"text": "RM5.00", "box": [0.7, 0.595, 0.9, 0.645]},
    {"text": "CASH 5.00", "box": [0.1, 0.7, 0.5, 0.75]},
]
ANSWERS = {"total": "5.00", "date": "01/02/2020", "company": "EXAMPLE SHOP AND SONS"}


def entry(name: str) -> dict:
    return {
        "id": name,
        "image": f"images/{name}.png",
        "size": [200, 400],
        "qa": [{"question": "?", "field": field, "answer": answer} for field, answer in ANSWERS.items()],
        "lines": LINES,
    }


@pytest.fixture
def folder(tmp_path):
    """Two receipts whose lines are black bars."""
    (tmp_path / "images").mkdir()
    for name in ("one", "two"):
        picture = Image.new("L", (200, 400), 255)
        for line in LINES:
            x0, y0, x1, y1 = line["box"]
            ImageDraw.Draw(picture).rectangle((200 * x0, 400 * y0 + 5, 200 * x1 - 1, 400 * y1 - 5), fill=0)
        picture.save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(entry(name)) for name in ("one", "two")) + "\n")
    return tmp_path


def test_receipts_are_read(folder):
    receipts = read_receipts(folder)
    assert [receipt.id for receipt in receipts] == ["one", "two"]
    document = receipts[0].document
    assert document.estimated and (document.width, document.height) == receipts[0].picture().size == (200, 400)
    assert [" ".join(line.text for line in row) for row in document.rows()] == [
        *("EXAMPLE SHOP", "AND SONS", "DATE: 01/02/2020", "SUBTOTAL 5.00", "TOTAL RM5.00", "CASH 5.00")
    ]
    assert {name: written.text for name, written in document.fields.items()} == ANSWERS
    total = document.fields["total"].box
    assert 139 <= total[0] < total[2] <= 181 and 238 <= total[1] < total[3] <= 258
    assert len(document.fields["company"].boxes) == 4
    first = document.lines[0].glyphs[0]
    assert (first.char, first.x, first.width) == ("E", 45.0, 10.0)
    assert Document.from_json(json.loads(json.dumps(document.to_json()))) == document


def test_receipts_are_read_with_the_places_of_their_characters(folder):
    plain = read_receipts(folder)[0]
    spans = [[[10.0 * k, 10.0 * k + 4] for k, _ in enumerate(line.glyphs)] for line in plain.document.lines]
    places = folder / "places.json"
    places.write_text(json.dumps({plain.id: [spans[0], *[None] * (len(spans) - 1)]}))
    first, second = read_receipts(folder, places=places)[:2]
    assert [line.placed for line in first.document.lines] == [True] + [False] * (len(spans) - 1)
    assert [glyph.x for glyph in first.document.lines[0].glyphs] == [10.0 * k + 2 for k in range(len(spans[0]))]
    assert first.document.lines[1:] == plain.document.lines[1:]
    assert [line.text for line in first.document.lines] == [line.text for line in plain.document.lines]
    assert not any(line.placed for line in second.document.lines)


def test_what_is_asked_has_its_place(folder):
    document = read_receipts(folder)[0].document
    assert ask(document, "date", random.Random(0)).answer == "01/02/2020"
    assert ask(document, "first", random.Random(0)) is None


def test_augmented_receipts_keep_ink_in_their_boxes(folder):
    receipt = read_receipts(folder)[0]
    shapes = set()
    for seed in range(12):
        picture, document = augment(receipt.picture(), receipt.document, random.Random(seed))
        again, repeated = augment(receipt.picture(), receipt.document, random.Random(seed))
        assert picture.tobytes() == again.tobytes() and document == repeated
        assert picture.size == (document.width, document.height)
        assert document.fields.keys() == ANSWERS.keys() and len(document.lines) == len(LINES)
        shapes.add(picture.size)
        for line in document.lines:
            middle = line.glyphs[len(line.glyphs) // 2]
            assert picture.getpixel((round(middle.x), round(middle.y))) < 100
    assert len(shapes) > 8


def test_squares_of_receipts_hold_their_lines(folder):
    receipt = read_receipts(folder)[0]
    for seed in range(6):
        picture, part = cut_square(receipt.picture(), receipt.document, random.Random(seed), side=120)
        assert picture.size == (part.width, part.height) == (120, 120) and part.kind == "crop" and part.lines
        for line in part.lines:
            assert any(line.text in whole.text for whole in receipt.document.lines)
            middle = line.glyphs[len(line.glyphs) // 2]
            assert picture.getpixel((min(119, round(middle.x)), min(119, round(middle.y)))) < 100
    with pytest.raises(ValueError, match="nothing to cut a square round"):
        cut_square(receipt.picture(), Document("real", 200, 400), random.Random(0))


def test_a_page_without_margins_says_what_it_said(folder):
    """Everything moves by the same way, and what was written stays where it was on the paper."""
    document = read_receipts(folder)[0].document
    picture = Image.new("L", (200, 400), 255)
    for x0, y0, x1, y1 in (line.box for line in document.lines):
        for x in range(round(x0), round(x1), 5):
            ImageDraw.Draw(picture).rectangle((x, round(y0) + 2, x + 1, round(y1) - 2), fill=0)
    cut, moved = cut_margins(picture, document, Tiles(448, 14, 4, 8))
    before, after = ([glyph for line in each.lines for glyph in line.glyphs] for each in (document, moved))
    left, top = (round(a - b) for a, b in ((before[0].x, after[0].x), (before[0].y, after[0].y)))
    assert cut.size == (moved.width, moved.height) and cut.height < 400 - 2 * 20 and left > 0 and top > 0
    assert [line.text for line in moved.lines] == [line.text for line in document.lines]
    assert [(glyph.char, glyph.x - left, glyph.y - top) for glyph in before] == [
        (glyph.char, pytest.approx(glyph.x), pytest.approx(glyph.y)) for glyph in after
    ]
    assert moved.fields["total"].boxes[0][0] == pytest.approx(document.fields["total"].boxes[0][0] - left, abs=0.01)
    assert cut.tobytes() == picture.crop((left, top, left + cut.width, top + cut.height)).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "train.jsonl").unlink(), "train.jsonl is missing: a folder of receipts has a file"),
        (lambda folder: (folder / "train.jsonl").write_text(""), "holds no receipt"),
        (lambda folder: (folder / "images" / "two.png").unlink(), "two.png is missing, which line 2 of .* names"),
        (lambda folder: (folder / "train.jsonl").write_text("{"), "line 1 of .* does not describe a receipt"),
        (
            lambda folder: (folder / "train.jsonl").write_text('{"id": 1}'),
            "line 1 of .* does not describe a receipt: KeyError",
        ),
        (
            lambda folder: (folder / "train.jsonl").write_text(
                json.dumps(entry("one") | {"lines": [{"text": "A", "box": [1]}]})
            ),
            "line 1 of .* does not describe a receipt",
        ),
        (
            lambda folder: (folder / "train.jsonl").write_text(
                json.dumps(entry("one") | {"lines": [{"text": "A", "box": [0.1, 1.2, 0.2, 1.3]}]})
            ),
            "line 1 of .* does not describe a receipt: .*the box of 'A' reaches beyond the picture",
        ),
    ],
)
def test_broken_folders_are_refused(folder, change, message):
    change(folder)
    with pytest.raises(ValueError, match=message):
        read_receipts(folder)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", r"places.json cannot be read as places of characters: Expecting value"),
        ("[]", r"places.json holds no places of characters$"),
        ('{"two": [null]}', r"places.json does not fit receipt two of .*train.jsonl: delete it$"),
        (json.dumps({"two": [[[1.0, 2.0]]] + [None] * 7}), r"places.json does not fit receipt two of .*: delete it$"),
    ],
)
def test_places_that_do_not_fit_are_refused(folder, written, message):
    (folder / "places.json").write_text(written)
    with pytest.raises(ValueError, match=message):
        read_receipts(folder, places=folder / "places.json")


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        (["TOTAL|5.00", "CASH|5.00"], 0),
        (["ROUNDING|5.00", "CREDIT RM|5.00"], 0),
        (["1 TEA 5.00|5.00", "TOTAL:", "5.00", "CASH|5.00"], 2),
        (["SUBTOTAL|5.00", "NET AMT|5.00", "SR @ 0%|5.00"], 1),
        (["GRAND TOTAL|5.00", "CASH|10.00", "CHANGE DUE|5.00"], 0),
        (["1 TEA 5.00|5.00", "CASH|10.00", "CHANGE|5.00"], None),
        (["TEA", "2.50|5.00", "SUBTOTAL|5.00", "TOTAL|4.00"], None),
    ],
)
def test_the_total_stands_where_a_row_speaks_of_it_or_nowhere(folder, rows, right):
    """A change, a payment or an item of the same amount is none."""
    lines = [
        {"text": text, "box": [0.1 + 0.5 * side, 0.1 + 0.1 * k, 0.4 + 0.5 * side, 0.15 + 0.1 * k]}
        for k, row in enumerate(rows)
        for side, text in enumerate(row.split("|"))
    ]
    fields = [{"field": "total", "answer": "5.00"}]
    (folder / "train.jsonl").write_text(json.dumps(entry("one") | {"lines": lines, "qa": fields}))
    boxes = read_receipts(folder)[0].document.fields["total"].boxes
    assert [round((box[1] + box[3]) / 80 - 1.25) for box in boxes] == ([] if right is None else [right])
