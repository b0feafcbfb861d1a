"""The small model's pass: greedy drafts, raw probabilities, drafts that must not be fed back."""

from dataclasses import replace

import pytest
import torch
from reference import plain_copy
from test_engine import QUESTIONS
from tiny import save_tiny_internvl

from stitchvlm.engine import Engine
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.families import load_vlm
from stitchvlm.guide import run_guide
from stitchvlm.sampling import Sampling


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_internvl(tmp_path_factory.mktemp("guide"), n_layers=3)


@pytest.fixture
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


def test_confidence_is_raw_although_penalties_choose(engine, folder):
    """Near-greedy or penalised generation defaults decide the draft as in generate, but never the confidence."""
    options = {"repetition_penalty": 1.7, "temperature": 0.01, "top_k": 1}
    for name, value in options.items():
        setattr(engine.vlm.model.generation_config, name, value)
    prompt = engine.embed(engine.prepare(QUESTIONS[:1]))
    draft = run_guide(engine, prompt, Sampling(6, temperature=1.0)).drafts[0]
    plain = plain_copy(folder, "sdpa")
    inputs = engine.prepare(QUESTIONS[:1])
    with torch.no_grad():
        output = plain.generate(
            input_ids=inputs.token_ids[0][None],
            pixel_values=inputs.pixels,
            do_sample=False,
            repetition_penalty=1.7,
            max_new_tokens=6,
            return_dict_in_generate=True,
            output_logits=True,
        )
    assert list(draft.tokens) == output.sequences[0, len(inputs.token_ids[0]) :].tolist()
    raw = torch.stack(output.logits)[:, 0].double().log_softmax(-1)
    expected = [raw[step, token].item() for step, token in enumerate(draft.tokens)]
    assert draft.log_probabilities == pytest.approx(expected, abs=1e-5)


def test_a_minimum_length_counts_in_choice_and_confidence(engine):
    prompt = engine.embed(engine.prepare(QUESTIONS[:1]))
    head = engine.decoder.head.weight
    end = engine.vlm.stop_ids[0]
    with torch.no_grad():
        head[end] = 50 * engine.decoder.norm(engine._through(prompt, prompt.stream, None, None, None)[0].hidden)[0, -1]
    eager_to_stop = run_guide(engine, prompt, Sampling(4)).drafts[0]
    assert eager_to_stop.tokens == (end,) and eager_to_stop.log_probabilities[0] == pytest.approx(0, abs=1e-6)
    assert eager_to_stop.guide.decode.shape[0] == 0
    made_to_go_on = run_guide(engine, prompt, Sampling(4, min_new_tokens=1)).drafts[0]
    assert made_to_go_on.tokens[0] != end
    logits = engine.prefill(prompt).logits[0].double()
    logits[end] = float("-inf")
    assert made_to_go_on.log_probabilities[0] == pytest.approx(logits.log_softmax(-1).max().item())


def test_a_draft_with_the_picture_placeholder_is_not_fed_back(engine):
    guide = run_guide(engine, engine.embed(engine.prepare(QUESTIONS[:2])), Sampling(4))
    tainted = replace(guide.drafts[0], tokens=(engine.vlm.placeholder_id, *guide.drafts[0].tokens[1:]))
    verdicts = SmallEarlyExit(0.4).judge(replace(guide, drafts=(tainted, guide.drafts[1])))
    untouched = SmallEarlyExit(0.4).judge(guide)
    assert verdicts[0].parts["consistency"] == 0
    assert verdicts[1].parts["consistency"] == pytest.approx(untouched[1].parts["consistency"], rel=1e-4)


def test_drafts_are_complete_unless_their_own_limit_cut_them(engine):
    prompt = engine.embed(engine.prepare(QUESTIONS[:1]))
    assert run_guide(engine, prompt, Sampling(3)).drafts[0].complete
    assert not run_guide(engine, prompt, Sampling(3), guide_tokens=2).drafts[0].complete
    assert run_guide(engine, prompt, Sampling(2), guide_tokens=3).drafts[0].complete
