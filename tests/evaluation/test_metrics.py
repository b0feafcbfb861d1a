"""Right or wrong, against cases worked out by hand."""

import pytest

from stitchvlm.evaluation.metrics import (
    anls,
    box_match,
    check_metric,
    edit_distance,
    exact_match,
    intersection_over_union,
    is_correct,
    relaxed_accuracy,
)
from stitchvlm.evaluation.vqa import vqa_accuracy, vqa_form


@pytest.mark.parametrize("answer", ["K7P", " k7p ", "K7P.", "k7p. "])
def test_what_nobody_means_does_not_count(answer):
    assert is_correct(answer, "K7P")


@pytest.mark.parametrize("answer", ["K7", "K7P..", "K 7P", "", "the code is K7P"])
def test_everything_else_does(answer):
    assert not is_correct(answer, "K7P")


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("$45.35", "45.35"), ("45.35", "RM 45.35"), ("rm45.35", "RM45.35"), ("99  Speed\nMart", "99 SPEED MART")],
)
def test_currency_signs_and_spaces_do_not_count(answer, gold):
    assert exact_match(answer, [gold]) == 1


def test_a_word_is_no_currency():
    assert exact_match("rmx", ["x"]) == 0 and exact_match("$ales", ["ales"]) == 0


def test_any_of_several_answers_is_right():
    assert exact_match("b", ["a", "B"]) == 1 and exact_match("c", ["a", "b"]) == 0


# The official rules of VQA, one by one


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("The Dog", "dog"),
        ("A  red\nball.", "red ball"),
        ("two", "2"),
        ("none", "0"),
        ("3.5", "3.5"),
        ("U.S.", "us"),
        ("1,000", "1000"),
        ("dont know", "don't know"),
        ("shouldn'tve", "shouldn't've"),
        ("its hell", "its hell"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("black, white", "black white"),
        ("yes!", "yes"),
        ("10:30", "10:30"),
        ("man's hat", "man's hat"),
    ],
)
def test_vqa_form(answer, form):
    assert " ".join(vqa_form(answer).split()) == form


def test_a_mark_at_the_end_becomes_a_space_that_splitting_drops():
    assert vqa_form("yes!") == "yes"


@pytest.mark.parametrize(
    ("n_agree", "accuracy"),
    # Of ten people k say "red". Leaving each out in turn: k times (k-1)/3, ten minus k times k/3, neither above one.
    [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)],
)
def test_vqa_accuracy_of_ten_people(n_agree, accuracy):
    assert vqa_accuracy("Red.", ["red"] * n_agree + ["blue"] * (10 - n_agree)) == pytest.approx(accuracy)


def test_vqa_accuracy_of_few_people():
    assert vqa_accuracy("2", ["two"]) == 1 and vqa_accuracy("3", ["two"]) == 0
    assert vqa_accuracy("red", ["red", "red"]) == 1 and vqa_accuracy("red", ["red", "blue"]) == 0.5


# Documents and charts


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("flaw", "lawn", 2)],
)
def test_edit_distance(first, second, edits):
    assert edit_distance(first, second) == edit_distance(second, first) == edits


@pytest.mark.parametrize(
    ("answer", "golds", "score"),
    [
        ("Kitten", ["kitten"], 1.0),
        ("sitting", ["kitten"], 1 - 3 / 7),
        ("sitting", ["kitten", "sittin"], 1 - 1 / 7),
        ("abcd", ["abxy"], 0.0),  # half of it changed: not below the threshold
        ("abcde", ["abcxy"], 0.6),
        ("", ["a"], 0.0),
        ("99 speed  mart", ["99 SPEED MART"], 1.0),
    ],
)
def test_anls(answer, golds, score):
    assert anls(answer, golds) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("105", "100", True),
        ("95", "100", True),
        ("105.1", "100", False),
        ("94.9", "100", False),
        ("1.05", "1", True),
        ("-105", "-100", True),
        ("100", "-100", False),
        ("5%", "0.0525", True),
        ("12 %", "12.5%", True),
        ("0", "0", True),
        ("0.001", "0", False),
        ("North", "north ", True),
        ("north", "northern", False),
        ("nan", "1", False),
        ("1e400", "1", False),
    ],
)
def test_relaxed_accuracy(answer, gold, right):
    assert relaxed_accuracy(answer, [gold]) == right


# Rectangles


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6),
        ((0, 0, 2, 2), (0, 0, 2, 1), 0.5),
        ((0, 0, 1, 1), (1, 1, 2, 2), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
        ((2, 2, 0, 0), (0, 0, 2, 2), 0.0),
    ],
)
def test_intersection_over_union(first, second, share):
    assert intersection_over_union(first, second) == pytest.approx(share)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("[[0, 0, 2, 1]]", 1), ("<box>(0,0),(2,1)</box>", 1), ("0 0 2 0.9", 0), ("top left", 0), ("0 0 2", 0)],
)
def test_a_box_is_right_from_half_on(answer, right):
    assert box_match(answer, ["[0, 0, 2, 2]"]) == right


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="no metric 'bleu': choose one of exact, vqa, anls, relaxed, iou"):
        check_metric("bleu")
