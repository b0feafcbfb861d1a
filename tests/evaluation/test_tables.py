"""Studies on disk: written, read, and found."""

import json

import pytest
from made_up import made_up_study

from stitchvlm.errors import DataError
from stitchvlm.evaluation.tables import STUDY, StudyTable, find_studies, slug


def test_a_study_is_read_as_it_was_written(tmp_path):
    study = made_up_study(tmp_path)
    study.write(tmp_path / STUDY)
    again = StudyTable.read(tmp_path / STUDY)
    assert again == study and again.row_of("random") == study.rows[5] and again.row_of("magic") is None
    assert find_studies(tmp_path) == [again]


def test_figures_keep_six_digits(tmp_path):
    study = made_up_study(tmp_path)
    study.rows[0].groups["all"]["seconds"] = 1 / 3
    study.write(tmp_path / STUDY)
    assert json.loads((tmp_path / STUDY).read_text())["rows"][0]["groups"]["all"]["seconds"] == 0.333333


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 0}', '{"schema": 1, "rows": []}'])
def test_a_broken_study_is_named(tmp_path, content):
    (tmp_path / STUDY).write_text(content)
    with pytest.raises(DataError, match="study.json .*make it anew with stitch compare"):
        find_studies(tmp_path)


def test_no_results_is_one_sentence(tmp_path):
    (tmp_path / "other.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="holds no judged results"):
        find_studies(tmp_path)
    with pytest.raises(ValueError, match="no folder .*none"):
        find_studies(tmp_path / "none")


def test_labels_become_file_names():
    assert slug("fastv (layer 1) 9%") == "fastv-layer-1-9" and slug("guided 12.5% + exit 0.4") == "guided-12.5-exit-0.4"
