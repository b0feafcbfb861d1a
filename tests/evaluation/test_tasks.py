"""Tasks are read whole or not at all."""

import json
import zipfile

import pytest

from stitchvlm.errors import DataError
from stitchvlm.evaluation.archive import load_archive
from stitchvlm.evaluation.examples import drawn_examples
from stitchvlm.evaluation.tasks import load_task


def test_scenes_are_read_from_their_archive(scenes):
    samples = load_archive(scenes)
    assert [sample.id for sample in samples] == [f"q{n}" for n in range(8)]
    assert samples[0].gold == "K7P" and samples[0].boxes == ((0.1, 0.1, 0.5, 0.5),) and samples[7].kind == "colour"
    assert samples[3].picture().size == (64, 48)


def test_documents_are_judged_by_what_is_asked():
    samples = load_task("documents")
    assert {sample.metric for sample in samples} == {"exact", "iou"} and all(sample.boxes for sample in samples)
    assert {sample.metric for sample in load_task("documents/where")} == {"iou"}
    assert {sample.kind for sample in load_task("documents/total")} == {"total"}
    assert samples[0].picture().width > 200


def test_boxes_and_metrics_are_optional(tmp_path):
    row = {"id": 1, "kind": "total", "image": "0.jpg", "question": "Total?", "answer": "3"}
    boxes = [[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]
    rows = [row, row | {"id": 2, "boxes": []}, row | {"id": 3, "boxes": boxes, "metric": "iou"}]
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("questions.jsonl", "\n".join(map(json.dumps, rows)))
    bare, empty, full = load_archive(tmp_path / "some.zip")
    assert bare.boxes == empty.boxes == () and bare.metric == "exact"
    assert full.boxes == ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)) and full.metric == "iou"


def test_first_n(scenes_task):
    assert len(load_task("scenes")) == 8 and [s.id for s in load_task("scenes", 2)] == ["q0", "q1"]


@pytest.mark.parametrize("n", [0, -1, 9])
def test_no_more_than_there_are(scenes_task, n):
    with pytest.raises(ValueError, match=f"between 1 and 8.*not {n}"):
        load_task("scenes", n)


def test_kinds(scenes_task):
    assert [s.id for s in load_task("scenes/colour")] == ["q5", "q6", "q7"] and len(load_task("scenes/read", 2)) == 2
    for name in ("scenes/", "scenes/poems"):
        with pytest.raises(ValueError, match="scenes has no kind '.*': choose one of colour, read"):
            load_task(name)


def test_unknown_task():
    with pytest.raises(ValueError, match="no task 'poems': choose one of documents, scenes"):
        load_task("poems")


def test_broken_archives_are_named(tmp_path):
    with pytest.raises(DataError, match="missing"):
        load_archive(tmp_path / "scenes.zip")
    (tmp_path / "scenes.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="broken"):
        load_archive(tmp_path / "scenes.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("questions.jsonl", "{")
    with pytest.raises(DataError, match="broken"):
        load_archive(tmp_path / "empty.zip")


def test_the_same_seed_draws_the_same():
    first, again, other = *drawn_examples((5,)), *drawn_examples((5,)), *drawn_examples((6,))
    assert first.picture.tobytes() == again.picture.tobytes() != other.picture.tobytes()
    assert first.gold == again.gold and len(first.gold) == 3 and first.question.endswith("?")
