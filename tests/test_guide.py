"""The small model's pass: greedy drafts, raw probabilities, drafts that must not be fed back."""

from dataclasses import replace

import pytest
import torch
from reference import eager_attentions, plain_copy
from test_engine import QUESTIONS
from tiny import save_tiny_internvl

from stitchvlm.attention import AttentionTap
from stitchvlm.engine import Engine
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.families import load_vlm
from stitchvlm.guide import run_guide
from stitchvlm.maps import MapForm
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


def share_of_the_picture(maps: torch.Tensor, visual: torch.Tensor) -> torch.Tensor:
    return maps / maps[..., visual].sum(-1, keepdim=True)


FORMS = {
    "layers=first": (MapForm(layers="first"), lambda maps, _: maps[:2].sum((0, 1))),
    "layers=last": (MapForm(layers="last"), lambda maps, _: maps[2].sum(0)),
    "layers=1": (MapForm(layers=1), lambda maps, _: maps[1].sum(0)),
    "heads=max": (MapForm(heads="max"), lambda maps, _: maps.amax(1).sum(0)),
    "heads=normalised": (MapForm(heads="normalised"), lambda maps, v: share_of_the_picture(maps, v).sum((0, 1))),
    "sinks=damp": (MapForm(sinks="damp"), lambda maps, _: maps.sum(1).sqrt().sum(0)),
    "rising": (MapForm(layer_weights="rising"), lambda m, _: 0.5 * m[0].sum(0) + m[1].sum(0) + 1.5 * m[2].sum(0)),
    "falling": (MapForm(layer_weights="falling"), lambda m, _: 1.5 * m[0].sum(0) + m[1].sum(0) + 0.5 * m[2].sum(0)),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_the_map_equals_eager_attention(engine, folder, name):
    form, of_rows = FORMS[name]
    drafts = run_guide(engine, engine.embed(engine.prepare(QUESTIONS)), Sampling(5), form=form).drafts
    plain = plain_copy(folder)
    for row, question in enumerate(QUESTIONS[:2]):
        inputs = engine.prepare([question])
        layout, n_prompt = inputs.layouts[0], len(inputs.token_ids[0])
        maps = eager_attentions(plain, inputs.token_ids[0], {"pixel_values": inputs.pixels}, drafts[row].tokens[:-1])
        rows = of_rows(maps, layout.index)[layout.first_text_after_visual :, layout.index]
        n_text = n_prompt - layout.first_text_after_visual
        torch.testing.assert_close(drafts[row].guide.prefill, rows[:n_text].sum(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(drafts[row].guide.decode, rows[n_text:], rtol=1e-4, atol=1e-4)
    assert drafts[2].guide.scores.shape == (0,)


def test_rows_of_the_map_can_be_chosen(engine):
    prompt = engine.embed(engine.prepare(QUESTIONS[:2]))

    def guide(rows: str):
        return [draft.guide for draft in run_guide(engine, prompt, Sampling(5), form=MapForm(rows=rows)).drafts]

    answers = zip(*map(guide, ("both", "prompt", "generated", "answer")), strict=True)
    for both, from_prompt, generated, answer in answers:
        assert torch.equal(both.prefill, from_prompt.prefill) and not from_prompt.decode.any()
        assert torch.equal(both.decode, generated.decode) and not generated.prefill.any()
        assert torch.equal(both.decode, answer.decode) and (answer.prefill < both.prefill).all()
        assert answer.prefill.sum() > 0
    alone = engine.embed(engine.prepare(QUESTIONS[:1]))
    tap = AttentionTap(alone.stream, alone.stream.index == alone.stream.lengths[0] - 1, engine.decoder.windows)
    prefill = tap.finish(engine.prefill(alone, tap=tap).cache, (0,))[0][0, alone.layouts[0].index]
    torch.testing.assert_close(guide("answer")[0].prefill, prefill, rtol=1e-4, atol=1e-5)


def test_a_layer_that_the_model_has_not_is_refused():
    for layer in (3, -1):
        with pytest.raises(ValueError, match=f"no layer {layer} .* layers 0 to 2"):
            MapForm(layers=layer).counted_layers(3)
