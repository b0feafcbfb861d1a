"""Answers stand in the picture where their boxes are, and questions mean one thing."""

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from stitchvlm.training.documents import Document, Line, Written, draw_crop
from stitchvlm.training.documents.questions import KINDS, Question, ask, ask_several, box_text
from stitchvlm.training.documents.reading import words_of
from stitchvlm.training.scene import Glyph

BOXED = ("where", *("count", "figures"))
"""Kinds whose answer does not stand in the picture."""


@pytest.fixture(scope="module")
def asked(documents) -> list[tuple[Document, Question]]:
    found = []
    for number, document in enumerate(documents):
        for kind in KINDS:
            question = ask(document, kind, random.Random(f"{number}-{kind}"))
            if question is not None:
                found.append((document, question))
    return found


def spelled(document: Document, question: Question) -> str:
    """What the glyphs spell whose middles lie in the question's boxes, box by box."""
    text = ""
    for x0, y0, x1, y1 in question.boxes:
        for line in document.lines:
            text += "".join(
                g.char for g in line.glyphs if x0 <= g.x / document.width <= x1 and y0 <= g.y / document.height <= y1
            )
    return text


def test_the_glyphs_under_the_boxes_spell_the_answer(asked):
    checked = Counter()
    for document, question in asked:
        if question.kind not in BOXED:
            checked[question.kind] += 1
            assert spelled(document, question) == question.answer.replace(" ", ""), (document.kind, question)
    assert checked.total() > 500
    assert checked.keys() >= set(KINDS) - {*BOXED, "discount", "service", "barcode", "table", "rounding", "due date"}


def test_a_box_is_written_in_thousandths(asked):
    assert box_text((0.0, 0.1234, 0.5, 1.0)) == "[0, 123, 500, 1000]"
    for _, question in asked:
        if question.kind == "where":
            assert question.answer == box_text(question.boxes[0])


def _rows(document: Document) -> list[str]:
    return [" ".join(line.text for line in row).casefold() for row in document.rows()]


def test_questions_mean_one_thing(asked):
    for document, question in asked:
        named = re.search(r"\"(.+)\"", question.text)
        if question.kind in ("after", "begins"):
            assert sum(row.startswith(named[1].casefold()) for row in _rows(document)) == 1, question
        if question.kind == "where" and named:
            assert sum(named[1].casefold() in line.text.casefold() for line in document.lines) == 1, question
        if question.kind in ("price", "quantity", "unit_price"):
            names = [item.name.text for item in document.items if item.name.text in question.text]
            assert len(names) == 1, question


def test_the_line_after_is_the_next_one(asked):
    checked = 0
    for document, question in asked:
        if question.kind == "after":
            rows = _rows(document)
            before = rows.index(re.search(r"\"(.+)\"", question.text)[1].casefold())
            assert rows[before + 1] == question.answer.casefold()
            checked += 1
    assert checked > 20


def test_charts_are_counted_and_compared(asked):
    for document, question in asked:
        values = {item.name.text: item.value for item in document.items}
        if question.kind in ("largest", "smallest"):
            pick = {"largest": max, "smallest": min}[question.kind]
            assert values[question.answer] == pick(values.values())
        elif question.kind == "figures":
            assert question.answer == str(len(values))
        elif question.kind == "value":
            name = next(name for name in values if re.search(rf"\b{name}\b", question.text))
            assert float(question.answer) == values[name]


def test_crops_are_not_asked_for_what_lies_outside():
    for seed in range(4):
        _, crop = draw_crop(seed, side=300, clean=True)
        assert all(ask(crop, kind, random.Random(0)) is None for kind in ("first", "last", "count"))
        for kind in ("at", "begins", "price"):
            question = ask(crop, kind, random.Random(seed))
            assert question is None or spelled(crop, question) == question.answer.replace(" ", "")


def test_several_questions_differ(documents):
    questions = ask_several(documents[0], 12, random.Random(1))
    assert len({question.text for question in questions}) == len(questions) == 12
    only = ask_several(documents[0], 3, random.Random(1), {"total": 1.0})
    assert {question.kind for question in only} == {"total"}


def test_nothing_is_asked_about_nothing():
    empty = Document("receipt", 10, 10)
    assert ask_several(empty, 3, random.Random(0)) == []


def _line(text: str, x: float, y: float, row: int, placed: bool = True) -> Line:
    """A line of characters ten pixels wide, `x` pixels from the left edge."""
    glyphs = tuple(
        Glyph(char, x + 10 * k + 5, y, 10, 12, k == 0 or text[k - 1] == " ", text[k + 1 : k + 2] in ("", " "))
        for k, char in enumerate(text)
        if char != " "
    )
    return Line(text, (x, y - 6, x + 10 * len(text), y + 6), row, glyphs, placed)


def _everything(document: Document) -> list[Question]:
    """What is asked in a hundred tries of every kind."""
    asked = (ask(document, kind, random.Random(f"{kind}{k}")) for kind in KINDS for k in range(100))
    return [question for question in asked if question is not None]


def test_a_line_whose_middle_cannot_be_seen_is_not_asked_for():
    """Curled paper may leave a crop the beginning and the end of a line."""
    cut = _line("VAT REG. GB86382632", 10, 20, 0)
    cut = replace(cut, glyphs=cut.glyphs[:3] + cut.glyphs[-3:])
    crop = Document("crop", 300, 300, (cut, _line("CASHIER: ANNA", 10, 50, 1), _line("TABLE 12", 10, 80, 2)))
    asked = _everything(crop)
    assert {question.kind for question in asked} == {"after", "begins", "where", "at"}
    assert not [question for question in asked if "VAT" in question.text + question.answer]


def test_lines_of_which_it_is_not_known_where_they_are_cut_are_not_asked_for():
    """Characters of real receipts may be spread over their line by guess."""
    texts = ("CUT OFF HERE", "ALL OF IT", "TOTAL 5.00")
    guessed = [_line(text, 5 if k == 0 else 40, 20 + 30 * k, k, placed=False) for k, text in enumerate(texts)]
    crop = Document("crop", 300, 300, tuple(guessed), estimated=True)
    asked = _everything(crop)
    assert {question.kind for question in asked} == {"after", "begins", "where", "at"}
    assert not [question for question in asked if "CUT" in question.text + question.answer]
    for same in (
        replace(crop, kind="real"),
        replace(crop, lines=tuple(replace(each, placed=True) for each in guessed)),
    ):
        assert [question for question in _everything(same) if "CUT" in question.answer]


def test_the_line_after_stands_below_and_its_text_nowhere_else():
    beside = _line("LEFT", 10, 20, 0), _line("RIGHT", 200, 24, 1)
    above = _line("LOWER", 10, 50, 0), _line("UPPER", 10, 20, 1)
    inside = _line("TOTAL 5.00", 10, 20, 0), _line("CASH", 10, 40, 1), _line("SUBTOTAL 5.00", 10, 60, 2)
    for lines in (beside, above):
        assert ask(Document("crop", 300, 300, lines), "after", random.Random(0)) is None
    found = {ask(Document("crop", 300, 300, inside), "after", random.Random(k)).answer for k in range(20)}
    assert found == {"SUBTOTAL 5.00"}


def test_of_parts_of_charts_nothing_was_bought():
    asked = [
        question
        for seed in range(12)
        for chart in ("bars", "pie")
        for kind in ("price", "quantity", "unit_price", "value", "after")
        if (question := ask(draw_crop(seed, chart, side=320, clean=True)[1], kind, random.Random(seed))) is not None
    ]
    assert {question.kind for question in asked if question.kind != "after"} == {"value"}


def _field_of(line: Line, word: int) -> Written:
    """What the word of that number says, and where."""
    return words_of(line)[word]


def test_in_a_crop_amounts_are_asked_for_where_their_label_is_seen():
    labelled = _line("CASH 5.00", 10, 20, 0)
    alone = _line("5.00", 10, 20, 0)
    for line, word, seen in ((labelled, 1, True), (alone, 0, False)):
        crop = Document("crop", 300, 300, (line,), {"cash": _field_of(line, word)})
        assert (ask(crop, "cash", random.Random(0)) is not None) == seen
        assert ask(replace(crop, kind="receipt"), "cash", random.Random(0)) is not None


@pytest.mark.parametrize(
    ("field", "text", "other"),
    [
        ("phone", "TEL 12-345", "CUSTOMER CARE: 99-876"),
        ("phone", "TEL 12-345", "ATTN: 99-876"),
        ("time", "TIME 12:30", "OPENING HOURS 10:00 - 22:00"),
        ("discount", "DISC -0.50", "-0.20"),
    ],
)
def test_what_is_there_twice_is_not_asked_for(field, text, other):
    line = _line(text, 10, 20, 0)
    pieces = _line("DISC", 10, 20, 0), _line("-0.50", 100, 20, 0)
    own = pieces if field == "discount" else (line,)
    written = _field_of(pieces[1], 0) if field == "discount" else _field_of(line, 1)
    once = Document("receipt", 400, 300, own, {field: written})
    assert ask(once, field, random.Random(0)) is not None
    assert ask(replace(once, lines=(*own, _line(other, 10, 50, 1))), field, random.Random(0)) is None
    rounded = {**once.fields, "rounding": Written("-0.20", ())}
    if field == "discount":
        twice = replace(once, lines=(*own, _line(other, 10, 50, 1)), fields=rounded)
        assert ask(twice, field, random.Random(0)) is not None


def test_labels_are_named_where_they_are_seen_and_values_are_under_them_where_they_are_below():
    label, value = _line("Full name:", 10, 20, 0), _line("ANNA", 150, 20, 0)
    beside = Document("form", 300, 300, (label, value), {"label:FULL NAME": _field_of(value, 0)})
    below = replace(value, box=(150, 40, 190, 60))
    over = replace(beside, lines=(label, below), fields={"label:FULL NAME": Written("ANNA", (below.box,))})
    for document, found in ((beside, False), (over, True)):
        asked = [ask(document, "label", random.Random(k)) for k in range(60)]
        assert any("under" in question.text for question in asked) == found
    assert ask(replace(beside, kind="crop", lines=(value,)), "label", random.Random(0)) is None


def test_a_guessed_place_is_not_asked_for_and_a_field_at_the_edge_of_a_crop_may_be_cut():
    line = _line("TOTAL 5.00", 100, 20, 0, placed=False)
    real = Document("real", 400, 300, (line,), {"total": _field_of(line, 1)}, estimated=True)
    known = replace(real, lines=(replace(line, placed=True),))
    for document, found in ((real, False), (known, True)):
        asked = [ask(document, "where", random.Random(k)) for k in range(40)]
        assert any('"' not in question.text for question in asked) == found
    assert ask(real, "total", random.Random(0)).answer == "5.00"
    for crop, seen in ((real, True), (replace(real, width=210), False), (replace(known, width=210), True)):
        assert (ask(replace(crop, kind="crop"), "total", random.Random(0)) is not None) == seen
    phones = _line("TEL 12-345", 10, 20, 0), _line("ATTN: 99-876", 10, 50, 1)
    letter = Document("invoice", 400, 300, phones, {"phone": _field_of(phones[0], 1)})
    assert all('"' in ask(letter, "where", random.Random(k)).text for k in range(40))


def test_the_place_of_a_line_is_that_of_its_characters():
    """Boxes of real lines hold descenders and air as well; those of all others do not."""
    line = replace(_line("CASH SALES", 100, 20, 0), box=(95, 5, 205, 35))
    crop = Document("real", 400, 300, (line,), estimated=True)
    for kind in ("where", "at"):
        question = ask(crop, kind, random.Random(0))
        assert "[250, 47, 500, 87]" in question.text + question.answer
