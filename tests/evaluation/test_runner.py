"""Which model is asked when, inside and outside the timed path."""

import pytest

from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.settings import RunSettings, fingerprint
from stitchvlm.evaluation.tasks import load_task

FIELDS = {
    *("id", "kind", "question", "gold", "answer", "answered_by", "small_answer", "large_answer"),
    *("correct", "scores", "tokens", "seconds"),
}


@pytest.fixture
def settings(tiny_pair):
    return lambda **options: RunSettings(*tiny_pair, max_new_tokens=4, keep=0.5, **options)


def first_record(settings: RunSettings) -> dict:
    return settings.load("cpu").record(load_task("scenes", 1)[0])


@pytest.mark.parametrize("method", ["guided", "random", "none", "small"])
def test_every_method_gives_the_same_fields(settings, scenes_task, method):
    record = first_record(settings(method=method))
    assert set(record) == FIELDS
    assert set(record["scores"]) == {"confidence", "consistency", "exit"} and None not in record["scores"].values()
    assert record["answered_by"] == ("small" if method == "small" else "large")
    assert record["answer"] == record[f"{record['answered_by']}_answer"] and record["small_answer"] is not None
    assert record["tokens"]["kept"] == {"guided": 8, "random": 8, "none": 20, "small": 0}[method]
    small_stages = {stage for stage in record["seconds"] if stage.startswith("small")}
    assert bool(small_stages) == (method in ("guided", "small")) and "total" in record["seconds"]
    assert "exit_check" not in record["seconds"] or method == "guided"


def test_the_spared_model_is_asked_afterwards_and_does_not_count(settings, scenes_task):
    exited, guided = first_record(settings(exit="always")), first_record(settings(exit="never"))
    assert exited["answered_by"] == "small" and exited["tokens"]["kept"] == 0
    assert exited["large_answer"] == guided["large_answer"] and exited["small_answer"] == guided["small_answer"]
    assert not any(stage.startswith("large") for stage in exited["seconds"])


def test_nobody_else_is_asked_without_both(settings, scenes_task):
    assert first_record(settings(exit="always", both=False))["large_answer"] is None
    assert first_record(settings(method="none", both=False))["small_answer"] is None


def test_small_alone_never_loads_the_large_model(tiny_pair, scenes_task, monkeypatch):
    from stitchvlm.stitch import load_vlm

    loaded = []
    monkeypatch.setattr(
        "stitchvlm.stitch.load_vlm", lambda source, *rest: (loaded.append(source), load_vlm(source, *rest))[1]
    )
    record = first_record(RunSettings(small=tiny_pair[0], method="small", max_new_tokens=4))
    assert loaded == [tiny_pair[0]] and record["large_answer"] is None


def test_done_questions_are_not_asked_again(settings, scenes_task, tmp_path):
    runner, samples = settings().load("cpu"), load_task("scenes")
    identity = settings().identity("scenes")
    first = ResultFile(tmp_path / "r.jsonl", identity)
    runs = runner.run(samples, first)
    assert [next(runs)["id"] for _ in range(3)] == ["q0", "q1", "q2"]
    again = ResultFile(tmp_path / "r.jsonl", identity)
    assert [record["id"] for record in runner.run(samples, again)] == ["q3", "q4", "q5", "q6", "q7"]
    assert len(ResultFile(tmp_path / "r.jsonl", identity).records) == 8


def test_identity_tells_weights_apart_but_not_places(tiny_pair, tmp_path):
    import shutil

    copy = shutil.copytree(tiny_pair[0], tmp_path / "small")
    assert fingerprint(str(copy)) == fingerprint(tiny_pair[0]) != fingerprint(tiny_pair[1])
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fingerprint(str(copy)) != fingerprint(tiny_pair[0])


def test_defaults_are_spelled_out(settings, tiny_pair):
    assert settings(exit="0.5").resolve().exit == 0.5 and settings().resolve().exit == "never"
    assert settings(exit="0.5").identity("scenes") == settings(exit=0.5).identity("scenes")
    with pytest.raises(ValueError, match="--large"):
        RunSettings(small=tiny_pair[0]).resolve()
