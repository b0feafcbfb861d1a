"""Speculative decoding against the large model's own greedy decoding."""

import pytest
from test_engine import N_LAYERS, QUESTIONS, TEXT_MODELS, random_plan
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.families import load_vlm
from stitchvlm.guide import run_guide
from stitchvlm.sampling import Sampling
from stitchvlm.speculation import Speculator

SAMPLING = Sampling(9)


def tiny_engine(tmp_path_factory, text, seed, n_layers=N_LAYERS):
    folder = tmp_path_factory.mktemp(f"{text}{seed}")
    return Engine(load_vlm(str(save_tiny_internvl(folder, text, n_layers=n_layers, seed=seed)), device="cpu"))


@pytest.fixture(scope="module", params=TEXT_MODELS)
def large(request, tmp_path_factory):
    return tiny_engine(tmp_path_factory, request.param, seed=0)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Another model, whose guesses are hardly ever right."""
    return tiny_engine(tmp_path_factory, "qwen2", seed=3, n_layers=2)


def guided(small, rows):
    return run_guide(small, small.embed(small.prepare(QUESTIONS[:rows])), SAMPLING, keep_caches=True)


@pytest.mark.parametrize(
    ("rows", "n_tokens", "with_draft", "twin"),
    [
        (1, 1, False, True),
        (1, 4, True, True),
        (3, 1, True, False),
        (3, 4, False, False),
        (3, 4, False, True),
        (3, 4, True, True),
    ],
)
def test_guesses_change_no_token(large, stranger, rows, n_tokens, with_draft, twin):
    """``twin``: the model guesses for itself without pruning, so that guesses are right for a while."""
    prompt = large.embed(large.prepare(QUESTIONS[:rows]))
    plan = random_plan((2, 0.9))
    plain = large.decode(large.prefill(prompt, plan), SAMPLING)
    small = guided(large if twin else stranger, rows)
    drafts = [draft.tokens[:-1] for draft in small.drafts] if with_draft else None
    ours = large.decode(
        large.prefill(prompt, plan, proposed=drafts), SAMPLING, proposer=Speculator(small.behind, n_tokens)
    )
    assert ours.tokens == plain.tokens


def test_a_model_that_guesses_for_itself_is_right(large, monkeypatch):
    """Without pruning every guess stands: 9 tokens at 4 guesses a round take the prefill and two rounds."""
    prompt = large.embed(large.prepare(QUESTIONS[:2]))
    prefilled, small = large.prefill(prompt), guided(large, 2)
    feeds = []
    feed = type(small.behind).feed
    monkeypatch.setattr(type(small.behind), "feed", lambda self, *a: feeds.append(self) or feed(self, *a))
    generated = large.decode(prefilled, SAMPLING, proposer=Speculator(small.behind, 4))
    assert sum(one is generated.behind for one in feeds) == 2
    assert generated.n_accepted == (6, 6)  # four, then the two before the last token


def test_no_tokens_to_guess_are_refused(large):
    with pytest.raises(ValueError, match="at least 1 token"):
        Speculator(guided(large, 1).behind, 0)
