"""``stitch compare`` from the outside: files, study, resume, refusal, the user's own questions."""

import json
import subprocess
import sys
import time

import pytest
from test_engine import picture
from typer.testing import CliRunner

from stitchvlm.cli import app
from stitchvlm.errors import DataError
from stitchvlm.evaluation.results import ResultFile, read_records, read_settings, settings_path
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tables import STUDY, StudyTable

QUICK = ["--device", "cpu", "--max-new-tokens", "4", "--no-memory", "--live", "1", "--agreement", "2"]


@pytest.fixture
def compare(tiny_pair, scenes_task):
    def run(out, *options: str, task: str = "scenes"):
        pair = ["--small", tiny_pair[0], "--large", tiny_pair[1]]
        return CliRunner(env={"COLUMNS": "80"}).invoke(
            app, ["compare", task, *pair, *QUICK, "--out", str(out), *options]
        )

    return run


def test_rows_and_study(compare, tmp_path):
    out = tmp_path / "new" / "study"
    options = ["--n", "3", "--methods", "guided,random,fastv:layer=1,none", "--keep", "50%,0.25", "--exit", "never"]
    done = compare(out, *options)
    assert done.exit_code == 0, done.stderr
    study = StudyTable.read(out / STUDY)
    names = [f"{name} {keep}%" for name in ("guided", "random", "fastv (layer 1)") for keep in (50, 25)]
    assert [row.name for row in study.rows] == ["small-alone", "large-alone", *names]
    for row in study.rows:
        assert row.all["n"] == 3 and row.all["live"]["n"] == 1 and row.runs
        assert row.method == "large-alone" or row.all["difference"]["n"] == 3
        assert (
            len(
                read_records(
                    out / f"{row.name.replace(' (', '-').replace(') ', '-').replace(' ', '-').rstrip('%')}.jsonl"
                )
            )
            == 3
        )
    assert study.row_of("large-alone").all["difference"] is None and study.warnings == []
    assert study.row_of("guided").curve and study.agreement["n"] == 2 and study.problems == []
    assert all(name in done.stdout for name in names) and "…" not in done.stdout
    assert "3 questions about 3 pictures" in " ".join(done.stdout.split())
    told = json.loads(compare(out, *options, "--json").stdout)
    assert [row["name"] for row in told["rows"]] == [row.name for row in study.rows]


def test_a_row_that_cannot_come_down_to_its_share_is_named_and_left_out(compare, tmp_path):
    """Six layers: what stays whole up to layer 2 is 33 % already."""
    done = compare(tmp_path, "--n", "1", "--methods", "fastv", "--keep", "50%,9%")
    assert done.exit_code == 0, done.stderr
    study = StudyTable.read(tmp_path / STUDY)
    assert [row.name for row in study.rows] == ["small-alone", "large-alone", "fastv 50%"]
    (why,) = study.left_out
    assert why.startswith("fastv 9%: ") and "33.3% of 6 layers" in why and "not compared: fastv 9%" in done.stdout
    alone = compare(tmp_path / "other", "--methods", "fastv", "--keep", "9%")
    assert alone.exit_code == 2 and "fastv 9%: fastv keeps everything up to layer 2" in alone.stderr


def test_more_questions_and_more_rows_go_into_the_same_folder(compare, tmp_path):
    compare(tmp_path, "--n", "2", "--methods", "random", "--keep", "50%")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    assert compare(tmp_path, "--n", "3", "--methods", "uniform", "--keep", "50%").exit_code == 0
    for name, content in before.items():
        assert (tmp_path / name).read_bytes().startswith(content)
    study = StudyTable.read(tmp_path / STUDY)
    assert {row.name: row.all["n"] for row in study.rows} == {"small-alone": 3, "large-alone": 3, "uniform 50%": 3}
    assert study.notes == ["not in the table: random 50% (random-50.jsonl) has not answered 1 of the questions"]


def test_an_earlier_row_with_more_questions_is_compared_on_those_that_are_asked(compare, tmp_path):
    compare(tmp_path, "--n", "3", "--methods", "random", "--keep", "50%")
    told = compare(tmp_path, "--n", "2", "--methods", "uniform", "--keep", "50%")
    study = StudyTable.read(tmp_path / STUDY)
    rows = {row.name: row.all["n"] for row in study.rows}
    assert rows == {"small-alone": 2, "large-alone": 2, "uniform 50%": 2, "random 50%": 2} and not study.notes
    assert told.exit_code == 0 and "2 questions" in told.stdout


def test_earlier_rows_with_other_settings_stay_out_of_the_table(compare, tmp_path):
    out = tmp_path / "results"
    compare(out, "--n", "1", "--methods", "random", "--keep", "50%")
    for file in (tmp_path / "results").glob("random-50.jsonl*"):
        file.rename(file.with_name(file.name.replace("random-50", "other")))
    settings = settings_path(out / "other.jsonl")
    settings.write_text(settings.read_text().replace('"max_tiles": null', '"max_tiles": 1'))
    assert compare(out, "--n", "1", "--methods", "uniform", "--keep", "50%").exit_code == 0
    assert [row.name for row in StudyTable.read(out / STUDY).rows] == ["small-alone", "large-alone", "uniform 50%"]


def test_a_broken_older_study_ends_the_run_before_it_begins(compare, tmp_path, monkeypatch):
    monkeypatch.setattr("stitchvlm.evaluation.compare.Study.run", lambda *_: pytest.fail("nothing may be asked"))
    (tmp_path / STUDY).write_text("{")
    done = compare(tmp_path, "--n", "1", "--methods", "random", "--keep", "50%")
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1 and "study.json is no study" in done.stderr


def test_agreement_of_other_models_is_not_taken_over(compare, tmp_path):
    compare(tmp_path, "--n", "2", "--methods", "random", "--keep", "50%")
    told = json.loads((tmp_path / STUDY).read_text())
    told["agreement"]["n"] = 99
    (tmp_path / STUDY).write_text(json.dumps(told))
    compare(tmp_path, "--n", "2", "--methods", "random", "--keep", "50%")
    assert StudyTable.read(tmp_path / STUDY).agreement["n"] == 99, "more than are asked for are there"
    for row in told["rows"]:
        row["settings"]["large"] = "another one"
    (tmp_path / STUDY).write_text(json.dumps(told))
    compare(tmp_path, "--n", "2", "--methods", "random", "--keep", "50%")
    assert StudyTable.read(tmp_path / STUDY).agreement["n"] == 2


def test_peak_memory_is_measured_once_per_row(tiny_pair, scenes_task, tmp_path, monkeypatch):
    asked = []

    def measure(settings, task, question, devices):
        asked.append((settings.method, task, question))
        return {"resident": 500.0 + len(asked)}

    monkeypatch.setattr("stitchvlm.evaluation.compare.peak_memory", measure)
    quick = [option for option in QUICK if option != "--no-memory"]
    pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], *quick, "--methods", "random", "--keep", "50%"]
    for n in ("1", "2"):
        done = CliRunner().invoke(app, ["compare", "scenes", *pair, "--n", n, "--out", str(tmp_path)])
        assert done.exit_code == 0, done.stderr
    assert asked == [(method, "scenes", "q0") for method in ("small-alone", "large-alone", "random")]
    rows = StudyTable.read(tmp_path / STUDY).rows
    assert [row.memory for row in rows] == [{"resident": 501.0}, {"resident": 502.0}, {"resident": 503.0}]
    assert not any("memory" in row.settings for row in rows)


def test_memory_that_cannot_be_measured_is_a_problem_and_no_end(tiny_pair, scenes_task, tmp_path, monkeypatch):
    def measure(settings, *_):
        if settings.method == "large-alone":
            raise DataError("memory could not be measured (it was killed): leave it out")
        return {"resident": 500.0}

    monkeypatch.setattr("stitchvlm.evaluation.compare.peak_memory", measure)
    quick = [option for option in QUICK if option != "--no-memory"]
    options = ["--small", tiny_pair[0], "--large", tiny_pair[1], *quick, "--methods", "random", "--keep", "50%"]
    command = ["compare", "scenes", *options, "--n", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert (
        done.exit_code == 0 and "peak memory: large-alone: memory could not be measured (it was killed)" in done.stderr
    )
    study = StudyTable.read(tmp_path / STUDY)
    assert [bool(row.memory) for row in study.rows] == [True, False, True] and len(study.problems) == 1
    strict = CliRunner().invoke(app, [*command, "--strict"])
    assert strict.exit_code == 1 and "it was killed" in strict.stderr


def test_two_runs_on_one_folder_are_refused(compare, tmp_path):
    compare(tmp_path, "--n", "1", "--methods", "random", "--keep", "50%")
    file = tmp_path / "random-50.jsonl"
    settings = {name: value for name, value in read_settings(file).items() if name != "runs"}
    with ResultFile(file, settings):
        done = compare(tmp_path, "--n", "2", "--methods", "random", "--keep", "50%")
    assert done.exit_code == 2 and "another run is writing to" in done.stderr


def test_a_killed_comparison_goes_on_where_it_stopped(tiny_pair, scenes, tmp_path):
    code = (
        "import pathlib, time\n"
        "from stitchvlm.cli import main\n"
        "from stitchvlm.evaluation import tasks, study\n"
        f"tasks.TASKS['scenes'] = lambda: tasks.load_archive(pathlib.Path({str(scenes)!r}))\n"
        "record = study.Study._record\n"
        "study.Study._record = lambda self, *rest: time.sleep({pause}) or record(self, *rest)\n"
        "main()\n"
    )
    rows = ["--methods", "random", "--keep", "50%", "--json"]
    options = [
        "compare",
        "scenes",
        "--small",
        tiny_pair[0],
        "--large",
        tiny_pair[1],
        *QUICK,
        *rows,
        "--out",
        str(tmp_path),
    ]
    last = tmp_path / "random-50.jsonl"
    slow = subprocess.Popen([sys.executable, "-c", code.replace("{pause}", "0.1"), *options], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not (last.exists() and last.read_bytes().count(b"\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    slow.kill()
    slow.communicate(timeout=30)
    assert 2 <= last.read_bytes().count(b"\n") < 8 and not (tmp_path / STUDY).exists()
    done = subprocess.run(
        [sys.executable, "-c", code.replace("{pause}", "0"), *options], capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in ("small-alone", "large-alone", "random-50"):
        assert [record["id"] for record in read_records(tmp_path / f"{name}.jsonl")] == [f"q{n}" for n in range(8)]
    assert {row["groups"]["all"]["n"] for row in json.loads(done.stdout)["rows"]} == {8}


@pytest.fixture
def questions(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    picture(64, 48).save(folder / "a.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    rows = [
        {"image": "a.png", "question": "What?", "answer": "x", "id": "good"},
        {"image": "none.png", "question": "What?", "answer": "x"},
        {"image": "broken.png", "question": "What?", "answer": "x"},
        {"image": "a.png", "question": "What?", "answer": "x", "id": "good"},
        {"image": "a.png", "question": "Why?", "answer": "y"},
    ]
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    return path


@pytest.mark.parametrize("command", ["compare", "eval"])
def test_bad_lines_are_told_and_the_rest_is_answered(questions, tiny_pair, tmp_path, command):
    pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--device", "cpu", "--max-new-tokens", "4", "--live", "0"]
    own = ["--methods", "random", "--keep", "50%", "--no-memory", "--agreement", "0"] if command == "compare" else []
    arguments = [command, f"folder:{questions}", *pair, *own, "--metric", "anls", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for told in (
        "line 2: missing picture: none.png",
        "line 4: duplicate id",
        "line 6: malformed line",
        "line 3: question that",
    ):
        assert told in done.stderr
    assert "1 missing picture, 1 duplicate id, 1 malformed line, 1 question that cannot be asked" in done.stderr
    path = tmp_path / "out" / "random-50.jsonl" if command == "compare" else tmp_path / "out"
    assert [record["id"] for record in read_records(path)] == ["good", "line-5"]
    assert read_records(path)[0]["metric"] == "anls"
    if command == "compare":
        assert len(StudyTable.read(tmp_path / "out" / STUDY).problems) == 4
    strict = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "strict"), "--strict"])
    assert strict.exit_code == 1 and "line 2: missing picture" in strict.stderr and len(strict.stderr.splitlines()) == 1


def test_a_row_that_can_be_asked_nothing_is_left_out_with_its_reason(questions, tiny_pair, tmp_path, monkeypatch):
    """The others are compared; where no row can be asked anything, that is the error."""
    mute, reply = ["random 50%"], Study._reply

    def refuse(study, question, row, small):
        if row.name in mute:
            raise ValueError(f"{row.name} is never asked")
        return reply(study, question, row, small)

    monkeypatch.setattr(Study, "_reply", refuse)
    pair = ["--small", tiny_pair[0], "--large", tiny_pair[1], *QUICK, "--methods", "random,guided", "--keep", "50%"]
    done = CliRunner().invoke(app, ["compare", f"folder:{questions}", *pair, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.stderr
    study = StudyTable.read(tmp_path / "out" / STUDY)
    assert [(row.name, row.all["n"]) for row in study.rows] == (
        [("small-alone", 2), ("large-alone", 2), ("guided 50%", 2)]
    )
    assert study.left_out == ["random 50%: random 50% is never asked"] and "random 50% is never" in done.stdout
    assert len(study.problems) == 4 and not any("never asked" in problem for problem in study.problems)
    mute += ["large-alone", "guided 50%"]
    monkeypatch.setattr(Study, "_look", lambda *_: refuse(*_, None))
    mute.append("small-alone")
    none = CliRunner().invoke(app, ["compare", f"folder:{questions}", *pair, "--out", str(tmp_path / "none")])
    assert none.exit_code == 1 and "no question could be asked, line 2" in none.stderr
    assert not (tmp_path / "none" / STUDY).exists()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--methods", "guided,magic"], "'magic'"),
        (["--methods", "guided,,random"], "'guided,,random'"),
        (["--methods", "fastv:depth=1"], "'depth'"),
        (["--keep", "9%,2"], "keep must be"),
        (["--exit", "often"], "'often'"),
        (["--exit", "0.8701,0.8702"], "exit 0.8701 and exit 0.8702 would both be called 'guided 35% + exit 0.87'"),
        (["--methods", "fastv:layer=9"], "layer 9"),
        (["--n", "9"], "between 1 and 8"),
    ],
)
def test_bad_options_are_one_sentence(compare, tmp_path, options, names):
    done = compare(tmp_path / "out", *options)
    assert done.exit_code == 2 and names in done.stderr and len(done.stderr.splitlines()) == 1
