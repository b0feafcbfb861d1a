"""Many ways of answering on the same questions: what is shared, what is counted, and what is asked again."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from stitchvlm.cascade import Cascade
from stitchvlm.engine import Engine
from stitchvlm.errors import DataError
from stitchvlm.evaluation.compare import within_reach
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.sample import Problem
from stitchvlm.evaluation.settings import RunSettings, by_label, parse_method
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tables import slug
from stitchvlm.evaluation.tasks import load_task
from stitchvlm.stitch import Stitch, make_question
from stitchvlm.timing import Stopwatch

FIELDS = {
    *(
        "id",
        "kind",
        "group",
        "question",
        "gold",
        "answers",
        "metric",
        "answer",
        "answered_by",
        "small_answer",
        "large_answer",
    ),
    *(
        "draft_complete",
        "correct",
        "score",
        "small_score",
        "large_score",
        "scores",
        "tokens",
        "large_retention",
        "tiles",
        "proposed",
        "covered",
        "flops",
    ),
    *("seconds", "spared_seconds", "first_token", "live"),
}
KEPT = {"guided": 8, "random": 8, "large-alone": 20, "small-alone": 0}


@pytest.fixture(scope="module")
def settings(tiny_pair):
    return lambda **options: RunSettings(*tiny_pair, max_new_tokens=4, keep=0.5, **options)


@pytest.fixture(scope="module")
def study(settings):
    rows = {method: settings(method=method, exit="never") for method in KEPT}
    return Study(rows | {"exits": settings(exit="always"), "quiet": settings(exit="always", both=False)}, "cpu")


@pytest.fixture
def sample(scenes_task):
    return load_task("scenes", 1)[0]


@pytest.mark.parametrize("method", KEPT)
def test_every_row_gives_the_same_fields(study, sample, method):
    record = study.record(sample, method)
    assert set(record) == FIELDS and record["live"] is None
    assert record["answered_by"] == ("small" if method == "small-alone" else "large")
    assert record["answer"] == record[f"{record['answered_by']}_answer"]
    assert record["score"] == record[f"{record['answered_by']}_score"]
    assert record["tokens"]["kept"] == KEPT[method] and None not in record["scores"].values()
    small_stages = {stage for stage in record["seconds"] if stage.startswith("small")}
    assert bool(small_stages) == (method in ("guided", "small-alone"))
    assert "exit_check" not in record["seconds"] and "exit_check" in record["spared_seconds"]
    assert record["seconds"]["total"] == pytest.approx(
        sum(value for stage, value in record["seconds"].items() if stage != "total")
    )


def test_tiles_and_drafts_are_on_record(settings, sample):
    """Five tiles of four tokens, of which one token of one tile stays; a draft of four tokens at most proposes three of them."""
    few = settings(exit="never", layer=0, both=False)
    rows = {"one": replace(few, keep=0.05), "anew": replace(few, keep=0.05, reuse_drafts=False)}
    rows |= {"all": settings(method="none", both=False), "exits": settings(exit="always", both=False)}
    study = Study(rows, "cpu")
    records = {name: study.record(sample, name) for name in rows}
    assert [records[name]["tiles"] for name in ("one", "anew")] == [{"all": 5, "encoded": 1}] * 2
    assert records["all"]["tiles"] == {"all": 5, "encoded": 5}
    assert records["anew"]["proposed"] == records["all"]["proposed"] == {"tokens": 0, "accepted": 0}
    drafted = study.rows["one"].cascade.look(
        [make_question(sample.question, sample.picture())], study.sampling, Stopwatch()
    )
    words = [token for token in drafted.drafts[0].tokens if token not in study.small().vlm.stop_ids][:3]
    assert records["one"]["proposed"]["tokens"] == len(words) >= records["one"]["proposed"]["accepted"]
    assert records["exits"]["tiles"] is None is records["exits"]["proposed"]


def test_the_spared_model_is_asked_but_does_not_count(study, sample):
    exited, guided = study.record(sample, "exits"), study.record(sample, "guided")
    assert exited["answered_by"] == "small" and exited["tokens"]["kept"] == 0
    assert exited["large_answer"] == guided["large_answer"] and exited["small_answer"] == guided["small_answer"]
    assert not any(stage.startswith("large") for stage in exited["seconds"]) and "exit_check" in exited["seconds"]
    assert {"large_prefill", "large_decode"} <= set(exited["spared_seconds"])
    assert exited["flops"]["total"] == exited["flops"]["small"] + exited["flops"]["exit_check"]
    assert guided["flops"]["total"] == guided["flops"]["small"] + guided["flops"]["large"]


def test_nobody_else_is_asked_without_both(study, sample):
    record = study.record(sample, "quiet")
    assert record["large_answer"] is None and record["spared_seconds"] == {} and "large" not in record["flops"]


def test_answers_are_those_of_the_ordinary_path(study, settings, sample, tiny_pair):
    question = make_question(sample.question, sample.picture())
    for method in ("guided", "random", "large-alone", "small-alone"):
        vlm = Stitch.from_pretrained(
            *tiny_pair, keep=0.5, method=method, exit="never", device="cpu", sampling=study.sampling
        )
        answer, record = vlm.answer([question])[0], study.record(sample, method)
        assert record["answer"] == answer.text and record["tokens"]["kept"] == answer.trace.n_kept
        assert study.answer(sample, method).text == answer.text


def test_pictures_are_encoded_once_and_their_seconds_counted_for_every_row(settings, sample, tmp_path, monkeypatch):
    encoded = []
    embed = SharedEngine.__mro__[1].embed
    monkeypatch.setattr(
        SharedEngine.__mro__[1], "embed", lambda self, *rest: (encoded.append(self), embed(self, *rest))[1]
    )
    rows = {method: settings(method=method, exit="never") for method in ("large-alone", "guided", "random")}
    study = Study(rows, "cpu")
    files = {name: ResultFile(tmp_path / f"{name}.jsonl", row.identity("scenes")) for name, row in rows.items()}
    records = dict(study.run([sample], files))
    assert len(encoded) == 4  # small and large, once to warm up and once for the record
    told = [record["seconds"]["large_encode"] for record in records.values()]
    assert min(told) > max(told) / 10  # what comes from memory takes a thousandth


def test_a_question_is_looked_at_once_and_every_picture_encoded_once(settings, scenes_task, tmp_path, monkeypatch):
    """The kinds of rows of benchmarks/reproduce.toml, two questions after a warm-up on the first."""
    ways = [("guided", {}), ("guided", {"smooth": True}), ("random", {}), ("fastv", {"layer": 1}), ("divprune", {})]
    ways += [("visionzip", {}), ("single-layer", {}), ("oracle", {}), ("downsample", {}), ("small", {}), ("none", {})]
    rows = [settings(method=method, options=options, exit="never") for method, options in ways]
    rows = by_label([*rows, settings(exit=0.5), replace(settings(exit="always"), both=False)])
    study, looks, encoded = Study(rows, "cpu"), [], Counter()
    look, embed = Cascade.look, Engine.embed

    def count(engine, inputs, show_vision=False, plan=None):
        model = "small" if engine is study.small() else "large"
        encoded[model, show_vision, inputs.layouts[0].n_visual] += 1
        return embed(engine, inputs, show_vision, plan)

    monkeypatch.setattr(Cascade, "look", lambda *rest: (looks.append(rest), look(*rest))[1])
    monkeypatch.setattr(Engine, "embed", count)
    files = {name: ResultFile(tmp_path / f"{slug(name)}.jsonl", row.identity("scenes")) for name, row in rows.items()}
    assert len(list(study.run(load_task("scenes", 2), files))) == 2 * len(rows)
    assert len(looks) == 3
    shrunk = next(n for _, _, n in encoded if n < 20)
    whole = [("small", False, 20), ("large", False, 20), ("large", True, 20)]
    assert encoded == dict.fromkeys([*whole, ("large", False, shrunk)], 3)


def test_another_form_of_the_map_is_another_look(settings, sample, monkeypatch):
    rows = by_label([settings(exit="never"), settings(exit="never", options={"layers": "last"})])
    study, looks, look = Study(rows, "cpu"), [], Cascade.look
    monkeypatch.setattr(Cascade, "look", lambda *rest: (looks.append(rest), look(*rest))[1])
    for name in rows:
        study.record(sample, name)
    assert len({row.map_form for row in study.rows.values()}) == len(looks) == 2


def test_an_answer_is_right_where_it_is_what_was_asked_for(study, sample):
    """A random model's own words as the right ones: of the large model alone, whose answer the small one does not give."""
    said = study.record(sample, "large-alone")
    assert said["correct"] is False and said["small_answer"] != said["large_answer"]
    right = study.record(replace(sample, answers=("no", said["large_answer"].upper())), "large-alone")
    assert (right["correct"], right["score"], right["large_score"], right["small_score"]) == (True, 1, 1, 0)
    unasked = study.record(sample, "exits")["large_answer"]
    exited = study.record(replace(sample, answers=(unasked,)), "exits")
    assert (exited["correct"], exited["score"], exited["large_score"]) == (False, 0, 1)


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("guided", {"small": 2, "large": 2}),
        ("large-alone", {"small": 1, "large": 2}),
        ("exits", {"small": 2, "large": 1}),
        ("small-alone", {"small": 2}),
    ],
)
def test_live_latency_shares_nothing(study, sample, monkeypatch, name, computed):
    """Once for the record, where the spared model counts too, and once more for each model on the way of the row."""
    prepared, encoded, prepare, embed = Counter(), Counter(), Engine.prepare, Engine.embed

    def model_of(engine):
        return "small" if engine is study.small() else "large"

    monkeypatch.setattr(
        Engine, "prepare", lambda engine, *rest: (prepared.update([model_of(engine)]), prepare(engine, *rest))[1]
    )
    monkeypatch.setattr(
        Engine, "embed", lambda engine, *rest: (encoded.update([model_of(engine)]), embed(engine, *rest))[1]
    )
    live = study.record(sample, name, live=True)["live"]
    assert 0 < live["first_token"] <= live["total"]
    assert prepared == encoded == computed


def test_small_alone_never_loads_the_large_model(tiny_pair, sample, monkeypatch):
    from stitchvlm.stitch import load_vlm

    loaded = []
    monkeypatch.setattr(
        "stitchvlm.stitch.load_vlm", lambda source, *rest: (loaded.append(source), load_vlm(source, *rest))[1]
    )
    rows = {"small": RunSettings(small=tiny_pair[0], method="small", max_new_tokens=4)}
    record = Study(rows, "cpu").record(sample, "small", live=True)
    assert loaded == [tiny_pair[0]] and record["large_answer"] is None


def test_done_questions_are_not_asked_again(settings, scenes_task, tmp_path):
    rows = {method: settings(method=method, exit="never") for method in ("large-alone", "random")}
    study, samples = Study(rows, "cpu"), load_task("scenes")

    def files():
        return {name: ResultFile(tmp_path / f"{name}.jsonl", row.identity("scenes")) for name, row in rows.items()}

    first = files()
    runs = study.run(samples, first)
    asked = [next(runs) for _ in range(5)]
    runs.close()
    for file in first.values():
        file.close()
    assert [(name, record["id"]) for name, record in asked][-1] == ("large-alone", "q2")
    again = files()
    rest = [(name, record["id"]) for name, record in study.run(samples, again)]
    assert rest[:2] == [("random", "q2"), ("large-alone", "q3")] and len(rest) == 11
    assert all([record["id"] for record in file.records] == [f"q{n}" for n in range(8)] for file in again.values())


def test_questions_that_cannot_be_asked_are_noted_by_line(settings, scenes_task, tmp_path):
    study = Study({"random": settings(method="random", exit="never", both=False)}, "cpu")
    good, other = load_task("scenes", 2)
    bad = replace(other, question="what is <IMG_CONTEXT>?", line=7)
    with ResultFile(tmp_path / "r.jsonl", {}) as file:
        assert [record["id"] for _, record in study.run([bad, good], {"random": file})] == [good.id]
    (problem,) = study.problems
    assert isinstance(problem, Problem) and problem.line == 7 and "<IMG_CONTEXT>" in problem.detail
    for strict, line in ((True, 7), (False, None)):
        with (
            ResultFile(tmp_path / "s.jsonl", {}) as file,
            pytest.raises(ValueError, match="<IMG_CONTEXT>"),
        ):
            list(study.run([replace(bad, line=line)], {"random": file}, strict=strict))


def test_a_row_that_cannot_be_asked_a_question_leaves_it_to_the_others(settings, scenes_task, tmp_path, monkeypatch):
    rows = {method: settings(method=method, exit="never") for method in ("random", "uniform", "large-alone")}
    study, reply = Study(rows, "cpu"), Study._reply
    samples = [replace(sample, line=line) for line, sample in enumerate(load_task("scenes", 3), start=1)]

    def refuse(study, question, row, small):
        if row.name == "random" or (row.name == "uniform" and question.text == samples[1].question):
            raise ValueError(f"{row.name} cannot")
        return reply(study, question, row, small)

    monkeypatch.setattr(Study, "_reply", refuse)
    files = {name: ResultFile(tmp_path / f"{name}.jsonl", row.identity("scenes")) for name, row in rows.items()}
    list(study.run(samples, files))
    assert {name: [record["id"] for record in file.records] for name, file in files.items()} == (
        {"random": [], "uniform": ["q0", "q2"], "large-alone": ["q0", "q1", "q2"]}
    )
    told = [(1, "random"), (2, "random"), (2, "uniform"), (3, "random")]
    assert [(problem.line, problem.detail) for problem in study.problems] == (
        [(line, f"{name}: {name} cannot") for line, name in told]
    )
    assert study.refusals.problems(["large-alone"]) == [] and study.refusals.reason("uniform") == "uniform cannot"
    assert [str(problem) for problem in study.refusals.problems(["uniform"])] == (
        ["line 2: question that cannot be asked: uniform cannot"]
    )


@pytest.mark.parametrize("broken", [0, 1], ids=["small", "large"])
def test_a_broken_model_is_no_question_that_cannot_be_asked(tiny_pair, scenes_task, tmp_path, broken):
    """Its config is whole, so that it only shows when the weights are read."""
    pair = [shutil.copytree(source, tmp_path / name) for source, name in zip(tiny_pair, ("s", "l"), strict=True)]
    weights = pair[broken] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    row = RunSettings(*map(str, pair), max_new_tokens=4, keep=0.5, method="random", exit="never")
    study, samples = Study({"random": row}, "cpu"), [replace(one, line=1) for one in load_task("scenes", 2)]
    with ResultFile(tmp_path / "r.jsonl", {}) as file, pytest.raises(DataError, match=f"weights in {pair[broken]}"):
        list(study.run(samples, {"random": file}))
    assert study.problems == [] == file.records


def test_models_that_no_pending_row_needs_are_not_loaded(tiny_pair, scenes_task, tmp_path, monkeypatch):
    from stitchvlm.stitch import load_vlm

    loaded = []
    monkeypatch.setattr(
        "stitchvlm.stitch.load_vlm", lambda source, *rest: (loaded.append(source), load_vlm(source, *rest))[1]
    )
    row = RunSettings(*tiny_pair, max_new_tokens=4, method="none", exit="never", both=False)
    for expected in ([tiny_pair[1]], []):
        loaded.clear()
        with ResultFile(tmp_path / "alone.jsonl", {}) as file:
            list(Study({"alone": row}, "cpu").run(load_task("scenes", 2), {"alone": file}))
        assert loaded == expected, "the second time all is on file"


def test_rows_of_a_study_share_their_models(settings):
    with pytest.raises(ValueError, match="share small, large, dtype"):
        Study({"a": settings(), "b": replace(settings(), seed=1)}, "cpu")
    with pytest.raises(ValueError, match="layer 9"):
        Study({"a": settings(layer=9)}, "cpu")
    with pytest.raises(ValueError, match="layer is given twice, as 2 and as the option layer=1"):
        Study({"a": settings(method="fastv", layer=2, options={"layer": 1})}, "cpu")


def test_methods_are_read_with_their_options():
    assert parse_method("fastv:layer=1") == ("fastv", {"layer": 1}) and parse_method(" none ") == ("large-alone", {})
    for text, names in (
        ("magic", "'magic'"),
        ("fastv:depth=1", "'depth'"),
        ("fastv:layer=x", "'x'"),
        ("random:a=1", "none"),
    ):
        with pytest.raises(ValueError, match=names):
            parse_method(text)


def test_identity_tells_ways_apart_and_spells_out_defaults(settings, tiny_pair):
    assert settings(exit="0.5").identity("scenes") == settings(exit=0.5).identity("scenes")
    assert settings(method="none").identity("scenes") == settings(method="large-alone").identity("scenes")
    assert settings(method="fastv", options={"layer": 1}).identity("t") != settings(method="fastv").identity("t")
    assert settings().resolve().exit == "never"
    with pytest.raises(ValueError, match="--large"):
        RunSettings(small=tiny_pair[0]).resolve()


@pytest.mark.parametrize("name", ["exit", "keep"])
def test_rows_that_a_table_would_call_the_same_are_refused(settings, name):
    rows = [settings(), replace(settings(), **{name: 0.87001}), replace(settings(), **{name: 0.8700100001})]
    assert list(by_label([rows[0], rows[0]])) == ["guided 50%"]
    with pytest.raises(ValueError, match=f"{name} 0.87001 and {name} 0.8700100001 would both be called"):
        by_label(rows)


def test_labels(settings):
    assert settings(method="small").label == "small-alone" and settings(exit=0.5).label == "guided 50% + exit 0.5"
    assert settings(method="fastv", options={"layer": 1}, exit="never").label == "fastv (layer 1) 50%"


def test_a_method_that_wants_to_see_what_the_large_model_does_not_show():
    """Compared with others it is left out with the reason; alone it is refused before any weights are read."""
    named = [("guided", 0.35), ("visionzip", 0.35), ("small-alone", 0.35), ("large-alone", 0.35)]
    pair = {"small": "embedded:small", "large": "embedded:qwen2-vl", "exit": "never"}
    rows = by_label(RunSettings(method=method, keep=keep, **pair) for method, keep in named)
    kept, (why,) = within_reach(rows)
    assert set(rows) - set(kept) == {"visionzip 35%"} and "which Qwen-VL models do not show" in why
    with pytest.raises(ValueError, match="visionzip needs the vision encoder's attention and keys, which Qwen-VL"):
        Study({"visionzip": rows["visionzip 35%"]}, "cpu")
