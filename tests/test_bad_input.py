"""What users hand over and should not, in every family: served if it can be, and refused in one sentence if not."""

import json
import re
from dataclasses import replace

import pytest
import torch
from reference import masked_logits, plain_copy
from test_engine import picture, random_plan, row_inputs
from tiny import LLAVA, QWEN_VL, save_tiny
from torch import nn
from typer.testing import CliRunner, Result

from stitchvlm.cascade import Cascade
from stitchvlm.cli import app
from stitchvlm.engine import Engine
from stitchvlm.errors import RequestWarning
from stitchvlm.exits import parse_exit
from stitchvlm.families import load_vlm
from stitchvlm.methods import Guided
from stitchvlm.questions import make_question
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling

PLACEHOLDERS = {
    "qwen2": ["<IMG_CONTEXT>", "<img>", "</img>"],
    **{kind: ["<|image_pad|>", "<|vision_start|>"] for kind in QWEN_VL},
    LLAVA: ["<image>"],
}
"""Tokens that stand for pictures, by family; ``qwen2`` is InternVL around that language model."""


@pytest.fixture(scope="module", params=PLACEHOLDERS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp(kind), kind, n_layers=3)


@pytest.fixture
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture
def ask(folder, tmp_path):
    """``stitch ask`` with the same model as small and large one, about a picture of that size."""

    def run(size: tuple[int, int], question: str = "What is it?", *options: str) -> Result:
        picture(*size).save(tmp_path / "picture.png")
        pair = ["--small", str(folder), "--large", str(folder), "--device", "cpu", "--max-new-tokens", "3"]
        command = ["ask", str(tmp_path / "picture.png"), question, *pair, "--json", *options]
        return CliRunner(env={"COLUMNS": "160"}).invoke(app, command)

    return run


def sentence(result: Result) -> str:
    """The one line on stderr of a request that cannot be served."""
    assert result.exit_code == 2 and result.stdout == "", result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("stitch: ") and "Traceback" not in line
    return line


# Pictures


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (1, 200)])
def test_tiny_and_thin_pictures_are_answered(ask, tmp_path, size):
    for options in (["--keep", "0.2", "--layer", "0", "--exit", "1"], ["--method", "downsample", "--keep", "0.5"]):
        result = ask(size, "What is it?", "--overlay", str(tmp_path / "overlay.png"), *options)
        assert result.exit_code == 0 and result.stderr == "", result.output
        told = json.loads(result.stdout)
        assert told["answered_by"] == "large" and 0 <= told["tokens"]["kept"] <= told["tokens"]["visual"] > 0
        assert (tmp_path / "overlay.png").stat().st_size > 0


@pytest.mark.parametrize("size", [(201, 1), (1, 4000)])
def test_what_is_thinner_still_is_answered_or_refused_with_its_size(ask, kind, size):
    result = ask(size)
    if kind in QWEN_VL:
        told = f"the picture is {size[0]}x{size[1]} pixels, more than 200 times as long as wide"
        assert told in sentence(result) and "cut it into pieces or pad it" in result.stderr
    else:
        assert result.exit_code == 0 and json.loads(result.stdout)["tokens"]["visual"] > 0


def test_forty_pictures_in_one_question(engine, folder):
    """Against transformers' own layers, and pruned as one pool with the draft on the way."""
    question = Question("?", tuple(picture(30 + n, 40, n) for n in range(40)))
    ids, pictures, layout = row_inputs(engine, question)
    assert layout.image.unique().tolist() == list(range(40)) and len(layout.image_sizes) == 40 <= layout.n_tiles
    expected = masked_logits(plain_copy(folder), ids, pictures, [], [])
    ours = engine.prefill(engine.embed(engine.prepare([question]))).logits
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()
    (answer,) = cascade(engine, engine).answer([question], Sampling(3))
    assert len(answer.guide.scores) == layout.n_visual and answer.trace.n_kept == int(0.4 * layout.n_visual)


# Tokens that stand for pictures


def test_they_are_refused_in_the_question_and_in_the_system_message(ask, kind):
    for token in PLACEHOLDERS[kind]:
        told = f"the text contains {token!r}, which stands for a picture in this model: remove it"
        assert told in sentence(ask((64, 48), f"What is {token}?"))
        assert told in sentence(ask((64, 48), "What is it?", "--system", f"You see {token}."))


@pytest.mark.parametrize("token", ["<IMG_CONTEXT>", "<image>", "<|image_pad|>"])
def test_those_of_other_models_are_words_and_warned_of_once(ask, folder, kind, token):
    """Somebody may ask about them, but mostly they were left from another model's prompt."""
    if token in PLACEHOLDERS[kind]:
        return
    told = f"the text contains {token!r}, which stands for a picture in other models and is plain text here"
    result = ask((64, 48), f"What is {token}? And {token}?", "--exit", "never")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 0 and line.startswith(f"stitch: warning: {told}") and "leave it out" in line
    assert json.loads(result.stdout)["answered_by"] == "large"
    vlm = load_vlm(str(folder), device="cpu")
    with pytest.warns(RequestWarning, match=re.escape(told)):
        meant = vlm.family.prepare(vlm, [make_question(f"What is {token}?", picture(64, 48))], None)
    plain = vlm.family.prepare(vlm, [make_question("What is x?", picture(64, 48))], None)
    assert meant.layouts[0].n_visual == plain.layouts[0].n_visual
    assert token in vlm.tokenizer.decode(meant.token_ids[0])


class Says(nn.Module):
    """A head that is sure of one token, whatever the states."""

    def __init__(self, token: int, n_tokens: int):
        super().__init__()
        self.logits = nn.functional.one_hot(torch.tensor(token), n_tokens) * 9.0

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(*hidden.shape[:-1], -1)


def cascade(small: Engine, large: Engine, **options) -> Cascade:
    guided = Guided()
    return Cascade(
        lambda: small,
        lambda: large,
        parse_exit("never"),
        guided,
        guided.scheduler(0.4, 1),
        score_drafts=True,
        **options,
    )


def test_a_draft_of_them_counts_as_words_and_is_not_proposed(engine, folder):
    small = Engine(load_vlm(str(folder), device="cpu"))
    placeholder = small.vlm.placeholder_id
    small.decoder = replace(small.decoder, head=Says(placeholder, small.vlm.model.config.text_config.vocab_size))
    questions = [make_question("What is it?", picture(64, 48)), make_question("Why is that?", picture(30, 90, 1))]
    look = cascade(small, engine)
    answers = look.answer(questions, Sampling(4))
    for answer, layout in zip(answers, small.prepare(questions).layouts, strict=True):
        assert len(answer.guide.decode) == 3 and len(answer.guide.scores) == layout.n_visual
        assert 0 <= answer.trace.verdict.score <= 1 and answer.trace.n_proposed == 0
    for other in (replace(look, reuse_drafts=False), replace(look, speculate=2)):
        assert [answer.text for answer in other.answer(questions, Sampling(4))] == [answer.text for answer in answers]


def test_in_an_answer_they_are_tokens_like_any_other(engine):
    """With the embedding of another token they give what that one gives, scored, verified and fed one by one."""
    embedding, placeholder, plan = (
        engine.vlm.model.get_input_embeddings(),
        engine.vlm.placeholder_id,
        random_plan((1, 0.4)),
    )
    with torch.no_grad():
        embedding.weight[placeholder] = embedding.weight[5]
    prompt = engine.embed(engine.prepare([make_question("What is it?", picture(64, 48))]))
    said, same = [[9, placeholder, 7]], [[9, 5, 7]]
    assert torch.equal(engine.score(prompt, said, plan)[0], engine.score(prompt, same, plan)[0])
    verified = [engine.prefill(prompt, plan, proposed=proposed).all_logits for proposed in (said, same)]
    assert torch.equal(*verified)


# Contexts


@pytest.mark.parametrize(
    ("question", "options"), [("why? " * 700, []), ("why?", ["--max-new-tokens", "2040"])], ids=["question", "answer"]
)
def test_what_is_too_long_for_the_model_is_one_sentence(ask, folder, question, options):
    told = sentence(ask((64, 48), question, *options))
    n_answer = options[-1] if options else "3"
    assert f"the answer may have {n_answer}, more than the 2048 that {folder} can hold: use fewer or smaller" in told
    assert "a shorter question" in told and "--max-new-tokens" in told


@pytest.fixture
def evaluate(folder, tmp_path):
    """``stitch eval`` on three questions, the second of which is too long."""
    picture(64, 48).save(tmp_path / "p.png")
    asked = {"first": "What is it?", "long": "why? " * 700, "last": "Why?"}
    rows = [{"id": name, "image": "p.png", "question": text, "answer": "x"} for name, text in asked.items()]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def run(*options: str) -> tuple[Result, list[str]]:
        pair = [
            "--small",
            str(folder),
            "--large",
            str(folder),
            "--device",
            "cpu",
            "--max-new-tokens",
            "3",
            "--live",
            "0",
        ]
        out = tmp_path / "r.jsonl"
        command = ["eval", f"folder:{tmp_path / 'q.jsonl'}", *pair, "--out", str(out), "--json", *options]
        result = CliRunner(env={"COLUMNS": "160"}).invoke(app, command)
        return result, [json.loads(line)["id"] for line in out.read_text().splitlines()]

    return run


def test_a_run_goes_on_behind_a_question_that_is_too_long(evaluate):
    result, ids = evaluate()
    assert result.exit_code == 0 and ids == ["first", "last"], result.output
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem.startswith("line 2: question that cannot be asked") and "more than the 2048" in problem


def test_a_strict_run_stops_there_and_keeps_what_it_has(evaluate):
    stopped, ids = evaluate("--strict")
    told = stopped.stderr.splitlines()[-1]  # behind the bar
    assert stopped.exit_code == 2 and not stopped.stdout and ids == ["first"] and "Traceback" not in stopped.stderr
    assert told.startswith("stitch: line 2: the prompt has") and "more than the 2048" in told
    result, ids = evaluate()
    assert result.exit_code == 0 and ids == ["first", "last"] and json.loads(result.stdout)["all"]["n"] == 2


# Checkpoints


@pytest.mark.parametrize("role", ["--small", "--large"])
@pytest.mark.parametrize("other", ["qwen3_vl_moe", "llava", "internvl_chat", "bert", None])
def test_other_families_are_refused_with_the_names_of_those_that_are_not(ask, tmp_path, role, other):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": other} if other else {}))
    told = sentence(ask((64, 48), "What is it?", role, str(tmp_path)))
    assert (
        f"{tmp_path} is a {other or 'nameless'} checkpoint, not a vision-language model of a supported family" in told
    )
    assert "(InternVL, Qwen-VL, LLaVA-OneVision): choose one that stitch models lists" in told
