"""``stitch calibrate`` from the outside: the file, the words, the plot, the refusals, and the file as an exit."""

import json
import shutil

import numpy as np
import pytest
from test_engine import picture
from typer.testing import CliRunner, Result

from stitchvlm.cli import app
from stitchvlm.families.fingerprint import fingerprint

SETTINGS = {"task": "simulated", "small": "small 111111111111", "large": "large 222222222222", "method": "guided"}
SETTINGS |= {"max_tiles": None, "max_new_tokens": 64, "dtype": "auto"}
ALONE = SETTINGS | {"method": "large-alone"}
OTHER_CONDITIONS = [("task", "another"), ("max_tiles", 6), ("max_new_tokens", 32), ("dtype", "float32")]


def stitch(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(app, [str(argument) for argument in arguments])


def sentence(result: Result, code: int = 2) -> str:
    assert result.exit_code == code and result.stdout == "", result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("stitch: "), result.stderr
    return lines[0]


def write(path, records, settings=SETTINGS):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    path.with_name(f"{path.name}.settings.json").write_text(json.dumps(settings | {"runs": []}))
    return path


def simulate(n: int, seed: int = 0, per_picture: int = 1) -> list[dict]:
    """Lines as ``stitch eval`` writes them: a small model that is right at 73 % and a large one at 82 %."""
    random = np.random.default_rng(seed)
    records = []
    for number in range(n):
        small = random.random() < 0.73
        large = random.random() < (0.95 if small else 0.48)
        parts = 1 / (1 + np.exp(-1.5 * (random.normal(0.8 if small else -0.4) + random.normal(0, 0.3, 2))))
        scores = {"confidence": parts[0], "consistency": parts[1], "consistency_per_token": parts[1] ** 0.5}
        records.append(
            {
                "id": f"{number // per_picture:05}-{number % per_picture}",
                "group": f"{number // per_picture}.jpg",
                "small_answer": "yes" if small else "no",
                "large_answer": "yes" if large else "no",
                "small_score": float(small),
                "large_score": float(large),
                "draft_complete": True,
                "scores": scores | {"exit": parts.mean()},
                "seconds": {"small_prefill": 0.03, "exit_check": 0.01, "large_prefill": 0.1, "total": 0.14},
                "spared_seconds": {},
            }
        )
    return records


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "both.jsonl", simulate(2000))


def test_a_loss_is_promised_and_reported_on_other_questions(data, tmp_path):
    out = tmp_path / "exit.json"
    result = stitch("calibrate", data, "--target", "accuracy-loss=0.02", "-o", out)
    assert result.exit_code == 0 and result.stderr == ""
    for words in (
        "promise",
        "Learn then Test",
        "one question of each of 1,600 pictures, of which",
        "one question of each of 400 pictures:",
        "--exit",
    ):
        assert words in result.stdout
    held = json.loads(out.read_text())
    assert held["schema"] == 1 and held["n"] == 1600 and held["report"]["n"] == 400 and held["risk"] == 0.05
    assert held["labels"] == "gold" and held["settings"] == SETTINGS and held["score"] == "confidence"
    assert held["promise"] == (
        "with probability 0.95 over the draw of what it was fitted on, one question of each of 1,600 pictures, the expected "
        "loss on one random question of a random picture of their kind is at most 0.02, against the large model's answers in "
        "the recorded run"
    )
    assert held["report"]["exits"] > 0.3 and held["report"]["loss_interval"][0] < 0.02


def test_it_has_help():
    result = stitch("calibrate", "--help")
    assert result.exit_code == 0 and "--agreement" in result.stdout


def test_the_same_seed_gives_the_same_file(data, tmp_path):
    files = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        stitch("calibrate", data, "--target", "exit=40%", "--seed", seed, "-o", file)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_a_share_of_exits(data, tmp_path):
    told = json.loads(stitch("calibrate", data, "--target", "exit=0.4", "-o", tmp_path / "e.json", "--json").stdout)
    assert told["fitted"]["exits"] == pytest.approx(0.4, abs=0.001) and told["risk"] is None
    low, high = told["report"]["exits_interval"]
    assert low < 0.4 < high


def test_seconds(data, tmp_path):
    options = ["--target", "seconds=0.09", "-o", tmp_path / "e.json", "--json"]
    told = json.loads(stitch("calibrate", data, *options, "--score", "mean").stdout)
    assert told["fitted"]["value"] == pytest.approx(0.09, abs=1e-3) and told["fitted"]["exits"] == pytest.approx(
        0.5, abs=0.01
    )
    assert told["theorem"] == ""
    alone = json.loads(stitch("calibrate", data, *options).stdout)
    assert alone["fitted"]["exits"] == pytest.approx(0.4, abs=0.01)
    assert "the small model alone takes 0.03" in sentence(
        stitch("calibrate", data, "--target", "seconds=0.01", "-o", tmp_path / "e.json")
    )


@pytest.mark.parametrize("score", ["mean", "confidence", "consistency", "mean-per-token", "consistency-per-token"])
def test_every_score_can_be_calibrated(data, tmp_path, score):
    out = tmp_path / "exit.json"
    assert stitch("calibrate", data, "--target", "exit=0.5", "--score", score, "-o", out).exit_code == 0
    assert json.loads(out.read_text())["score"] == score


def test_agreement_needs_no_labels(tmp_path):
    unlabelled = [record | {"small_score": None, "large_score": None} for record in simulate(2000)]
    data = write(tmp_path / "both.jsonl", unlabelled)
    options = ["calibrate", data, "--target", "accuracy-loss=0.05", "-o", tmp_path / "e.json"]
    assert "has no small score: add what is right, or give --agreement" in sentence(stitch(*options))
    told = json.loads(stitch(*options, "--agreement", "--json").stdout)
    assert told["labels"] == "agreement" and "share of answers that differ" in told["promise"]
    assert told["fitted"]["exits"] > 0.2 and told["report"]["reference_accuracy"] == 1.0


def test_one_question_of_each_picture(tmp_path):
    data = write(tmp_path / "both.jsonl", simulate(4000, per_picture=4))
    options = ["--target", "exit=0.5", "-o", tmp_path / "e.json", "--json"]
    told = json.loads(stitch("calibrate", data, *options).stdout)
    assert (told["n"], told["report"]["n"]) == (800, 200)
    ten = json.loads(stitch("calibrate", data, *options, "--group", "^[0-9]{4}").stdout)
    assert (ten["n"], ten["report"]["n"]) == (80, 20), "one of every ten pictures"


def test_a_reference_counts_what_reduction_costs(data, tmp_path):
    better = [record | {"large_score": 1.0} for record in simulate(2000)]
    reference = write(tmp_path / "alone.jsonl", better[::-1], ALONE)
    options = ["calibrate", data, "--reference", reference, "-o", tmp_path / "e.json"]
    assert "every threshold loses more" in sentence(stitch(*options, "--target", "accuracy-loss=0.05"))
    told = json.loads(stitch(*options, "--target", "accuracy-loss=0.3", "--json").stdout)
    assert "against the large model alone" in told["promise"] and told["report"]["reference_accuracy"] == 1.0
    short = write(tmp_path / "short.jsonl", better[1:], ALONE)
    assert "lacks 1 question, such as 00000-0" in sentence(
        stitch("calibrate", data, "--reference", short, "--target", "exit=0.5", "-o", tmp_path / "e.json")
    )
    other = write(tmp_path / "other.jsonl", better, ALONE | {"large": "large 333333333333"})
    assert "recorded with large 'large 333333333333'" in sentence(
        stitch("calibrate", data, "--reference", other, "--target", "exit=0.5", "-o", tmp_path / "e.json")
    )


def shares(tmp_path, worse: dict[str, tuple[float, float]]):
    """Files of one reduction each: how often it spoils a right answer, and the large model's seconds; and the model alone."""
    records = simulate(4000, seed=3)
    random = np.random.default_rng(4)
    for name, (spoiled, seconds) in worse.items():
        lost = random.random(len(records)) < spoiled
        reduced = [
            record
            | {
                "large_score": record["large_score"] * (not gone),
                "seconds": record["seconds"] | {"large_prefill": seconds},
            }
            for record, gone in zip(records, lost, strict=True)
        ]
        write(tmp_path / f"{name}.jsonl", reduced, SETTINGS | {"keep": float(name)})
    return write(tmp_path / "alone.jsonl", records, SETTINGS | {"method": "large-alone"})


def test_of_several_shares_the_quickest_that_keeps_the_promise_is_chosen(tmp_path):
    """64 % spoils nothing, 35 % next to nothing, 9 % a tenth of the answers: only the first two can promise 3 %."""
    alone = shares(tmp_path, {"0.64": (0.0, 0.1), "0.35": (0.002, 0.05), "0.09": (0.1, 0.02)})
    files = [tmp_path / f"{name}.jsonl" for name in ("0.64", "0.09", "0.35")]
    options = ["--target", "accuracy-loss=0.03", "--reference", alone, "-o", tmp_path / "e.json"]
    result = stitch("calibrate", *files, *options)
    assert result.exit_code == 0, result.stderr
    assert "guided 35%, of 3 ways" in result.stdout
    held = json.loads((tmp_path / "e.json").read_text())
    assert held["settings"]["keep"] == 0.35 and "against the large model alone" in held["promise"]
    assert "with probability 0.95" in held["promise"] and "1/3 of the risk for each of 3 ways" in held["theorem"]
    alone_fit = json.loads(stitch("calibrate", files[2], *options, "--json").stdout)
    assert alone_fit["threshold"] <= held["threshold"], "a part of the risk bears fewer exits"
    bad = stitch("calibrate", files[1], files[1], *options)
    assert "none of the 2 files bears it" in sentence(bad) and "every threshold loses more" in sentence(bad)


def test_in_given_seconds_the_way_most_often_right_is_chosen(tmp_path):
    shares(tmp_path, {"0.64": (0.0, 0.3), "0.09": (0.02, 0.02)})
    files = [tmp_path / f"{name}.jsonl" for name in ("0.64", "0.09")]
    for seconds, keep in ((0.06, 0.09), (0.34, 0.64)):
        options = ["--target", f"seconds={seconds}", "-o", tmp_path / "e.json", "--json"]
        assert json.loads(stitch("calibrate", *files, *options).stdout)["settings"]["keep"] == keep


def test_files_that_do_not_belong_together_are_refused(data, tmp_path):
    out = ["-o", tmp_path / "e.json"]
    assert "name those of large-alone" in sentence(
        stitch("calibrate", data, data, "--target", "accuracy-loss=0.1", *out)
    )
    assert "which of 2 files is better" in sentence(stitch("calibrate", data, data, "--target", "exit=0.5", *out))
    other = write(tmp_path / "other.jsonl", simulate(2000), SETTINGS | {"task": "another"})
    assert "recorded with task 'another'" in sentence(stitch("calibrate", data, other, "--target", "seconds=1", *out))


@pytest.mark.parametrize(("name", "value"), OTHER_CONDITIONS)
def test_ways_and_reference_must_have_been_recorded_alike(data, tmp_path, name, value):
    loss = ["--target", "accuracy-loss=0.1", "-o", tmp_path / "e.json"]
    records = simulate(2000)
    reference = write(tmp_path / "alone.jsonl", records, ALONE | {name: value})
    says = (
        f"recorded with {name} {value!r} and {data} with {SETTINGS[name]!r}: give files of the same {name}, or record"
    )
    assert f"{reference} was {says}" in sentence(stitch("calibrate", data, "--reference", reference, *loss))
    way = write(tmp_path / "way.jsonl", records, SETTINGS | {name: value})
    assert f"{way} was {says}" in sentence(stitch("calibrate", data, way, *loss[:1], "seconds=1", *loss[2:]))
    assert not (tmp_path / "e.json").exists()


def test_what_is_chosen_among_may_differ_and_spellings_of_a_type_do_not_count(data, tmp_path):
    other = SETTINGS | {"method": "divprune", "keep": 0.5, "layer": 3, "options": {"a": 1}}
    way = write(tmp_path / "way.jsonl", simulate(2000), other)
    assert stitch("calibrate", data, way, "--target", "seconds=1", "-o", tmp_path / "e.json").exit_code == 0
    half = write(tmp_path / "half.jsonl", simulate(2000), SETTINGS | {"dtype": "bf16"})
    reference = write(tmp_path / "alone.jsonl", simulate(2000), ALONE | {"dtype": "bfloat16"})
    options = ["--reference", reference, "--target", "accuracy-loss=0.1", "-o", tmp_path / "e.json"]
    assert stitch("calibrate", half, *options).exit_code == 0


def test_a_reference_is_of_the_large_model_alone(data, tmp_path):
    options = ["--reference", data, "--target", "accuracy-loss=0.1", "-o", tmp_path / "e.json"]
    told = sentence(stitch("calibrate", data, *options))
    assert f"the reference {data} was recorded with method 'guided', not 'large-alone': name results of" in told


@pytest.mark.parametrize(("target", "n"), [("exit=0.4", 20), ("seconds=0.09", 20), ("exit=0.4", 2000)])
def test_a_fit_to_a_handful_is_written_with_a_warning(tmp_path, target, n):
    data = write(tmp_path / "few.jsonl", simulate(n))
    result = stitch("calibrate", data, "--target", target, "-o", tmp_path / "e.json", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0 and (tmp_path / "e.json").is_file()
    if n == 2000:
        assert result.stderr == "" and told["warning"] is None
        return
    # Wilson's interval of 7 or 8 of 16 (the rank of 40 % of 17 is 7), from its formula
    k = round(told["fitted"]["exits"] * 16)
    middle, half = (k + 1.92) / 19.84, 1.96 / 19.84 * (k * (16 - k) / 16 + 0.96) ** 0.5
    assert result.stderr == f"stitch: warning: {told['warning']}\n" and k in (7, 8)
    assert "fitted on one question of each of 16 pictures only" in told["warning"]
    assert f"may be anything from {middle - half:.0%} to {middle + half:.0%} (95 % interval)" in told["warning"]
    assert "record one question" not in told["warning"] and "record 125 or more" in told["warning"]


def test_what_is_to_be_recorded_counts_what_is_set_aside(tmp_path):
    """As many pictures as the refusal names are enough, and one fewer is not; group names are those of --group."""
    options = ["--target", "accuracy-loss=0.02", "-o", tmp_path / "e.json"]
    same = [record | {"large_score": record["small_score"]} for record in simulate(267 * 2, per_picture=2)]
    assert "and 267 pictures with those set aside" in sentence(
        stitch("calibrate", write(tmp_path / "a.jsonl", same[: 266 * 2]), *options)
    )
    assert stitch("calibrate", write(tmp_path / "b.jsonl", same), *options).exit_code == 0
    told = sentence(stitch("calibrate", tmp_path / "b.jsonl", *options, "--group", "^[0-9]{4}"))
    assert "from one question of each of 22 groups: it takes one question of each of 214 groups" in told


def test_drafts_that_were_cut_short_never_exit(tmp_path):
    """A tenth of the drafts is cut: not all can exit, whatever they scored, and neither does the plot show it."""
    pytest.importorskip("matplotlib")
    records = [record | {"draft_complete": number % 10 > 0} for number, record in enumerate(simulate(2000))]
    data, out = write(tmp_path / "cut.jsonl", records), tmp_path / "e.json"
    told = sentence(stitch("calibrate", data, "--target", "exit=0.95", "-o", out))
    assert "drafts were cut short, which never exit" in told and not out.exists()
    options = ["--target", "exit=0.8", "-o", out, "--json", "--plot", tmp_path / "p.svg"]
    told = json.loads(stitch("calibrate", data, *options).stdout)
    assert 0 <= told["threshold"] <= 1 and told["fitted"]["exits"] == pytest.approx(0.8, abs=0.01)
    # the small model alone takes 0.03, and a tenth of the large model's 0.1 seconds cannot be spared
    told = sentence(stitch("calibrate", data, "--target", "seconds=0.035", "-o", tmp_path / "f.json"))
    assert "with every exit that may be it takes 0.0" in told


@pytest.mark.parametrize("name", ["plot.png", "plot.svg"])
def test_a_reliability_diagram(data, tmp_path, name):
    pytest.importorskip("matplotlib")
    plot = tmp_path / name
    result = stitch("calibrate", data, "--target", "exit=0.5", "-o", tmp_path / "e.json", "--plot", plot)
    assert result.exit_code == 0, result.stderr
    content = plot.read_bytes()
    assert len(content) > 10_000 and content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


REFUSED = [
    (
        ["--target", "accuracy-loss=0.001"],
        "from one question of each of 1,600 pictures: it takes one question of each of 4,315 pictures even if no answer "
        "changes, and 5,394 pictures with those set aside for the report; record more",
    ),
    (["--target", "accuracy-loss=0"], "must lie between 0 and 1"),
    (["--target", "exit=1.5"], "not 1.5"),
    (["--target", "exit=often"], "not 'exit=often'"),
    (["--target", "speed=9"], "a target is exit=SHARE, accuracy-loss=SHARE or seconds=NUMBER, not 'speed=9'"),
    (["--target", "exit=0.5", "--risk", "0.1"], "--risk 0.1 goes with accuracy-loss"),
    (["--target", "accuracy-loss=0.02", "--risk", "2"], "the risk must lie between 0 and 0.5, not 2"),
    (["--target", "exit=0.5", "--score", "product"], "no exit score 'product'"),
    (["--target", "exit=0.5", "--report", "1"], "between 0 and 1, not 1"),
    (["--target", "exit=0.5", "--report", "0"], "record more, or set another share aside"),
    (["--target", "exit=0.5", "--group", "("], "no regular expression"),
    (["--target", "exit=0.5", "--group", "x"], "does not match the id 00000-0"),
    (["--target", "exit=0.5", "--plot", "p.pdf"], ".png or .svg, not p.pdf"),
    (["--target", "exit=0.5", "--out", "exit.txt"], "exit.txt"),
    (["--target", "exit=0.5", "--out", "no/such/exit.json"], "no folder"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_what_cannot_be_is_one_sentence(data, tmp_path, options, says):
    assert says in sentence(stitch("calibrate", data, "-o", tmp_path / "exit.json", *options))
    assert not list(tmp_path.iterdir())


def test_data_that_cannot_be_used_is_named(tmp_path):
    def calibrate(name: str):
        return stitch("calibrate", tmp_path / name, "--target", "exit=0.5", "-o", tmp_path / "e.json")

    assert "there is no file" in sentence(calibrate("missing.jsonl"))
    write(tmp_path / "empty.jsonl", [])
    assert "holds no questions" in sentence(calibrate("empty.jsonl"))
    write(tmp_path / "bare.jsonl", simulate(20)).with_name("bare.jsonl.settings.json").unlink()
    assert "no settings beside it" in sentence(calibrate("bare.jsonl"))
    write(tmp_path / "one.jsonl", [record | {"large_answer": None} for record in simulate(20)])
    assert "question 00000-0 of" in sentence(calibrate("one.jsonl"))
    write(tmp_path / "text.jsonl", simulate(20)).write_text("precious\n")
    assert "line 1 of" in sentence(calibrate("text.jsonl"), 1)
    old = [record | {"scores": {"confidence": 0.5, "consistency": 0.5, "exit": 0.5}} for record in simulate(20)]
    write(tmp_path / "old.jsonl", old)
    told = stitch(
        "calibrate",
        tmp_path / "old.jsonl",
        "--target",
        "exit=1",
        "--score",
        "mean-per-token",
        "-o",
        tmp_path / "e.json",
    )
    assert "needs consistency_per_token, which is not recorded" in sentence(told)


@pytest.fixture
def fitted(data, tiny_pair, tmp_path):
    """An exit that says it was fitted for the tiny pair."""
    models = {"small": fingerprint(tiny_pair[0]), "large": fingerprint(tiny_pair[1])}
    settings = SETTINGS | models | {"keep": 0.3, "layer": None, "max_new_tokens": 4}
    own = write(tmp_path / "own.jsonl", simulate(600), settings)
    assert stitch("calibrate", own, "--target", "exit=1", "-o", tmp_path / "exit.json").exit_code == 0
    return tmp_path / "exit.json"


def test_ask_takes_the_file_and_checks_the_models(fitted, tiny_pair, tmp_path):
    picture(64, 48).save(tmp_path / "p.png")

    def ask(large: str, *options: str):
        pair = ["--small", tiny_pair[0], "--large", large, "--device", "cpu", "--max-new-tokens", "4"]
        return stitch("ask", tmp_path / "p.png", "What is it?", *pair, "--exit", fitted, "--json", *options)

    assert json.loads(ask(tiny_pair[1], "--keep", "30%").stdout)["answered_by"] == "small"
    moved = shutil.copytree(tiny_pair[1], tmp_path / "moved")
    assert json.loads(ask(str(moved), "--keep", "30%").stdout)["answered_by"] == "small"
    assert "was fitted for keep 0.3, not 0.5" in sentence(ask(tiny_pair[1], "--keep", "50%"))
    assert "was fitted for large 'large" in sentence(ask(tiny_pair[0], "--keep", "30%"))
