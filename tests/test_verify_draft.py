"""A proposed answer changes how fast an answer comes, and nothing else: against decoding without one, and against frequencies."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from test_engine import MODELS, N_LAYERS, QUESTIONS, random_plan
from tiny import save_tiny, save_tiny_internvl
from transformers.generation.streamers import BaseStreamer

from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.methods import make_method
from stitchvlm.sampling import Sampling, TokenPicker

N_ANSWER = 7
SAMPLING = Sampling(N_ANSWER)
ACCEPTED = [(0, 0, 0), (6, 6, 6), (3, 0, 6), (1, 5, 2), (None, 4, 0), (None, None, 2)]
"""Per row how many tokens of the proposal are right before a wrong one comes; None proposes nothing."""


@pytest.fixture(scope="module", params=MODELS)
def engine(request, tmp_path_factory):
    folder = save_tiny(tmp_path_factory.mktemp(request.param), request.param, n_layers=N_LAYERS)
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    folder = save_tiny_internvl(tmp_path_factory.mktemp("qwen"), n_layers=N_LAYERS)
    return Engine(load_vlm(str(folder), device="cpu"))


def answers(engine, plan, rows=3, proposed=None, sampling=SAMPLING, **options):
    prompt = engine.embed(engine.prepare(QUESTIONS[:rows]))
    return engine.decode(engine.prefill(prompt, plan, proposed=proposed), sampling, keep_logits=True, **options)


def proposal(answer, n_right, n_wrong=2):
    """The first tokens of an answer, and then wrong ones."""
    if n_right is None:
        return []
    wrong = [(token + 1) % 200 for token in answer[n_right : n_right + 1]]
    return [*answer[:n_right], *wrong, *([7] * (n_wrong - 1))][: N_ANSWER - 1]


@pytest.mark.parametrize("layer", [0, 2, 3, None])
@pytest.mark.parametrize("accepted", ACCEPTED)
def test_a_verified_proposal_changes_no_token(engine, layer, accepted):
    plan = None if layer is None else random_plan((layer, 0.4))
    plain = answers(engine, plan)
    proposed = [proposal(row, n) for row, n in zip(plain.tokens, accepted, strict=True)]
    ours = answers(engine, plan, proposed=proposed)
    assert ours.tokens == plain.tokens
    ends = [len(row) - 1 for row in plain.tokens]
    assert ours.n_accepted == tuple(min(n or 0, end + 1) for n, end in zip(accepted, ends, strict=True))
    torch.testing.assert_close(ours.logits, plain.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_right", range(N_ANSWER))
def test_one_row_alone(engine, n_right):
    plain = answers(engine, random_plan((2, 0.4)), rows=1)
    ours = answers(engine, random_plan((2, 0.4)), rows=1, proposed=[proposal(plain.tokens[0], n_right)])
    assert ours.tokens == plain.tokens and ours.n_accepted == (min(n_right, len(plain.tokens[0])),)


def test_an_accepted_proposal_costs_one_pass(qwen, monkeypatch):
    plain = answers(qwen, None, rows=1)
    passes = []
    monkeypatch.setattr(type(qwen.decoder), "run", _counted(type(qwen.decoder).run, passes))
    answers(qwen, None, rows=1, proposed=[plain.tokens[0][:-1]])
    assert len(passes) == 1
    answers(qwen, None, rows=1)
    assert len(passes) == 1 + len(plain.tokens[0])


def _counted(run, passes):
    def counting(*arguments):
        passes.append(1)
        return run(*arguments)

    return counting


@pytest.mark.parametrize("window", [6, 40])
def test_sliding_windows(tmp_path, window):
    folder = save_tiny_internvl(
        tmp_path, n_layers=N_LAYERS, sliding_window=window, use_sliding_window=True, max_window_layers=2
    )
    engine = Engine(load_vlm(str(folder), device="cpu"))
    plain = answers(engine, random_plan((2, 0.4)))
    proposed = [proposal(row, n) for row, n in zip(plain.tokens, (3, 0, 5), strict=True)]
    assert answers(engine, random_plan((2, 0.4)), proposed=proposed).tokens == plain.tokens


def test_merged_tokens_keep_their_weight(qwen):
    tome = make_method("tome", layer=2)
    plan = replace(random_plan((2, 0.4)), reducer=tome, schedule=tome.schedule(0.6, N_LAYERS))
    plain = answers(qwen, plan)
    proposed = [proposal(row, n) for row, n in zip(plain.tokens, (3, 0, 5), strict=True)]
    ours = answers(qwen, plan, proposed=proposed)
    assert ours.tokens == plain.tokens
    torch.testing.assert_close(ours.logits, plain.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["fastv", "sparsevlm", "pyramiddrop", "dart", "divprune"])
def test_no_method_listens_to_what_is_proposed(qwen, method):
    reducer = make_method(method)
    plan = replace(random_plan((2, 0.4)), reducer=reducer, schedule=reducer.schedule(0.7, N_LAYERS))
    prompt = qwen.embed(qwen.prepare(QUESTIONS))
    before, after = (qwen.prefill(prompt, plan, proposed=p) for p in (None, [[5, 6], [7], []]))
    assert all(torch.equal(a, b) for a, b in zip(before.kept, after.kept, strict=True))


@pytest.mark.parametrize("n_guessed", [1, 3])
@pytest.mark.parametrize("right_until", [0, 2, 100])
def test_guesses_between_rounds_change_no_token(engine, n_guessed, right_until):
    plan = random_plan((2, 0.4))
    plain = answers(engine, plan)

    def guess(so_far):
        """Right up to a place of the answer that differs from row to row, then wrong."""
        guesses = []
        for row, (answer, known) in enumerate(zip(plain.tokens, so_far, strict=True)):
            following = answer[len(known) : len(known) + n_guessed]
            guesses.append([t if len(known) + i < right_until + row else 3 for i, t in enumerate(following)])
        return guesses

    ours = answers(engine, plan, proposed=[proposal(plain.tokens[0], 1), [], []], proposer=guess)
    assert ours.tokens == plain.tokens
    torch.testing.assert_close(ours.logits, plain.logits, rtol=1e-4, atol=1e-4)


def test_processors_and_stop_rules_hold_along_a_proposal(qwen):
    """A minimum length and a repetition penalty depend on what came before, place by place."""
    config = qwen.vlm.model.generation_config
    before = config.repetition_penalty
    config.repetition_penalty = 1.7
    try:
        for sampling in (Sampling(N_ANSWER, min_new_tokens=4), Sampling(3)):
            plain = answers(qwen, None, sampling=sampling)
            for n_right in (0, 2, 6):
                proposed = [proposal(row, n_right) for row in plain.tokens]
                assert answers(qwen, None, sampling=sampling, proposed=proposed).tokens == plain.tokens
    finally:
        config.repetition_penalty = before


def test_sampled_answers_have_the_same_frequencies(qwen):
    """Of two tokens, verified against a proposal: first and second token are distributed as if nothing had been proposed."""
    n_rows, width = 4000, 5
    prompt = qwen.embed(qwen.prepare(QUESTIONS[2:] * n_rows))
    first, second = torch.full((2, qwen.vlm.model.config.text_config.vocab_size), -torch.inf)
    first[:width], second[:width] = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0], [0.0, 1.0, 0.0, 2.0, 0.3]])
    picker = TokenPicker(qwen.vlm, prompt, Sampling(2, temperature=1.0, seed=1))
    picker.verify(torch.stack([first, second]).expand(n_rows, -1, -1), [[1]] * n_rows)
    rows = [row for row in picker.answers if row[0] == 1]
    assert all(len(row) == 2 for row in rows) and all(len(row) == 1 for row in picker.answers if row[0] != 1)
    for drawn, logits in (([r[0] for r in picker.answers], first), ([r[1] for r in rows], second)):
        expected = logits.softmax(-1)[:width] * len(drawn)
        seen = torch.bincount(torch.tensor(drawn), minlength=width)
        assert ((seen - expected) ** 2 / expected).sum() < 18.47  # chi-square, 4 degrees of freedom, one in a thousand


def test_a_streamer_sees_the_same_tokens(qwen):
    class Recorder(BaseStreamer):
        def __init__(self):
            self.seen, self.ended = [], count()

        def put(self, tokens):
            self.seen.append(tokens.tolist())

        def end(self):
            next(self.ended)

    plain, ours = Recorder(), Recorder()
    generated = answers(qwen, None, rows=1, streamer=plain)
    answers(qwen, None, rows=1, proposed=[proposal(generated.tokens[0], 3)], streamer=ours)
    assert plain.seen == ours.seen and next(ours.ended) == 1
