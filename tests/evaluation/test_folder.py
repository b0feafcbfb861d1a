"""A user's own questions: what is read, and what is said of every line that cannot be."""

import json

import pytest
from PIL import Image

from stitchvlm.errors import DataError
from stitchvlm.evaluation.folder import load_folder
from stitchvlm.evaluation.tasks import count_problems, open_task


@pytest.fixture
def write(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 6), "white").save(tmp_path / "images" / "a.png")

    def to_file(*lines, name="questions.jsonl"):
        told = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (tmp_path / name).write_bytes(b"\n".join(told) + b"\n")
        return tmp_path / name

    return to_file


def row(**fields):
    return {"image": "images/a.png", "question": "What?", "answer": "x"} | fields


def test_one_question_a_line(write):
    path = write(row(id="q1", kind="total"), row(answers=["y", "Y"], metric="anls"), row(answer=3))
    samples, problems = load_folder(path)
    assert not problems and [sample.id for sample in samples] == ["q1", "line-2", "line-3"]
    assert [sample.answers for sample in samples] == [("x",), ("y", "Y"), ("3",)]
    assert [sample.metric for sample in samples] == ["exact", "anls", "exact"] and samples[0].kind == "total"
    assert samples[0].picture().size == (8, 6) and samples[2].line == 3


def test_several_questions_about_one_picture(write):
    """The form of scanned receipts: fields of each, and lines with boxes that nobody asks about."""
    qa = [{"question": "Total?", "field": "total", "answer": "1.50"}, {"question": "When?", "answer": "07-02-18"}]
    samples, problems = load_folder(write({"id": "186", "image": "images/a.png", "qa": qa, "lines": []}), "anls")
    assert not problems and [sample.id for sample in samples] == ["186/total", "186/1"]
    assert [sample.kind for sample in samples] == ["total", "all"] and samples[0].metric == "anls"
    assert samples[0].group == samples[1].group == "images/a.png"


def test_one_picture_is_one_group_however_it_is_spelled(write, tmp_path):
    """Its questions depend on each other; those about another of the same name in another folder do not."""
    (tmp_path / "images" / "more").mkdir()
    Image.new("RGB", (8, 6), "black").save(tmp_path / "images" / "more" / "a.png")
    spelled = [
        "images/a.png",
        "./images/a.png",
        "images//a.png",
        "images/more/../a.png",
        str(tmp_path / "images/a.png"),
    ]
    spelled.append(f"../{tmp_path.name}/images/a.png")
    samples, problems = load_folder(write(*(row(image=name) for name in [*spelled, "images/more/a.png"])))
    assert not problems
    assert [sample.group for sample in samples] == ["images/a.png"] * 6 + ["images/more/a.png"]
    assert all(sample.picture().size == (8, 6) for sample in samples)


def test_a_rectangle_is_one_answer_and_a_list_is_several(write):
    samples, _ = load_folder(write(row(answer=[0, 0, 1, 1], metric="iou", id="a"), row(answer=["a", "b"], id="b")))
    assert samples[0].answers == ("[0, 0, 1, 1]",) and samples[1].answers == ("a", "b")


BAD = [
    (b"{", "malformed line"),
    (b"\xff\xfe", "malformed line"),
    ([1, 2], "malformed line"),
    ({"question": "What?", "answer": "x"}, "malformed line"),
    ({"image": "images/a.png", "qa": []}, "malformed line"),
    ({"image": "images/a.png", "qa": ["What?"]}, "malformed line"),
    (row(image="images/none.png"), "missing picture"),
    (row(image="images"), "missing picture"),
    (row(question=" "), "empty question"),
    (row(question=None), "empty question"),
    (row(answer=""), "empty answer"),
    (row(answer=None), "empty answer"),
    (row(answers=[" ", None]), "empty answer"),
    (row(metric="bleu"), "unknown metric"),
    (row(metric=[]), "unknown metric"),
    (row(metric={"exact": 1}), "unknown metric"),
    (row(image="data:image/png;base64,iVBORw0KGgo="), "malformed line"),
    (row(image="x" * 5000), "missing picture"),
    (row(image="a\0.png"), "missing picture"),
    (row(id=["first"]), "malformed line"),
    (row(id=True), "malformed line"),
    (row(kind={"a": 1}), "malformed line"),
    (row(answers=[]), "empty answer"),
    (row(answers={"a": "x"}), "empty answer"),
    ({"image": "images/a.png", "qa": {}}, "malformed line"),
    ({"image": "images/a.png", "qa": None}, "malformed line"),
    ({"image": "images/a.png", "qa": [{"question": None, "answer": "x"}]}, "empty question"),
    (b"[" * 100_000, "malformed line"),
    (b'{"image": "images/a.png", "question": "half a character: \\ud800", "answer": "x"}', "malformed line"),
    (row(id="first"), "duplicate id"),
]


@pytest.mark.parametrize(("line", "what"), BAD, ids=[f"{what} {number}" for number, (_, what) in enumerate(BAD)])
def test_what_is_wrong_is_told_by_line(write, line, what):
    path = write(row(id="first"), b"", line, row(id="last"))
    samples, problems = load_folder(path)
    assert [sample.id for sample in samples] == ["first", "last"]
    assert [(problem.line, problem.what) for problem in problems] == [(3, what)]
    assert len(problems[0].detail) < 200
    task = open_task(f"folder:{path}")
    assert len(task.samples) == 2 and count_problems(task.problems) == f"1 {what}"
    with pytest.raises(DataError, match=f"line 3: {what}.*leave --strict out"):
        open_task(f"folder:{path}", strict=True)


def test_null_is_as_good_as_nothing_and_numbers_are_texts(write):
    lines = [row(id=None, kind=None, metric=None, answers=None), row(id=5, answers=[7, 1.5]), row(id="5"), row(id=0)]
    qa = {"image": "images/a.png", "id": None, "qa": [{"id": 0, "question": "What?", "answer": "x", "metric": None}]}
    samples, problems = load_folder(write(*lines, qa), "anls")
    assert [sample.id for sample in samples] == ["line-1", "5", "0", "line-5/0"]
    assert [(problem.line, problem.what) for problem in problems] == [(3, "duplicate id")]
    assert samples[0].answers == ("x",) and samples[1].answers == ("7", "1.5") and samples[0].kind == "all"
    assert {sample.metric for sample in samples} == {"anls"}


def test_what_is_wrong_with_one_question_of_a_picture_leaves_the_others(write):
    qa = [{"question": "Total?", "answer": "1"}, {"question": "", "answer": "1"}, {"question": "When?", "answer": []}]
    qa += [{"question": "Who?", "answer": "x", "id": {}}, {"question": "Where?", "answer": "x"}]
    samples, problems = load_folder(write({"image": "images/a.png", "id": "p", "qa": qa}))
    assert [sample.id for sample in samples] == ["p/0", "p/4"]
    assert [problem.what for problem in problems] == ["empty question", "empty answer", "malformed line"]


def test_unlabelled_questions_need_no_answer_and_nothing_else_is_forgiven(write):
    bare = {"image": "images/a.png", "question": "What?"}
    path = write(bare, row(id="known"), bare | {"question": ""}, bare | {"image": "none.png"}, row(id="known"))
    samples, problems = load_folder(path, unlabelled=True)
    assert [(sample.id, sample.answers, sample.gold) for sample in samples] == [("line-1", (), ""), ("known", (), "")]
    assert [problem.what for problem in problems] == ["empty question", "missing picture", "duplicate id"]
    assert open_task(f"folder:{path}", unlabelled=True).name == f"{open_task(f'folder:{path}').name} unlabelled"
    with pytest.raises(ValueError, match="leave --metric anls or --unlabelled out"):
        open_task(f"folder:{path}", metric="anls", unlabelled=True)


def test_a_byte_order_mark_is_no_text(write):
    samples, problems = load_folder(write(b"\xef\xbb\xbf" + json.dumps(row()).encode()))
    assert len(samples) == 1 and not problems


def test_a_file_without_questions_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="line 1: missing picture"):
        open_task(f"folder:{write(row(image='none.png'))}")
    with pytest.raises(DataError, match="holds no question"):
        open_task(f"folder:{write(b'')}")
    with pytest.raises(ValueError, match="no file .*none.jsonl"):
        open_task(f"folder:{tmp_path / 'none.jsonl'}")
    with pytest.raises(ValueError, match="is a folder: name the file"):
        open_task(f"folder:{tmp_path}")


def test_names_tell_contents_and_metrics_apart_but_not_places(write):
    one = open_task(f"folder:{write(row())}").name
    assert open_task(f"folder:{write(row())}", metric="anls").name == f"{one} by anls"
    assert open_task(f"folder:{write(row(), row())}").name != one and "/" not in one


def test_only_files_take_a_metric(write, scenes_task):
    with pytest.raises(ValueError, match="no metric 'bleu'"):
        open_task(f"folder:{write(row())}", metric="bleu")
    with pytest.raises(ValueError, match="leave --metric anls out"):
        open_task("scenes", metric="anls")
    with pytest.raises(ValueError, match="scenes has right answers: leave --unlabelled out"):
        open_task("scenes", unlabelled=True)
