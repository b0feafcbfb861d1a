"""The test split that is checked in, and the writer of such splits."""

import hashlib
import json
import zipfile
from collections import Counter

import pytest

from stitchvlm.evaluation.tasks import SCENES
from stitchvlm.training.splits import SCENES as SPLIT
from stitchvlm.training.splits import write_split


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    with zipfile.ZipFile(SCENES) as archive:
        return [json.loads(line) for line in archive.read("questions.jsonl").decode().splitlines()]


def test_the_split_is_the_one_that_was_checked_in():
    digest, name = SCENES.with_suffix(".sha256").read_text().split()
    assert name == SCENES.name and digest == hashlib.sha256(SCENES.read_bytes()).hexdigest()
    assert SCENES.stat().st_size <= 8 * 2**20


def test_it_holds_500_questions_with_boxes_and_pictures(rows):
    assert len({row["id"] for row in rows}) == len(rows) == 500
    for row in rows:
        x0, y0, x1, y1 = row["box"]
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, row
        assert row["question"].endswith(("?", ".")) and row["answer"], row
    with zipfile.ZipFile(SCENES) as archive:
        assert {row["image"] for row in rows} == set(archive.namelist()) - {"questions.jsonl"}
        assert archive.testzip() is None
    assert len({(row["image"], row["question"]) for row in rows}) == 500
    assert Counter(row["kind"] for row in rows)["read"] > 250


def test_codes_to_be_read_off_objects_are_unambiguous(rows):
    codes = [row["answer"] for row in rows if row["kind"] == "read" and "sign" not in row["question"].split("?")[0]]
    assert len(codes) > 150
    assert not [code for code in codes if set(code) & set("O0I1Q")]


def test_a_seed_writes_the_same_bytes_twice(tmp_path):
    first, again, other = (
        write_split(tmp_path / f"{k}.zip", SPLIT, 10, ("",), seed) for k, seed in enumerate(("here", "here", "there"))
    )
    assert first == again != other
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    assert (tmp_path / "0.sha256").read_text() == f"{first}  0.zip\n"
