"""What is known of documents: labels of tokens and patches, single tokens, and what is kept of a picture."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from stitchvlm.training import language, worlds
from stitchvlm.training.documents import Document, Line, Written
from stitchvlm.training.documents.document import CHARACTERS
from stitchvlm.training.documents.questions import Question, ask_several
from stitchvlm.training.grid import Tiles
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.labels import IGNORE, Labels
from stitchvlm.training.packing import Packer
from stitchvlm.training.regions import pointed_tokens, token_boxes, tokens_touching
from stitchvlm.training.scene import Glyph
from stitchvlm.training.spelling import (
    COLUMN,
    FOLDED,
    HEADS,
    SPELLED_LABELS,
    TEXTS,
    kind_of_text,
    spelled_labels,
    without_small,
)
from stitchvlm.training.tokenizer import DOCUMENT_SPEECH
from stitchvlm.training.tower import Said, dense_loss, place_loss
from stitchvlm.training.worlds import DOCUMENTS

TILES = Tiles(448, 14, 1, 8)


# Labels


def page(lines: dict[str, tuple[float, float, float]], width: int = 448, **more) -> Document:
    """A square page; `lines` have the left edge, the middle and the height of their characters, which are 10 pixels wide."""
    made = []
    for row, (text, (x, y, height)) in enumerate(lines.items()):
        glyphs = [
            Glyph(char, x + 10 * k + 5, y, 10, height, k == 0 or text[k - 1] == " ", text[k + 1 : k + 2] in ("", " "))
            for k, char in enumerate(text)
            if char != " "
        ]
        made.append(Line(text, (x, y - height / 2, x + 10 * len(text), y + height / 2), row, tuple(glyphs)))
    return Document("crop", width, width, tuple(made), **more)


def spelled(document: Document) -> np.ndarray:
    """`[bands, points, 3]`: the class of character, border and side at every point of a page of one tile."""
    (label,) = spelled_labels(document, None, TILES)
    columns = [COLUMN[f"{name}00"] for name in ("char", "border", "side")]
    points = np.stack([label[:, first : first + 14].reshape(16, 16, 2, 7) for first in columns], -1)
    return points.transpose(0, 2, 1, 3, 4).reshape(32, 112, 3)


def test_labels_of_a_page_set_by_hand():
    points = spelled(page({"aB 2": (28, 21, 12), "l": (28, 35, 12)}))
    text = "".join(" " if k == 0 else FOLDED[k - 1] for k in points[1, 7:20, 0])
    assert text == "AAABB   22   "  # points lie 4 pixels apart, the first 2 pixels from the edge
    assert points[1, 7:12, 1].tolist() == [2, 2, 2, 3, 3] and points[1, 15, 1] == 4
    assert points[1, 7:12, 2].tolist() == [1, 2, 2, 1, 2]
    assert FOLDED[points[2, 7, 0] - 1] == "L" and points[2, 7, 1] == 4  # the line below owns the next half of the token
    assert not points[3:].any() and not points[0].any()


def test_a_half_belongs_to_the_line_that_fills_most_of_it():
    points = spelled(page({"A": (28, 20, 12), "B": (28, 30, 12)}))
    assert [FOLDED[points[band, 8, 0] - 1] for band in (1, 2)] == ["A", "B"]


def test_what_cannot_be_read_is_not_asked_for():
    small, tiny = page({"AB": (28, 21, 12)}, width=448), page({"AB": (28, 21, 12)}, width=900)
    assert (spelled(small)[1, 7:12] > 0).all()
    views = spelled_labels(tiny, None, TILES)
    assert len(views) == 5 and (views[0] > 0).any()
    thumbnail = views[-1][:, COLUMN["char00"] :]
    assert set(np.unique(thumbnail)) == {0, IGNORE}
    known = page({"AB": (28, 21, 12)}, estimated=True)
    guessed = replace(known, lines=tuple(replace(line, placed=False) for line in known.lines))
    assert (spelled_labels(guessed, None, TILES) == IGNORE).all()


def test_small_characters_may_be_left_out():
    """Of three lines the one whose characters are ten pixels wide stays, and dots and ones do whatever their width."""
    wide, narrow = page({"BAA2": (28, 21, 12)}), page({"BAA2": (28, 21, 12), "X1.": (28, 77, 12)})
    small = [replace(glyph, x=30 + 4 * k, width=4) for k, glyph in enumerate(narrow.lines[1].glyphs)]
    mixed = replace(narrow, lines=(narrow.lines[0], replace(narrow.lines[1], glyphs=tuple(small))))
    told = spelled_labels(mixed, None, TILES)
    silent = without_small(told, (16, 16), 2)
    assert np.array_equal(without_small(told, (16, 16), 1), told)
    chars = slice(COLUMN["char00"], COLUMN["char00"] + 14)
    changed = told != silent
    letters = {FOLDED[char - 1] for char in told[..., chars][changed[..., chars]]}
    assert letters == {"X"} and (silent[changed] == IGNORE).all()
    assert np.array_equal(silent[:, :32], spelled_labels(wide, None, TILES)[:, :32])
    assert (without_small(told, (16, 16), 4)[:, :32, chars] > 0).sum() == 0


def test_a_wrong_digit_costs_more_than_a_wrong_letter():
    """Two characters, a letter known for certain and a digit guessed among all classes alike, or the other way round."""
    labels = Labels({"char00": 3}, spelled_labels, slice(0, 1), {}, [], loud={"char00": (1.0, 1.0, 2.5)})
    told = torch.tensor([[[1], [2]]])
    sure = torch.tensor([[[0.0, 50.0, 0.0], [0.0, 0.0, 50.0]]])
    for unsure, weight in ((0, 1.0), (1, 2.5)):
        logits = sure.clone()
        logits[0, unsure] = 0.0
        loss, _ = dense_loss(Said([logits], None, None), told, labels)
        assert loss.item() == pytest.approx(weight * np.log(3) / 3.5, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("TOTAL", "words"),
        ("RM 12.50", "amount"),
        ("1,204.00", "amount"),
        ("19-03-2018", "date"),
        ("12 March 2021", "date"),
        ("012-345 678", "number"),
        ("Tel 3", "words"),
    ],
)
def test_kinds_of_text(text, kind):
    assert TEXTS[kind_of_text(text) - 1] == kind


# Patches


def test_patches_know_the_points_of_their_part_of_a_token():
    """A token's upper band has points 1 to 7, its lower one 8 to 14; the one in the middle belongs to both sides."""
    told = torch.zeros(1, 2, len(HEADS), dtype=torch.int8)
    told[0, 0, COLUMN["char00"] : COLUMN["char00"] + 14] = torch.arange(1, 15, dtype=torch.int8)
    told[0, 1, COLUMN["side13"]] = 2
    parts = SPELLED_LABELS.patches
    logits = torch.zeros(1, 2, 4, parts.classes)
    (name, scores, chars), (_, _, borders), (_, _, sides) = parts.parts(logits, told)
    assert name == "char00" and scores.shape == (1, 2, 4, 4, HEADS["char00"]) and not borders.any()
    assert chars[0].tolist() == [
        [[1, 2, 3, 4], [4, 5, 6, 7], [0] * 4, [0] * 4],
        [[8, 9, 10, 11], [11, 12, 13, 14], [0] * 4, [0] * 4],
    ]
    assert sides[0, 1].tolist() == [[0] * 4, [0] * 4, [0, 0, 0, 2], [2, 0, 0, 0]] and not sides[0, 0].any()


def test_places_are_learnt_row_by_row():
    rows, columns = torch.full((1, 4, 2), -20.0), torch.full((1, 4, 2), -20.0)
    for token in range(4):
        rows[0, token, token // 2] = columns[0, token, token % 2] = 20.0
    loss, known = place_loss(rows, columns)
    assert loss < 1e-6 and known == 1.0
    assert place_loss(columns, rows)[1] == 0.5


# Tokens and truths


def test_every_character_of_documents_is_one_token(speaker):
    assert len(speaker) == DOCUMENT_SPEECH.vocabulary
    for char in set(CHARACTERS.upper()):
        assert len(speaker(char, add_special_tokens=False).input_ids) == 1, char
    assert len(speaker("TOTAL 9.10", add_special_tokens=False).input_ids) == 10
    for text in ("What is the total amount?", "RESTORAN [12, 3, 456, 1000] £5"):
        assert speaker.decode(speaker(text).input_ids) == text


def test_documents_are_asked_and_answered_in_capitals():
    total = Written("Rm 5.00", ((1.0, 2.0, 3.0, 4.0),))
    folded = worlds.in_capitals(page({"Nasi Lemak": (20, 20, 12)}, fields={"total": total, "label:Town": total}))
    assert [line.text for line in folded.lines] == ["NASI LEMAK"]
    assert folded.fields == {"total": replace(total, text="RM 5.00"), "label:TOWN": replace(total, text="RM 5.00")}


def test_the_next_character_is_where_its_label_says(documents):
    """Of answers spelled from a drawn document, the tokens that are pointed at tell the character, but for the thumbnail's."""
    characters, found, told = SPELLED_LABELS.characters, [], 0
    for number, document in enumerate(map(worlds.in_capitals, documents[::3])):
        labels = spelled_labels(document, None, TILES).reshape(-1, len(HEADS))
        for question in ask_several(document, 6, random.Random(number)):
            words = question.answer.split()
            if question.kind in worlds.SPELLED and len(words) == len(question.boxes):
                kept = list(range(len(labels)))
                steps = pointed_tokens(document, words, question.boxes, kept, TILES)
                assert len(steps) == len(question.answer)
                for char, step in zip(question.answer, steps, strict=True):
                    shown = labels[step][:, characters]
                    if char != " " and (shown >= 0).all():
                        told += 1
                        found.append(bool((shown == 1 + FOLDED.index(char)).any()))
                    assert not step or max(step) < len(labels) - 256 * (len(labels) > 256)
    assert told > 1000 and sum(found) / told > 0.97


def test_pointed_tokens_are_counted_among_the_kept_ones():
    """Two words on the second row of tokens, 28 pixels wide each, of which the second and the third are kept."""
    document = page({"AB": (28, 42, 12), "C": (84, 42, 12)}, fields={})
    boxes = ((28 / 448, 30 / 448, 84 / 448, 54 / 448), (84 / 448, 30 / 448, 112 / 448, 54 / 448))
    assert pointed_tokens(document, ["AB", "C"], boxes, [0, 18, 19], TILES) == [[], [1], [1], [2]]


@pytest.mark.parametrize(
    ("kind", "answer", "placed", "expected"),
    [
        ("total", "AB C", True, [[17], [18], [18], [19], [19]]),
        ("total", "AB C", False, []),
        ("total", "ABC", True, []),
        ("where", "AB C", True, []),
    ],
    ids=["spelled", "guessed", "other words", "not spelled"],
)
def test_heads_hear_where_each_character_and_the_end_are_read(speaker, monkeypatch, kind, answer, placed, expected):
    """Tokens are 28 pixels wide and high; a space and the end are told where the character before them is."""
    document = page({"AB C": (28, 42, 12)}, fields={})
    document = replace(document, lines=tuple(replace(line, placed=placed) for line in document.lines))
    boxes = ((28 / 448, 30 / 448, 84 / 448, 54 / 448), (84 / 448, 30 / 448, 112 / 448, 54 / 448))
    heard = []
    monkeypatch.setattr(language, "Grounding", lambda *given: heard.append(given[4]))
    question, kept = Question(kind, "What?", answer, boxes), list(range(256))
    exercise = language.Exercise(None, None, [document], [], [[question]], [kept], TILES, DOCUMENTS)
    exercise.grounding(packer=Packer(speaker, KINDS["internvl_448"].chat))
    exercise.grounding()
    assert heard == [[[expected]], None]


def test_what_is_kept_holds_what_is_asked_for():
    document = page({"TOTAL": (100, 100, 12), "5.00": (300, 101, 12)}, fields={})
    box = (300.0, 95.0, 340.0, 107.0)
    fractions = tuple(edge / 448 for edge in box)
    asked = [worlds.document_questions.Question("total", "?", "5.00", (fractions,))]
    together, (spot,), others = DOCUMENTS.together(asked, document)
    assert together == asked and np.allclose(spot.text_box, box)
    assert np.allclose(others, [worlds.words_of(document.lines[1])[0].boxes[0]]), "that with digits"
    row = tokens_touching(token_boxes(document, TILES), document.lines[0].box)
    assert set(row) <= set(tokens_touching(token_boxes(document, TILES), spot.box))
    nowhere = [worlds.document_questions.Question("count", "?", "2", ())]
    assert DOCUMENTS.together(nowhere, document)[:2] == ([], [])


def test_what_tells_what_it_is_stands_to_its_left():
    """In the same row, in lines of their own or in its own line."""
    document = page({"TOTAL": (100, 100, 12), "RM 5.00": (300, 100, 12), "OTHER": (100, 150, 12)}, fields={})
    document = replace(document, lines=tuple(replace(line, row=int(line.text == "OTHER")) for line in document.lines))
    words = worlds.words_of(document.lines[1])
    (told,) = words[1].boxes
    found = DOCUMENTS.beside(document, [tuple(edge / 448 for edge in told)])
    label, unit = (tuple(448 * edge for edge in box) for box in found)
    assert label == pytest.approx(worlds.words_of(document.lines[0])[0].boxes[0])
    assert unit == pytest.approx(words[0].boxes[0])
    nearly = tuple(edge / 448 + 1e-5 for edge in told)
    assert DOCUMENTS.beside(document, [nearly]) == found, "rounding makes no label of the answer itself"
    (first,) = worlds.words_of(document.lines[0])[0].boxes
    assert DOCUMENTS.beside(document, [tuple(edge / 448 for edge in first)]) == ()
    assert worlds.SCENES.beside(None, [told]) == ()
