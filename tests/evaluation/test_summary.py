"""What lines add up to."""

import pytest

from stitchvlm.evaluation.summary import as_json, scores_by_id, summarise


def record(id: str, kind: str, answered_by: str, score: float, large: float | None, retention: float, seconds: float):
    return {
        "id": id,
        "kind": kind,
        "group": id,
        "answered_by": answered_by,
        "small_answer": "K7.",
        "large_answer": None if large is None else "k7" if large else "x",
        "small_score": 1.0,
        "large_score": large,
        "score": score,
        "tokens": {"average_retention": retention, "kept": 10 * retention, "visual": 10},
        "flops": {"total": 2e9},
        "seconds": {"small_prefill": 0.5, "total": seconds}
        | ({"large_prefill": 1.0} if answered_by == "large" else {}),
        "first_token": seconds / 2,
        "live": {"total": 2 * seconds, "first_token": seconds} if id == "a" else None,
    }


RECORDS = [
    record("a", "read", "large", 1, 1, 0.1, 2.0),
    record("b", "read", "small", 1, 0, 0.0, 1.0),
    record("c", "colour", "large", 0, 0, 0.1, 3.0),
    record("d", "read", "large", 1, 1, 0.2, 2.0),
]


def test_groups_and_all():
    groups = summarise(RECORDS)
    assert list(groups) == ["colour", "read", "all"]
    assert groups["read"].n == 3 and groups["read"].accuracy == 1 and groups["colour"].accuracy == 0
    told = groups["all"]
    assert (told.n, told.accuracy, told.small_accuracy, told.large_accuracy, told.exits) == (4, 0.75, 1.0, 0.5, 0.25)
    assert told.average_retention == pytest.approx(0.1) and told.kept == pytest.approx(1.0) and told.visual == 10
    assert told.low < 0.75 < told.high and told.flops == 2e9 and told.difference is None


def test_questions_about_one_picture_widen_the_interval():
    apart, together = summarise(RECORDS)["read"], summarise([r | {"group": "p"} for r in RECORDS])["read"]
    assert together.accuracy == apart.accuracy and together.high - together.low > apart.high - apart.low


def test_what_nobody_judged_has_no_accuracy_but_an_agreement():
    nobody = {"score": None, "small_score": None, "large_score": None}
    told = summarise([record | nobody for record in RECORDS])["all"]
    assert told.accuracy is told.low is told.high is told.small_accuracy is told.difference is None
    assert told.agreement == 0.5 == summarise(RECORDS)["all"].agreement and told.exits == 0.25


def test_seconds():
    told = summarise(RECORDS)["all"]
    assert told.seconds == 2.0 and told.stages["total"].median == 2.0 and list(told.stages)[-1] == "total"
    assert told.stages["large_prefill"].n == 3 and told.stages["small_prefill"].n == 4
    assert told.first_token is not None and told.first_token.median == 1.0
    assert told.live is not None and (told.live.n, told.live.median) == (1, 4.0)
    assert told.live_first_token is not None and told.live_first_token.median == 2.0


def test_the_difference_is_over_questions_that_both_answered():
    baseline = scores_by_id(RECORDS) | {"a": 0.0, "x": 1.0}
    del baseline["d"]
    told = summarise(RECORDS, baseline)
    assert told["all"].difference is not None and told["all"].difference.n == 3
    assert told["all"].difference.mean == pytest.approx(1 / 3) and told["colour"].difference.mean == 0
    assert as_json(told)["all"]["difference"]["n"] == 3


def test_a_model_that_skipped_a_question_has_no_accuracy():
    groups = summarise([RECORDS[0], record("b", "read", "small", 1, None, 0.0, 1.0)])
    assert groups["all"].large_accuracy is None and groups["all"].small_accuracy == 1


def test_a_kind_named_all_is_not_told_twice():
    assert list(summarise([RECORDS[0] | {"kind": "all"}])) == ["all"]
