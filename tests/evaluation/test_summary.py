"""What lines add up to."""

import pytest

from stitchvlm.evaluation.summary import as_json, summarise


def record(kind: str, answered_by: str, answer: str, large: str | None, retention: float, seconds: float) -> dict:
    return {
        "kind": kind,
        "gold": "A",
        "answered_by": answered_by,
        "small_answer": "A",
        "large_answer": large,
        "correct": answer == "A",
        "tokens": {"average_retention": retention},
        "seconds": {"total": seconds},
    }


RECORDS = [
    record("read", "large", "A", "A", 0.1, 2.0),
    record("read", "small", "A", "B", 0.0, 1.0),
    record("colour", "large", "B", "B", 0.1, 3.0),
    record("read", "large", "A", "a.", 0.2, 2.0),
]


def test_groups_and_all():
    groups = summarise(RECORDS)
    assert list(groups) == ["colour", "read", "all"]
    assert groups["read"].n == 3 and groups["read"].accuracy == 1 and groups["colour"].n_correct == 0
    told = groups["all"]
    assert (told.n, told.n_correct, told.accuracy) == (4, 3, 0.75)
    assert (told.small_accuracy, told.large_accuracy, told.exits) == (1.0, 0.5, 0.25)
    assert told.average_retention == pytest.approx(0.1) and told.seconds == 2.0
    assert told.low < 0.75 < told.high
    assert as_json(groups)["all"]["exits"] == 0.25


def test_a_model_that_skipped_a_question_has_no_accuracy():
    groups = summarise([RECORDS[0], record("read", "small", "A", None, 0.0, 1.0)])
    assert groups["all"].large_accuracy is None and groups["all"].small_accuracy == 1
