"""A picture's prefix and blocks of questions compute what transformers computes on the whole square."""

import shutil
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from stitchvlm.training import blocks
from stitchvlm.training.attention import additive, use_plain_attention
from stitchvlm.training.blocks import BLOCK, answer_states, lay_out
from stitchvlm.training.grounding import Grounding
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.packing import Packer, collate
from stitchvlm.training.questions import Question

TOTAL = 320
KEPT = (list(range(TOTAL)), list(range(5, 200, 3)))


def question(letters: str, times: int) -> Question:
    return Question("read", f"What is written on the {letters} circle?", "K7B" * times, (0, 0, 1, 1))


ASKED = (
    [question("red", 1), question("blue", 30), question("green", 50), question("red", 2)],
    [question("blue", 2)],
)


@pytest.fixture
def model(tokenizer, tokens):
    """Four heads, two key heads, in float32."""
    size = replace(TINY, text_width=128, text_kv_heads=2)
    built = KINDS["internvl"].build(size, tokens, len(tokenizer), seed=3)
    use_plain_attention(built)
    return built


@pytest.fixture
def rows(tokenizer):
    packer = Packer(tokenizer)
    systems = (None, "Be concise.")
    return [packer.pack(asked, kept, TOTAL, system) for asked, kept, system in zip(ASKED, KEPT, systems, strict=True)]


def test_whole_questions_fill_blocks(rows):
    batch = collate(rows, torch.device("cpu"))
    laid = lay_out(batch)
    assert laid.block > BLOCK and laid.block % 64 == 0 and laid.prefix % 32 == 0  # one question is longer than a block
    for row in range(2):
        told = batch.segments[row] >= 0
        moved = laid.target[row][told]
        assert len(set(moved.tolist())) == told.sum() and torch.equal(laid.source[row][moved], told.nonzero()[:, 0])
        for number in range(1, len(ASKED[row]) + 1):
            of_question = laid.target[row][batch.segments[row] == number] - laid.prefix
            assert len(set((of_question // laid.block).tolist())) == 1


@pytest.mark.parametrize("listening", [False, True])
def test_states_and_gradients_are_those_of_transformers(model, rows, listening, exact):
    batch = collate(rows, torch.device("cpu"))
    text = model.model.language_model
    embedded = torch.randn(*batch.tokens.shape, 128, generator=torch.Generator().manual_seed(0))
    places = [[[3, 4, 5], [], [7], [300]], [[0, 9]]]
    pointed = [[[[3], [4], [4], [5]], [], [], []], [[]]]
    heard = [Grounding(rows, places, batch, pointed=pointed) if listening else None for _ in range(2)]
    direction = torch.randn(128, generator=torch.Generator().manual_seed(1))
    found = []
    for way, grounding in zip(("whole", "blocks"), heard, strict=True):
        if way == "whole":
            mask = additive(batch.mask, torch.float32)
            states = text(
                inputs_embeds=embedded,
                position_ids=batch.positions,
                attention_mask=mask,
                use_cache=False,
                grounding=grounding,
            ).last_hidden_state
        else:
            states = answer_states(text, embedded, batch, grounding)
        loss = (states @ direction)[batch.segments >= 0].square().mean()
        if grounding is not None:
            loss = loss + grounding.loss()
        text.zero_grad()
        loss.backward()
        gradients = {name: weight.grad.clone() for name, weight in text.named_parameters() if weight.grad is not None}
        found.append((states.detach()[batch.segments >= 0], loss.detach(), gradients))
    (states, loss, gradients), (same, other_loss, others) = found
    assert torch.allclose(states, same, atol=2e-5) and torch.isclose(loss, other_loss, rtol=1e-5)
    assert gradients.keys() == others.keys()
    assert all(torch.allclose(gradients[k], others[k], rtol=1e-3, atol=1e-4 * gradients[k].abs().max()) for k in others)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tracing, torch warns of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_compiled_layers_compute_the_same(model, rows, monkeypatch, exact):
    compiled, parts = blocks._compiled, []
    monkeypatch.setattr(blocks, "_compiled", lambda part: parts.append(part) or compiled(part))
    batch, text = collate(rows, torch.device("cpu")), model.model.language_model
    embedded = torch.randn(*batch.tokens.shape, 128, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(128, generator=torch.Generator().manual_seed(1))
    found = []
    for _ in range(2):
        text.zero_grad()
        states = answer_states(text, embedded, batch)[batch.segments >= 0]
        (states @ direction).square().mean().backward()
        gradients = {name: weight.grad for name, weight in text.named_parameters() if weight.grad is not None}
        found.append((states.detach(), gradients, len(parts)))
        for layer in text.layers:
            layer.compile(dynamic=False)
    (states, gradients, before), (same, others, after) = found
    assert (before, after) == (0, 2 * len(text.layers)) and torch.allclose(states, same, atol=1e-4)
    assert gradients.keys() == others.keys()
    assert all(torch.allclose(gradients[k], others[k], atol=1e-3 * gradients[k].abs().max()) for k in others)
