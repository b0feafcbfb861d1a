"""Nothing is asked that could mean another text, and nothing in words that nobody would use."""

import random
from collections import Counter

import pytest

from stitchvlm.training.documents import Document, Item, Line, Written, wordings
from stitchvlm.training.documents.certain import is_only
from stitchvlm.training.documents.invoice import compose_invoice
from stitchvlm.training.documents.questions import ask
from stitchvlm.training.documents.receipt import compose_receipt
from stitchvlm.training.documents.suiting import suited
from stitchvlm.training.documents.typefaces import sort_faces
from stitchvlm.training.scene import Glyph


def line(text: str, x: float, y: float, row: int, slant: float = 0.0) -> Line:
    """A line of characters 10 pixels wide, each lower by `slant` pixels than the one before."""
    glyphs = tuple(
        Glyph(char, x + 10 * k + 5, y + slant * k, 10, 12, k == 0, k == len(text) - 1)
        for k, char in enumerate(text)
        if char != " "
    )
    return Line(text, (x, y - 6, x + 10 * len(text), y + 6 + slant * (len(text) - 1)), row, glyphs)


def written(text: str, x: float = 0.0, y: float = 0.0) -> Written:
    return Written(text, ((x, y, x + 10, y + 10),))


def asked(document: Document, kind: str) -> set[str]:
    """All questions of a kind that some seed asks."""
    found = (ask(document, kind, random.Random(seed)) for seed in range(60))
    return {question.text for question in found if question is not None}


@pytest.mark.parametrize("name", wordings.FIELDS)
@pytest.mark.parametrize("kind", ["receipt", "invoice", "form", "ticket", "prices", "pie"])
def test_every_field_can_be_asked_for_in_some_words(name, kind):
    others = {"tax_number": written("1"), "pieces": written("3"), "title": written("A", y=90)}
    assert suited(wordings.FIELDS[name], Document(kind, 99, 99, (line("B", 0, 20, 0),), others))


def test_only_tills_have_receipts():
    fields = {"company": written("ULVA"), "date": written("1/2/2020"), "total": written("3.00")}
    for kind, speaks in (("receipt", True), ("invoice", False), ("ticket", False)):
        document = Document(kind, 99, 99, fields=fields)
        text = " ".join(text for name in fields for text in asked(document, name))
        assert ("receipt" in text, "shop" in text, "purchase" in text) == (speaks,) * 3


def test_a_field_beside_one_like_it_is_not_asked_for():
    both = {"phone": written("03-1"), "other phone": written("03-2")}
    assert not is_only(Document("receipt", 9, 9, fields=both), "phone")
    assert is_only(Document("receipt", 9, 9, fields={"phone": written("03-1")}), "phone")


def test_weights_are_not_counted_and_pieces_are():
    for quantity, counted in (("3", True), ("1.250KG", False), ("2.00", False)):
        item = Item(written("RICE"), written(quantity), written("2.00"), written("6.00"))
        document = Document("receipt", 99, 99, items=(item,))
        text = " ".join(asked(document, "quantity"))
        assert ("How many" in text, "How much of" in text) == (counted, not counted)
        assert (" all RICE" in " ".join(asked(document, "price"))) == counted
        assert ("one RICE" in " ".join(asked(document, "unit_price"))) == counted


def test_a_label_is_read_where_its_value_is():
    beside = (line("TOWN", 0, 20, 0), line("ULVA", 100, 20, 0))
    below = (line("TOWN", 0, 20, 0), line("ULVA", 0, 60, 1))
    for lines, under in ((beside, False), (below, True)):
        value = Written("ULVA", (lines[1].box,))
        document = Document("form", 200, 99, lines, {"label:TOWN": value})
        assert ("What stands under TOWN?" in asked(document, "label")) == under


def test_labels_are_spoken_of_as_what_they_are():
    lines = tuple(line(text, 0, 20 * row, row) for row, text in enumerate(("FROM", "ULVA", "TICKET NO.", "7"), start=1))
    fields = {"label:FROM": written("ULVA", y=40), "label:TICKET NO.": written("7", y=80)}
    document = Document("ticket", 200, 99, lines, fields)
    texts = asked(document, "label")
    assert not [text for text in texts if "the FROM" in text or "Which FROM" in text or ".." in text]
    assert {"FROM?", "Read the TICKET NO."} <= texts


def test_a_place_with_two_texts_in_it_is_not_read():
    level = Document("slip", 400, 99, (line("ONE LINE", 0, 20, 0), line("TWO LINE", 0, 40, 1)))
    assert len(asked(level, "at")) > 2
    slanting = Document("slip", 400, 99, (line("ONE LINE", 0, 20, 0, 4), line("TWO LINE", 0, 40, 1, 4)))
    assert not asked(slanting, "at")


def test_a_logo_is_no_line():
    lines = (line("W", 50, 10, 0), line("ULVA LTD", 0, 40, 1), line("THANK YOU", 0, 70, 2))
    document = Document("receipt", 200, 99, lines)
    assert not asked(document, "first") and asked(document, "last")


@pytest.mark.parametrize("compose", [compose_receipt, compose_invoice])
def test_goods_with_a_discount_have_no_price_and_others_have(compose):
    seen = 0
    for seed in range(25):
        page = compose(str(seed), sort_faces(("",)), 500)
        tags = {tag.name for run in page.runs() for tag in run.tags}
        parts = Counter(tag.rpartition(".")[2] for tag in tags if tag.startswith("item."))
        assert (parts["price"] < parts["name"]) == ("item discount" in tags)
        seen += "item discount" in tags
    assert seen
