"""The command line: what it prints, and that everything that goes wrong is one sentence and the right exit code."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from test_engine import picture as noise
from tiny import save_tiny_internvl
from typer.testing import CliRunner, Result

from stitchvlm import __version__
from stitchvlm.cli import app
from stitchvlm.commands.account import printable

GOLDEN = str(Path(__file__).parent / "data" / "golden" / "qwen2-llama")
SHORT = ["--max-new-tokens", "4", "--device", "cpu"]


def stitch(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, list(arguments))


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    noise(64, 48).save(path)
    return str(path)


@pytest.fixture
def ask(tiny_pair, picture):
    """Runs ``stitch ask`` about a good picture with a good pair; options given later win."""

    def run(*options: str, image: str = picture, question: str = "What is it?") -> Result:
        pair = ["--small", tiny_pair[0], "--large", tiny_pair[1]]
        return stitch("ask", image, question, *pair, *SHORT, *options)

    return run


def sentence(result: Result, code: int) -> str:
    """The one line on stderr of a command that failed as it should."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("stitch: ") and "Traceback" not in lines[0], result.stderr
    return lines[0]


# What it prints


def test_version():
    assert stitch("--version").stdout == f"stitch {__version__}\n"


@pytest.mark.parametrize(
    "command", ["ask", "demo", "eval", "methods", "models", "inspect", "golden", "verify", "train"]
)
def test_every_command_has_help(command):
    result = stitch(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.stdout


def test_json_is_one_object_and_nothing_else(ask):
    result = ask("--json", "--keep", "30%")
    told = json.loads(result.stdout)
    assert result.stderr == "" and result.exit_code == 0
    assert told["answered_by"] == "large" and told["answer"] == told["large_answer"]
    assert set(told["scores"]) == {"confidence", "consistency", "exit"}
    assert {"visual", "kept", "average_retention"} <= set(told["tokens"])
    assert told["tokens"]["visual"] == 20 and told["tokens"]["average_retention"] == pytest.approx(0.3, abs=0.02)
    stages = {stage: seconds for stage, seconds in told["seconds"].items() if stage != "total"}
    assert {"small_prefill", "exit_check", "large_prefill", "large_decode"} <= set(stages)
    assert sum(stages.values()) <= told["seconds"]["total"]
    assert isinstance(told["small_answer"], str)
    assert told["exit"] == {"score": "mean", "threshold": "never", "origin": None, "promise": None}


def test_json_of_an_exit(ask):
    told = json.loads(ask("--json", "--exit", "always", "--lazy-large").stdout)
    assert told["answered_by"] == "small" and told["answer"] == told["small_answer"]
    assert told["large_answer"] is None and told["tokens"]["kept"] == 0 and 0 <= told["scores"]["exit"] <= 1


@pytest.mark.parametrize("method", ["random", "large-alone"])
def test_methods_without_a_guide_run_no_small_model(ask, method):
    told = json.loads(ask("--json", "--method", method, "--keep", "50%").stdout)
    assert told["small_answer"] is None and told["scores"]["exit"] is None
    assert (told["tokens"]["kept"] == 20) == (method == "large-alone")


def test_the_account_has_the_pass_that_an_oracle_looks_with(ask):
    seconds = json.loads(ask("--json", "--method", "oracle", "--keep", "50%").stdout)["seconds"]
    assert seconds["large_own_map"] > 0
    assert "own map" in ask("--method", "oracle", "--keep", "50%").stdout
    assert "own map" not in ask("--keep", "50%").stdout


def test_layer_takes_keep_literally(ask):
    told = json.loads(ask("--json", "--keep", "0.5", "--layer", "2").stdout)
    assert told["tokens"]["kept_per_layer"] == [20, 20, 10, 10, 10, 10]


def test_options_of_a_method_come_from_its_fields(ask):
    told = json.loads(ask("--json", "--method", "fastv", "--layer", "2", "--keep", "0.05").stdout)
    assert told["tokens"]["kept_per_layer"] == [20, 20, 1, 1, 1, 1]
    told = json.loads(ask("--json", "--method", "fastv", "--option", "layer=3", "--keep", "66%").stdout)
    assert told["tokens"]["kept_per_layer"] == [20, 20, 20, 6, 6, 6] and told["tokens"]["average_retention"] == 0.65
    two = ["--option", "recycled=0", "--option", "stages=1"]
    told = json.loads(ask("--json", "--method", "sparsevlm", *two, "--keep", "60%").stdout)
    assert len(set(told["tokens"]["kept_per_layer"])) == 2


def test_the_small_model_alone_answers(ask):
    told = json.loads(ask("--json", "--method", "small-alone").stdout)
    assert told["answered_by"] == "small" and told["answer"] == told["small_answer"]


def test_methods_are_listed_for_people_and_for_programs():
    from stitchvlm.methods import available_methods

    result = stitch("methods")
    told = json.loads(stitch("methods", "--json").stdout)
    assert result.exit_code == 0 and list(told) == list(available_methods())
    for name in told:
        assert name in result.stdout
    assert told["fastv"]["options"] == {"layer": {"default": 2, "value": "a whole number"}}
    assert told["fastv"]["needs"] == ["the large model's attention in the layer before"]
    assert "arXiv 2403.06764" in told["fastv"]["paper"] and "2403.06764" in result.stdout


def test_an_overlay_is_written_and_named(ask, tmp_path):
    path = tmp_path / "overlay.png"
    assert str(path) in ask("--overlay", str(path)).stdout.replace("\n", "") and path.stat().st_size > 1000


def test_people_see_who_answered_and_the_seconds(ask):
    result = ask("--exit", "never")
    for word in ("answered by", "the large model", "draft", "confidence", "of 20 kept", "prefill", "total"):
        assert word in result.stdout
    assert "went through the large model" in ask("--exit", "always").stdout


def test_stream_prints_the_answer_once(ask):
    """Without the control characters that a random model writes, which could do things to a terminal."""
    for exit in ("never", "always"):
        told = printable(json.loads(ask("--json", "--exit", exit).stdout)["answer"]).plain.strip()
        streamed = ask("--stream", "--exit", exit)
        assert streamed.exit_code == 0 and streamed.stdout.split("\nanswered by")[0].strip() == told


def test_control_characters_of_an_answer_do_not_reach_the_terminal():
    from stitchvlm.commands.account import printable

    assert str(printable("a\x1b[2Jb\nc\x07")) == "a\ufffd[2Jb\nc\ufffd"


def test_verify_prints_a_table_and_fails_with_it(tiny_pair, tmp_path):
    sound = stitch("verify", "--small", tiny_pair[0], "--large", tiny_pair[1], "--device", "cpu")
    assert sound.exit_code == 0 and "passed" in sound.stdout and "FAILED" not in sound.stdout
    missing = stitch("verify", "--small", str(tmp_path), "--large", tiny_pair[1])
    assert missing.exit_code == 2 and "config.json" in missing.stderr and not missing.stdout
    shutil.copytree(tiny_pair[0], tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing")
    broken = stitch("verify", "--small", str(tmp_path / "broken"), "--large", tiny_pair[1])
    assert broken.exit_code == 1 and "FAILED" in broken.stdout and "loaded" in broken.stdout


def test_demo_writes_overlays(tiny_pair, scenes_task, tmp_path):
    out = tmp_path / "new" / "demo"
    result = stitch("demo", "--small", tiny_pair[0], "--large", tiny_pair[1], "--device", "cpu", "--out", str(out))
    names = ["drawn-1.png", "drawn-2.png", "drawn-3.png", "scenes-colour.png", "scenes-read.png"]
    assert result.exit_code == 0 and sorted(path.name for path in out.iterdir()) == names
    assert result.stdout.count("What is written on the") == 3


def test_golden_writes_every_tensor_and_never_opens_what_is_expected(tmp_path):
    pair = shutil.copytree(
        "tests/data/golden/qwen2-llama", tmp_path / "pair", ignore=shutil.ignore_patterns("expected.*")
    )
    out = tmp_path / "candidate.safetensors"
    result = stitch("golden", str(pair), "-o", str(out))
    assert result.exit_code == 0 and "135 tensors" in result.stdout and out.stat().st_size > 100_000


def test_train_hands_everything_on(monkeypatch, tmp_path):
    given = {}

    def follow(recipe, out, minutes, seed, resume, **options) -> bool:
        given.update(recipe=recipe, out=out, minutes=minutes, seed=seed, resume=resume, **options)
        return False

    monkeypatch.setattr("stitchvlm.training.train", follow)
    result = stitch(
        "train",
        "--out",
        str(tmp_path),
        "--minutes",
        "1.5",
        "--only",
        "small",
        "--device",
        "cpu",
        "--no-resume",
        "--compiled",
    )
    assert result.exit_code == 0 and "the same command goes on" in result.stdout
    settings = {"recipe": "scenes", "out": tmp_path, "minutes": 1.5, "seed": 7, "resume": False, "only": "small"}
    drawing = {"fonts": None, "threads": None, "device": "cpu", "workers": 2}
    amounts = {"scale": 1, "pace": 1.0, "pictures": 1.0}
    others = {"init_from": None, "begin": None, "receipts": None, "compiled": True}
    assert given == settings | drawing | amounts | others


def test_an_unknown_recipe_is_one_sentence(tmp_path):
    assert "'novel': choose one of qwen2_vl, receipts, scenes" in sentence(
        stitch("train", "--recipe", "novel", "--out", str(tmp_path)), 2
    )


# What goes wrong in the request: exit code 2

BAD_OPTIONS = [
    (["--keep", "0"], "keep must be a share in (0, 1]"),
    (["--keep", "120%"], "not 1.2"),
    (["--keep", "nan"], "not nan"),
    (["--keep", "-0.1"], "not -0.1"),
    (["--keep", "some"], "'some'"),
    (["--exit", "1.5"], "[0, 1], never or always, not '1.5'"),
    (["--exit", "nan"], "'nan'"),
    (["--exit", "often"], "'often'"),
    (["--layer", "6"], "layer 6 is beyond the model, which has layers 0 to 5"),
    (["--layer", "-1"], "not -1"),
    (["--layer", "two"], "--layer"),
    (["--device", "cuda:9"], "device cuda:9 is not here"),
    (["--small-device", "cuda:9"], "device cuda:9 is not here"),
    (["--device", "quantum"], "'quantum'"),
    (["--device", "cuda:9", "--lazy-large", "--small-device", "cpu"], "device cuda:9 is not here"),
    (["--device-map", "nearby"], "'nearby'"),
    (["--dtype", "int4"], "'int4'"),
    (["--method", "magic"], "'magic'"),
    (["--method", "dart:pivots=4,layer=1"], "'dart:pivots=4,layer=1': say --method dart --option pivots=4"),
    (["--layer", "2", "--layer", "two"], "'two'"),
    (["--max-tiles", "2", "--max-tiles", "-3"], "not -3"),
    (["--option", "layer"], "name=value, such as layer=2, not 'layer'"),
    (["--option", "pivots=8"], "guided has no option 'pivots': it has picture_floor, tile_budget"),
    (["--option", "picture_floor=much"], "picture_floor of guided must be a number, not 'much'"),
    (["--option", "picture_floor=2"], "picture_floor must be a share between 0 and 1, not 2"),
    (["--method", "fastv", "--option", "layer=9"], "layer 9 is beyond the model"),
    (["--method", "downsample", "--layer", "2"], "leave the layer out"),
    (["--method", "fastv", "--layer", "2", "--option", "layer=1"], "the layer is given twice"),
    (["--max-new-tokens", "0"], "not 0"),
    (["--max-tiles", "0"], "not 0"),
    (["--guide-tokens", "0"], "not 0"),
    (["--temperature", "-1"], "not -1"),
    (["--temperature", "nan"], "not nan"),
    (["--seed", "-1"], "-1"),
    (["--max-new-tokens", "5000"], "2048"),
    (["--stream", "--json"], "--json"),
    (["--overlay", "out.txt"], "out.txt"),
    (["--overlay", "no/such/folder/out.png"], "no/such/folder"),
    (["--large", "/no/such/model"], "/no/such/model"),
    (["--frobnicate"], "--frobnicate"),
]


@pytest.mark.parametrize(("options", "names"), BAD_OPTIONS, ids=[" ".join(options) for options, _ in BAD_OPTIONS])
def test_a_bad_option_is_one_sentence(ask, options, names):
    assert names in sentence(ask(*options), 2)


@pytest.mark.parametrize("question", ["", "   ", "what is <IMG_CONTEXT> here?"])
def test_a_bad_question_is_one_sentence(ask, question):
    sentence(ask(question=question), 2)


def test_a_missing_picture_is_named(ask):
    assert "no/such.png" in sentence(ask(image="no/such.png"), 2)
    assert "folder" in sentence(ask(image="/"), 2)


def test_a_gigantic_picture_is_refused_before_it_is_decoded(ask, tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(path)
    assert "more pixels than the 100,000,000 that" in sentence(ask(image=str(path)), 2)


def test_a_checkpoint_that_sees_nothing_is_named(ask, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    told = sentence(ask("--large", str(tmp_path)), 2)
    assert "bert" in told and str(tmp_path) in told


def test_a_pair_with_different_grids_can_guide(ask, tmp_path):
    other = save_tiny_internvl(tmp_path / "other", tile=56, seed=3)
    told = json.loads(ask("--large", str(other), "--keep", "0.5", "--layer", "1", "--json", "--exit", "never").stdout)
    assert told["answered_by"] == "large" and told["tokens"]["visual"] == 16 and told["tokens"]["kept"] == 8


def test_one_model_of_a_pair_is_not_enough(picture, tiny_pair):
    for role, missing, alone in (("--small", "--large", "small-alone"), ("--large", "--small", "large-alone")):
        told = sentence(stitch("ask", picture, "What?", role, tiny_pair[0]), 2)
        assert f"{role} {tiny_pair[0]} needs" in told and f"add {missing} MODEL" in told
        assert f"--method {alone}" in told
        assert stitch("ask", picture, "What?", role, tiny_pair[0], "--method", alone, *SHORT).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["ask"], "'IMAGE'"),
        (["ask", "picture.png"], "'QUESTION'"),
        (["frobnicate"], "'frobnicate'"),
        (["eval", "poetry", "--out", "x.jsonl"], "'poetry': choose one of documents"),
        (["eval", "scenes"], "--out"),
        (["golden", "no/such/pair", "-o", "x.safetensors"], "no/such/pair"),
        (["golden", GOLDEN, "-o", "no/such/folder/x.safetensors"], "no/such/folder"),
    ],
)
def test_a_bad_command_line_is_one_sentence(arguments, names):
    assert names in sentence(stitch(*arguments), 2)


# What is broken: exit code 1


@pytest.mark.parametrize("content", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_picture_is_named(ask, tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    assert str(path) in sentence(ask(image=str(path)), 1)


def test_a_truncated_picture_is_named(ask, picture, tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(Path(picture).read_bytes()[:2000])
    assert str(path) in sentence(ask(image=str(path)), 1)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_corrupt_checkpoint_is_named(ask, tmp_path, file):
    folder = save_tiny_internvl(tmp_path / "corrupt", seed=3)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    assert str(folder) in sentence(ask("--large", str(folder)), 1)


def test_an_overlay_that_cannot_be_written_leaves_the_old_one(ask, tmp_path, monkeypatch):
    path = tmp_path / "old.png"
    path.write_bytes(b"old")

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    result = ask("--overlay", str(path), "--json")
    assert result.exit_code == 1 and f"no space left to write {path}" in result.stderr
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["old.png"]


def test_debug_shows_the_traceback(ask):
    result = ask("--keep", "2", "--debug")
    assert result.exit_code == 2 and "Traceback" in result.stderr and "stitch: keep" in result.stderr


def test_the_unexpected_is_one_sentence_too(ask, monkeypatch):
    def break_down(*_, **__):
        raise RuntimeError("the moon\nis full")

    monkeypatch.setattr("stitchvlm.stitch.Stitch.from_pretrained", break_down)
    assert "unexpected RuntimeError: the moon is full" in sentence(ask(), 1)


# As a real process

STITCH = [sys.executable, "-m", "stitchvlm"]


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*STITCH, *arguments], capture_output=True, text=True, timeout=60, **options)


def test_a_real_process_prints_json_alone(tiny_pair, picture, tmp_path):
    options = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--json", *SHORT]
    done = run("ask", picture, "What is it?", *options, "--overlay", str(tmp_path / "o.png"))
    assert done.returncode == 0 and done.stderr == "" and json.loads(done.stdout)["answered_by"] == "large"
    with Image.open(tmp_path / "o.png") as overlay:
        assert overlay.width > 600


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*STITCH, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    told = "stitch: there is no space left to write the output: free some, or name another file\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_closed_pipe_is_quiet():
    process = subprocess.Popen([*STITCH, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 1
    process.stderr.close()


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = (
        "import sys; from stitchvlm.cli import app; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_ctrl_c_ends_with_one_line(tiny_pair, scenes, tmp_path):
    code = (
        "import dataclasses, pathlib, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it\n"
        "from stitchvlm.cli import main\n"
        "from stitchvlm.evaluation import tasks\n"
        f"scenes = tasks.load_archive(pathlib.Path({str(scenes)!r})) * 1000\n"
        "tasks.TASKS['scenes'] = lambda: [dataclasses.replace(s, id=str(i)) for i, s in enumerate(scenes)]\n"
        "main()\n"
    )
    out = tmp_path / "r.jsonl"
    options = ["--small", tiny_pair[0], "--large", tiny_pair[1], "--out", str(out), *SHORT]
    command = [sys.executable, "-c", code, "eval", "scenes", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 50
    while not (out.exists() and out.read_bytes().count(b"\n") > 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130 and stderr.splitlines()[-1] == "stitch: interrupted" and "Traceback" not in stderr
    assert all(json.loads(line) for line in out.read_text().splitlines())
