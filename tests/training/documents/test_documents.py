"""Documents depend on the seed alone, are as large as scans are, and survive JSON."""

import json

import numpy as np
import pytest

from stitchvlm.training.documents import KINDS, Document, draw_crop, draw_document
from stitchvlm.training.documents.__main__ import main
from stitchvlm.training.documents.document import CHARACTERS
from stitchvlm.training.documents.generator import MOST


@pytest.mark.parametrize("draw", [draw_document, draw_crop])
@pytest.mark.parametrize("kind", ["receipt", "ticket", "bars"])
def test_one_seed_draws_one_picture(draw, kind):
    (first, said), (again, repeated), (other, _) = draw("a", kind), draw("a", kind), draw("b", kind)
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert said == repeated


def test_documents_survive_json(documents):
    for document in documents[::5]:
        assert Document.from_json(json.loads(json.dumps(document.to_json()))) == document


def test_sizes_are_those_of_scans(drawn):
    for picture, document in drawn:
        assert picture.size == (document.width, document.height)
        assert picture.width <= MOST[0] and picture.height <= MOST[1]
        assert picture.mode == ("L" if document.kind in ("receipt", "slip") else picture.mode)
        heights = sorted(glyph.height for line in document.lines for glyph in line.glyphs)
        assert heights[0] > 6.5 and (document.kind == "sign" or heights[len(heights) // 2] < 32)


def test_lines_hold_their_glyphs(documents):
    for document in documents:
        for line in document.lines:
            assert "".join(glyph.char for glyph in line.glyphs) == line.text.replace(" ", "")
            assert set(line.text) <= set(CHARACTERS)
            x0, y0, x1, y1 = line.box
            assert all(x0 <= glyph.x <= x1 and y0 <= glyph.y <= y1 for glyph in line.glyphs)
            assert 0 <= line.glyphs[0].x <= document.width and 0 <= line.glyphs[0].y <= document.height


def test_receipts_know_their_fields_and_items():
    found = [draw_document(seed, clean=True)[1] for seed in range(20)]
    assert all({"company", "total", "date"} <= document.fields.keys() for document in found)
    assert all(document.items for document in found)
    assert all(item.price or "item discount" in document.fields for document in found for item in document.items)
    assert {name for document in found for name in document.fields} >= {
        "tax",
        "subtotal",
        "cash",
        "change",
        "number",
        "phone",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_is_a_part_of_the_document(kind):
    _, whole = draw_document("c", kind, clean=True)
    picture, crop = draw_crop("c", kind, side=300, clean=True)
    assert picture.size == (crop.width, crop.height) == (300, 300)
    assert crop.kind == "crop" and crop.lines
    texts = [line.text for line in whole.lines]
    assert all(any(line.text in text for text in texts) for line in crop.lines)
    assert crop.fields.keys() <= whole.fields.keys()


def test_a_crop_shows_what_the_document_shows():
    whole, said = draw_document("d", clean=True)
    crop, part = draw_crop("d", side=300, clean=True)
    line = max(part.lines, key=lambda each: len(each.text))
    same = next(each for each in said.lines if line.text in each.text)
    k = same.text.replace(" ", "").index(line.text.replace(" ", ""))
    dx, dy = (round(same.glyphs[k].x - line.glyphs[0].x), round(same.glyphs[k].y - line.glyphs[0].y))
    box = (dx + 20, dy + 20, dx + 280, dy + 280)
    apart = np.asarray(whole.crop(box), float) - np.asarray(crop.crop((20, 20, 280, 280)), float)
    assert np.abs(apart).mean() < 1 and np.ptp(np.asarray(crop)) > 200


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no kind of document called 'letter': name one of receipt"):
        draw_document(0, "letter")


def test_sheets_are_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "fonts").mkdir()
    arguments = [
        "documents",
        "--out",
        str(tmp_path),
        "--kind",
        "sign",
        "--count",
        "2",
        "--fonts",
        str(tmp_path / "fonts"),
    ]
    monkeypatch.setattr("sys.argv", arguments)
    assert main() == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "sign.png"), str(tmp_path / "sign-boxes.png")]
    assert (tmp_path / "sign-boxes.png").stat().st_size > 1000
    monkeypatch.setattr("sys.argv", [*arguments[:-1], str(tmp_path / "nowhere")])
    assert main() == 1
    assert "is no folder of fonts" in capsys.readouterr().err
