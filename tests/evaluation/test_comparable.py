"""What may stand in one table: settings, questions and surroundings."""

import json

import pytest
from made_up import RUN

from stitchvlm.errors import DataError
from stitchvlm.evaluation.comparable import SAME, on_shared_questions, table_key, told_apart
from stitchvlm.evaluation.results import settings_path
from stitchvlm.evaluation.tables import find_studies

SETTINGS = {
    "task": "scenes",
    "small": "s 1",
    "large": "l 2",
    "keep": 0.09,
    "layer": None,
    "method": "guided",
    "exit": "never",
    "dtype": "auto",
    "max_tiles": None,
    "max_new_tokens": 64,
    "seed": 0,
    "both": True,
    "options": {},
}


@pytest.fixture
def results(tmp_path):
    """Writes a loose file of results: ids of questions, and settings that differ from the usual ones."""

    def write(name: str, ids: str, run: dict = RUN, **settings) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(record(id, settings.get("method", "guided"))) + "\n" for id in ids))
        settings_path(path).write_text(json.dumps(SETTINGS | settings | {"runs": [run]}))

    return write


def record(id: str, method: str) -> dict:
    """Large alone is right everywhere, everybody else on vowels."""
    score = float(method == "large-alone" or id in "aeiou")
    return {
        "id": id,
        "kind": "read",
        "group": id,
        "answered_by": "large",
        "live": None,
        "first_token": 0.1,
        "small_answer": None,
        "large_answer": "x",
        "score": score,
        "small_score": None,
        "large_score": score,
        "tokens": {"average_retention": 0.1, "kept": 1, "visual": 10},
        "flops": {"total": 1},
        "seconds": {"total": 1.0},
        "scores": {"exit": None},
        "draft_complete": None,
    }


@pytest.mark.parametrize("name", ["task", *SAME])
def test_loose_files_that_differ_in_what_is_answered_are_tables_of_their_own(results, tmp_path, name):
    results("alone.jsonl", "abcd", method="large-alone")
    results("guided.jsonl", "abcd")
    results("random.jsonl", "abcd", method="random", **{name: "another"})
    tables = [[row.name for row in study.rows] for study in find_studies(tmp_path)]
    assert tables == [["large-alone", "guided 9%"], ["random 9%"]]


def test_the_way_of_answering_is_what_rows_of_one_table_differ_in():
    other = {"method": "random", "keep": 0.5, "layer": 1, "exit": 0.5, "options": {"a": 1}, "both": False}
    assert table_key(SETTINGS) == table_key(SETTINGS | other)


def test_rows_are_summed_up_over_the_questions_that_all_of_them_answered(results, tmp_path):
    results("alone.jsonl", "abcdefgh", method="large-alone")
    results("guided.jsonl", "abcdefgh")
    results("random.jsonl", "abe", method="random")
    (study,) = find_studies(tmp_path)
    assert {row.name: row.all["n"] for row in study.rows} == {"large-alone": 3, "guided 9%": 3, "random 9%": 3}
    assert {row.name: row.all["accuracy"] for row in study.rows}["guided 9%"] == pytest.approx(2 / 3)
    assert study.row_of("guided").all["difference"]["n"] == 3 and study.row_of("large-alone").all["difference"] is None
    (note,) = study.warnings
    assert note == "compared on the 3 questions that every row answered; left out: 5 of large-alone, guided 9%"


def test_rows_without_a_common_question_are_refused(results, tmp_path):
    results("guided.jsonl", "abc")
    results("random.jsonl", "def", method="random")
    with pytest.raises(DataError, match="guided 9%, random 9% have no question in common: put them into folders"):
        find_studies(tmp_path)


def test_the_same_way_from_two_files_is_two_rows(results, tmp_path):
    results("first/guided.jsonl", "abc")
    results("second/guided.jsonl", "abc")
    (study,) = find_studies(tmp_path)
    assert [row.name for row in study.rows] == ["guided 9% (first/guided.jsonl)", "guided 9% (second/guided.jsonl)"]


def test_other_hardware_and_commits_are_told(results, tmp_path):
    results("alone.jsonl", "abc", method="large-alone")
    results("guided.jsonl", "abc")
    results(
        "random.jsonl", "abc", method="random", run=RUN | {"cpu": "another CPU", "commit": "f" * 40 + " with changes"}
    )
    (study,) = find_studies(tmp_path)
    assert study.warnings == [
        "not all rows were measured with the same cpu: a CPU, but another CPU (random 9%)",
        "not all rows were measured with the same commit: abc, but ffffffffff with changes (random 9%)",
    ]


def test_rows_that_were_all_interrupted_alike_are_alike_but_for_the_commit():
    """Two runs on machines that differ are the same for all rows; answers of two commits are of two programs."""
    moved, changed = [RUN, RUN | {"cpu": "another CPU"}], [RUN, RUN | {"commit": "def"}]
    assert told_apart({"a": moved, "b": moved[::-1]}) == told_apart({"a": [RUN], "b": [RUN]}) == told_apart({}) == []
    assert told_apart({"a": changed, "b": changed[::-1]}) == [
        "answers of more than one commit stand in one row: abc and def (a, b)"
    ]
    assert told_apart({"a": changed, "b": [RUN], "c": [RUN]}) == [
        "not all rows were measured with the same commit: abc, but abc and def (a)"
    ]
    dirty = [RUN | {"commit": "f" * 40}, RUN | {"commit": "f" * 40 + " with changes"}]
    assert told_apart(dict.fromkeys("abcde", dirty)) == [
        "answers of more than one commit stand in one row: ffffffffff and ffffffffff with changes (a, b, c and 2 more)"
    ]


def test_all_the_same_questions_need_no_word():
    rows = [{"id": "a"}, {"id": "b"}]
    assert on_shared_questions({"x": rows, "y": rows[::-1]}) == ({"x": rows, "y": rows[::-1]}, [])
    assert on_shared_questions({}) == ({}, [])
