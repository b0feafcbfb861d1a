"""The test splits that are checked in, and the writer of such splits."""

import hashlib
import io
import json
import random
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from stitchvlm.evaluation.tasks import DOCUMENTS, SCENES
from stitchvlm.training.documents import KINDS, Document, draw_document
from stitchvlm.training.recipes import RECIPES
from stitchvlm.training.splits import SPLITS, write_split
from stitchvlm.training.splits.__main__ import main
from stitchvlm.training.splits.documents import KINDS as IN_TURN
from stitchvlm.training.splits.documents import rows_about
from stitchvlm.training.worlds import in_capitals

PILLOWS_OWN = ("",)
NOT_PRINTED = {"where", "count", "figures"}
"""Kinds of questions whose answer does not stand on the page."""


def rows_of(path: Path) -> list[dict]:
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read("questions.jsonl").decode().splitlines()]


@pytest.fixture(scope="module")
def scenes() -> list[dict]:
    return rows_of(SCENES)


@pytest.fixture(scope="module")
def documents() -> list[dict]:
    return rows_of(DOCUMENTS)


@pytest.fixture(scope="module")
def papers() -> list[tuple[Document, list[dict]]]:
    """A page of every kind and what the split asks about it."""
    found = []
    for kind in KINDS:
        document = in_capitals(draw_document("here", kind, clean=True)[1])
        found.append((document, rows_about(document, random.Random(kind))))
    return found


@pytest.mark.parametrize(("path", "megabytes"), [(SCENES, 8), (DOCUMENTS, 12)])
def test_a_split_is_the_one_that_was_checked_in(path, megabytes):
    digest, name = path.with_suffix(".sha256").read_text().split()
    assert name == path.name and digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size <= megabytes * 2**20


@pytest.mark.parametrize("path", [SCENES, DOCUMENTS])
def test_it_holds_500_questions_with_boxes_and_pictures(path):
    rows = rows_of(path)
    assert len({row["id"] for row in rows}) == len(rows) == 500
    for row in rows:
        for x0, y0, x1, y1 in row.get("boxes") or [row["box"]]:
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, row
        assert row["question"].endswith(("?", ".")) and ".." not in row["question"] and row["answer"], row
    with zipfile.ZipFile(path) as archive:
        assert {row["image"] for row in rows} == set(archive.namelist()) - {"questions.jsonl"}
        assert archive.testzip() is None
    assert len({(row["image"], row["question"]) for row in rows}) == 500


def test_most_questions_about_scenes_read(scenes):
    assert Counter(row["kind"] for row in scenes)["read"] > 250


def test_codes_to_be_read_off_objects_are_unambiguous(scenes):
    codes = [row["answer"] for row in scenes if row["kind"] == "read" and "sign" not in row["question"].split("?")[0]]
    assert len(codes) > 150
    assert not [code for code in codes if set(code) & set("O0I1Q")]


def test_documents_are_of_every_kind_and_asked_for_many_things(documents):
    kinds = Counter(IN_TURN[int(name[-8:-4]) % len(IN_TURN)] for name in {row["image"] for row in documents})
    assert set(kinds) == set(KINDS) and kinds.most_common(1)[0][0] == "receipt"
    asked = Counter(row["kind"] for row in documents)
    assert len(asked) >= 20 and asked["total"] >= 20
    assert max(Counter((row["image"], row["kind"]) for row in documents).values()) <= 2
    assert max(Counter(row["image"] for row in documents).values()) <= 6


def test_documents_are_grey_and_answered_in_capitals(documents):
    with zipfile.ZipFile(DOCUMENTS) as archive:
        for name in {row["image"] for row in documents}:
            assert Image.open(io.BytesIO(archive.read(name))).mode == "L"
    assert all(row["answer"] == row["answer"].upper() for row in documents)


def test_a_box_is_the_answer_where_boxes_are_compared(documents):
    for row in documents:
        assert row["metric"] == ("iou" if row["kind"] == "where" else "exact"), row
        if row["metric"] == "iou":
            numbers = [
                int(number) for number in re.fullmatch(r"\[(\d+), (\d+), (\d+), (\d+)\]", row["answer"]).groups()
            ]
            assert numbers == pytest.approx([1000 * edge for edge in row["boxes"][0]], abs=0.6)


def test_answers_stand_on_the_page_in_their_boxes(papers):
    read = 0
    for document, rows in papers:
        assert rows, document.kind
        for row in rows:
            if row["kind"] in NOT_PRINTED:
                continue
            spelled = "".join(
                glyph.char
                for x0, y0, x1, y1 in row["boxes"]
                for line in document.lines
                for glyph in line.glyphs
                if x0 <= glyph.x / document.width <= x1 and y0 <= glyph.y / document.height <= y1
            )
            assert spelled.upper() == row["answer"].replace(" ", ""), row
            assert all(any(word in line.text for line in document.lines) for word in row["answer"].split()), row
            read += 1
    assert read > 25


def test_what_a_question_quotes_stands_on_the_page_once(papers):
    for document, rows in papers:
        lines = [" ".join(line.text for line in row) for row in document.rows()]
        for row in rows:
            if quoted := re.search(r'"(.+)"', row["question"]):
                whole = row["kind"] in ("after", "begins")
                found = [line.startswith(quoted[1]) if whole else quoted[1] in line for line in lines]
                assert sum(found) == 1, row


@pytest.mark.parametrize("name", SPLITS)
def test_a_seed_writes_the_same_bytes_twice(tmp_path, name):
    first, again, other = (
        write_split(tmp_path / f"{k}.zip", SPLITS[name], 10, PILLOWS_OWN, seed)
        for k, seed in enumerate(("here", "here", "there"))
    )
    assert first == again != other
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    assert (tmp_path / "0.sha256").read_text() == f"{first}  0.zip\n"


def test_no_training_set_has_the_seed_of_a_split():
    trained_on = {
        f"{pictures.seed}/{name}" for recipe in RECIPES.values() for name, pictures in recipe.pictures.items()
    }
    seeds = [split.seed for split in SPLITS.values()]
    assert len(set(seeds)) == len(seeds)
    assert not [(seed, key) for seed in seeds for key in trained_on if key.startswith(seed) or seed.startswith(key)]


def test_the_command_draws_a_split(tmp_path, monkeypatch, capsys):
    out = tmp_path / "documents.zip"
    arguments = ["documents", "--out", str(out), "--questions", "7", "--fonts", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["splits", *arguments])
    assert main() == 0 and capsys.readouterr().out.strip() == hashlib.sha256(out.read_bytes()).hexdigest()
    assert len(rows_of(out)) == 7
    monkeypatch.setattr("sys.argv", ["splits", *arguments, "--questions", "0"])
    assert main() == 1 and "at least 1" in capsys.readouterr().err
