"""``stitch eval`` from the outside: lines, summary, interruption, refusal."""

import json
import subprocess
import sys
import time

import pytest
from test_engine import picture
from typer.testing import CliRunner

from stitchvlm.cli import app
from stitchvlm.errors import DataError
from stitchvlm.evaluation.metrics import is_correct


@pytest.fixture
def evaluate(tiny_pair, scenes_task):
    def run(out, *options: str):
        pair = ["--small", tiny_pair[0], "--large", tiny_pair[1]]
        arguments = ["eval", "scenes", *pair, "--device", "cpu", "--max-new-tokens", "4", "--out", str(out), *options]
        return CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments)

    return run


def test_lines_and_summary(evaluate, tmp_path):
    out = tmp_path / "r.jsonl"
    result = evaluate(out, "--n", "6", "--exit", "0.01")
    assert result.exit_code == 0
    assert "95 % interval" in result.stdout and "colour" in result.stdout and "all" in result.stdout
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"q{n}" for n in range(6)]
    for line in lines:
        assert line["correct"] == (line["score"] == 1.0) == is_correct(line["answer"], line["gold"])


def test_more_questions_go_into_the_same_file(evaluate, tmp_path):
    out = tmp_path / "r.jsonl"
    evaluate(out, "--n", "2")
    before = out.read_bytes()
    told = json.loads(evaluate(out, "--n", "4", "--json").stdout)
    assert told["all"]["n"] == 4 and out.read_bytes().startswith(before)
    assert json.loads(evaluate(out, "--n", "3", "--json").stdout)["all"]["n"] == 3


def test_the_difference_from_the_large_model_alone(evaluate, tmp_path):
    alone, random = tmp_path / "alone.jsonl", tmp_path / "random.jsonl"
    evaluate(alone, "--n", "3", "--method", "large-alone")
    told = json.loads(evaluate(random, "--n", "2", "--method", "random", "--against", str(alone), "--json").stdout)
    assert told["all"]["difference"]["n"] == 2 and told["problems"] == []
    assert (
        "against the large model alone"
        in evaluate(random, "--n", "2", "--method", "random", "--against", str(alone)).stdout
    )
    other = evaluate(tmp_path / "r.jsonl", "--n", "1", "--against", str(random))
    assert other.exit_code == 2 and "not large-alone on scenes" in other.stderr
    assert "no file" in evaluate(tmp_path / "r.jsonl", "--n", "1", "--against", str(tmp_path / "none")).stderr
    longer = evaluate(tmp_path / "r.jsonl", "--n", "1", "--max-new-tokens", "3", "--against", str(alone))
    assert longer.exit_code == 2 and "recorded with max_new_tokens 4, not 3" in longer.stderr
    wider = evaluate(tmp_path / "s.jsonl", "--n", "4", "--method", "random", "--against", str(alone)).stdout
    assert "on the 3 questions that it was asked too" in " ".join(wider.split())


def test_peak_memory_is_told_where_it_was_asked_for(evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr("stitchvlm.evaluation.memory.peak_memory", lambda *_: {"resident": 512.0})
    out = tmp_path / "r.jsonl"
    assert json.loads(evaluate(out, "--n", "1", "--json").stdout)["memory"] == {}
    assert json.loads(evaluate(out, "--n", "1", "--json", "--memory").stdout)["memory"] == {"resident": 512.0}


def test_peak_memory_that_cannot_be_had_is_told_beside_the_rest(evaluate, tmp_path, monkeypatch):
    def fail(*_):
        raise DataError("memory could not be measured (killed): leave it out")

    monkeypatch.setattr("stitchvlm.evaluation.memory.peak_memory", fail)
    done = evaluate(tmp_path / "r.jsonl", "--n", "1", "--json", "--memory")
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["all"]["n"] == 1 and "(killed)" in told["problems"][0]
    assert evaluate(tmp_path / "r.jsonl", "--n", "1", "--memory", "--strict").exit_code == 1


@pytest.mark.parametrize(("method", "header"), [("random", "reduced large"), ("large-alone", "large")])
def test_the_answers_of_a_reduced_large_model_are_not_called_large(evaluate, tmp_path, method, header):
    head = evaluate(tmp_path / "r.jsonl", "--n", "1", "--method", method).stdout.splitlines()
    (names,) = (line.split("  ") for line in head if line.strip().startswith("kind"))
    assert header in [name.strip() for name in names if name.strip()]


def test_other_settings_are_one_sentence(evaluate, tmp_path):
    out = tmp_path / "r.jsonl"
    evaluate(out, "--n", "1")
    before = out.read_bytes()
    result = evaluate(out, "--keep", "20%")
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and "keep 0.09 (now 0.2)" in result.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code", "names"),
    [
        (["--n", "9"], 2, "between 1 and 8"),
        (["--keep", "2"], 2, "keep"),
        (["--exit", "2"], 2, "'2'"),
        (["--method", "magic"], 2, "'magic'"),
        (["--layer", "9"], 2, "layer 9"),
    ],
)
def test_bad_options_are_one_sentence(evaluate, tmp_path, options, code, names):
    result = evaluate(tmp_path / "r.jsonl", *options)
    assert result.exit_code == code and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and names in result.stderr


def test_a_full_disk_is_one_sentence(evaluate):
    result = evaluate("/dev/full", "--n", "1")
    assert result.exit_code == 1 and "stitch: there is no space left to write /dev/full" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_killed_run_goes_on_where_it_stopped(tiny_pair, scenes, tmp_path):
    out = tmp_path / "r.jsonl"
    code = (
        "import pathlib, time\n"
        "from stitchvlm.cli import main\n"
        "from stitchvlm.evaluation import tasks, study\n"
        f"tasks.TASKS['scenes'] = lambda: tasks.load_archive(pathlib.Path({str(scenes)!r}))\n"
        "record = study.Study._record\n"
        "study.Study._record = lambda self, *rest: time.sleep({pause}) or record(self, *rest)\n"
        "main()\n"
    )
    options = ["eval", "scenes", "--small", tiny_pair[0], "--large", tiny_pair[1], "--out", str(out), "--json"]
    slow = subprocess.Popen(
        [sys.executable, "-c", code.replace("{pause}", "0.3"), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 200
    while not (out.exists() and out.read_bytes().count(b"\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    slow.kill()
    slow.communicate(timeout=30)
    with out.open("ab") as file:
        file.write(b'{"id": "q7", "torn')
    n_before = out.read_bytes().count(b"\n")
    done = subprocess.run(
        [sys.executable, "-c", code.replace("{pause}", "0"), *options], capture_output=True, timeout=300
    )
    ids = [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert done.returncode == 0 and 2 <= n_before < 8 and ids == [f"q{n}" for n in range(8)]
    assert json.loads(done.stdout)["all"]["n"] == 8


def test_questions_without_right_answers_are_recorded_and_an_exit_fitted_to_agreement(tiny_pair, tmp_path):
    lines = []
    for number in range(5):
        picture(64, 48, number).save(tmp_path / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "question": "What?"}))
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    out, pair = tmp_path / "both.jsonl", ["--small", tiny_pair[0], "--large", tiny_pair[1], "--device", "cpu"]
    command = [
        "eval",
        f"folder:{tmp_path / 'q.jsonl'}",
        *pair,
        "--max-new-tokens",
        "4",
        "--live",
        "0",
        "--out",
        str(out),
    ]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1 and "5 empty answer" in refused.stderr
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, [*command, "--unlabelled"])
    assert done.exit_code == 0 and "nobody said what is right; small and large agree on" in done.stdout, done.stderr
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(records) == 5 and {(r["score"], r["small_score"], r["large_score"]) for r in records} == {(None,) * 3}
    fit = ["calibrate", str(out), "--target", "exit=0.5", "-o", str(tmp_path / "exit.json")]
    assert "give --agreement" in CliRunner().invoke(app, fit).stderr
    assert CliRunner().invoke(app, [*fit, "--agreement"]).exit_code == 0
    assert json.loads((tmp_path / "exit.json").read_text())["labels"] == "agreement"
    report = CliRunner().invoke(app, ["report", str(tmp_path), "-o", str(tmp_path / "r.html")])
    assert report.exit_code == 2 and "holds no judged results" in report.stderr


def test_one_model_is_enough_where_nobody_asks_the_other(tiny_pair, scenes_task, tmp_path):
    def run(role: str, model: str, method: str, *options: str):
        out = str(tmp_path / f"{method}.jsonl")
        common = ["--device", "cpu", "--max-new-tokens", "3", "--n", "2", "--live", "1", "--out", out, "--json"]
        return CliRunner(env={"COLUMNS": "200"}).invoke(
            app, ["eval", "scenes", role, model, "--method", method, *common, *options]
        )

    small, large = tiny_pair
    for method in ("large-alone", "random"):
        asked = run("--large", large, method)
        assert asked.exit_code == 2 and asked.stderr.endswith("or ask without it with --no-both\n")
        told = run("--large", large, method, "--keep", "50%", "--no-both")
        assert told.exit_code == 0 and json.loads(told.stdout)["all"]["small_accuracy"] is None, told.output
    both = run("--large", large, "guided")
    assert both.exit_code == 2 and both.stderr.endswith("alone with --method large-alone and --no-both\n")
    assert run("--small", small, "small-alone").exit_code == 0
    missing = run("--small", small, "guided")
    assert missing.exit_code == 2 and f"--small {small} needs a large model beside it" in missing.stderr
