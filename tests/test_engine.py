"""The engine against transformers' own outputs and against masked full-length references."""

import numpy as np
import pytest
import torch
from PIL import Image
from reference import eager_attentions, forward_inputs, masked_logits, plain_copy
from tiny import LLAVA, QWEN_VL, save_tiny, save_tiny_internvl

from stitchvlm.attention import AttentionTap
from stitchvlm.engine import Engine, Plan
from stitchvlm.families import load_vlm
from stitchvlm.families.base import pad_left
from stitchvlm.guide import run_guide
from stitchvlm.methods import Random
from stitchvlm.questions import make_question
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import PruneStep, Schedule

TEXT_MODELS = ("qwen2", "llama", "phi3", "qwen3")
MODELS = (*TEXT_MODELS, *QWEN_VL, LLAVA)
"""InternVL around each of these language models, Qwen-VL, and LLaVA-OneVision."""
N_LAYERS = 6


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


QUESTIONS = (
    Question("What is written on the red circle?", (picture(64, 48),)),
    Question("Why?", (picture(30, 90, 1), picture(28, 28, 2))),
    Question("no picture at all", ()),
)

ONE_AND_ANOTHER = [
    {"type": "text", "text": "First this:"},
    {"type": "image", "image": picture(56, 28, 1)},
    {"type": "text", "text": "and then that:"},
    {"type": "image", "image": picture(30, 70, 2)},
]
CHAT = make_question(
    messages=[
        {"role": "user", "content": ONE_AND_ANOTHER},
        {"role": "assistant", "content": "A dot."},
        {
            "role": "user",
            "content": [{"type": "image", "image": picture(28, 28, 3)}, {"type": "text", "text": "And this?"}],
        },
    ]
)
"""Text between pictures. Within one turn LLaVA-OneVision's template moves it behind them; turns stay apart in all."""


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp(request.param), request.param, n_layers=N_LAYERS)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture(scope="module")
def plain(folder):
    return plain_copy(folder)


@pytest.fixture(scope="module")
def plain_sdpa(folder):
    return plain_copy(folder, "sdpa")


def row_inputs(engine, question):
    inputs = engine.prepare([question])
    return inputs.token_ids[0], pictures_of(engine, [question]), inputs.layouts[0]


def pictures_of(engine, questions) -> dict[str, torch.Tensor]:
    """Pictures as transformers' own forward takes them; some image processors give all that is needed for it."""
    rows = [list(question.images) for question in questions if question.images]
    if not rows:
        return {}
    if engine.vlm.family.name == "Qwen-VL":
        return dict(engine.vlm.image_processor([image for row in rows for image in row], return_tensors="pt"))
    if engine.vlm.family.name == "LLaVA-OneVision":
        return dict(engine.vlm.image_processor(rows, return_tensors="pt"))
    return {"pixel_values": engine.prepare(questions).pixels}


def left_padded(ids: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch as transformers' generate wants it."""
    mask = pad_left([torch.ones_like(row) for row in ids], value=0)
    return {"input_ids": pad_left(ids, value=0), "attention_mask": mask}


def test_unpruned_logits_equal_transformers(engine, plain_sdpa):
    for question in (*QUESTIONS, CHAT):
        ids, pictures, _ = row_inputs(engine, question)
        with torch.no_grad():
            expected = plain_sdpa(**forward_inputs(plain_sdpa, ids[None], pictures)).logits[:, -1]
        ours = engine.prefill(engine.embed(engine.prepare([question]))).logits
        assert (ours - expected).abs().max() <= 1e-5


def test_generated_tokens_equal_transformers(engine, plain):
    inputs = engine.prepare(QUESTIONS)
    batch = left_padded(list(inputs.token_ids))
    batch |= forward_inputs(plain, batch["input_ids"], pictures_of(engine, QUESTIONS))
    with torch.no_grad():
        expected = plain.generate(**batch, do_sample=False, max_new_tokens=12)[:, max(map(len, inputs.token_ids)) :]
    ours = engine.decode(engine.prefill(engine.embed(inputs)), Sampling(12)).tokens
    for row, tokens in enumerate(ours):
        assert list(tokens) == expected[row, : len(tokens)].tolist()
        assert len(tokens) == 12 or tokens[-1] in engine.vlm.stop_ids


def test_sampled_tokens_equal_transformers(engine, plain):
    ids, pictures, _ = row_inputs(engine, QUESTIONS[0])
    torch.manual_seed(7)
    with torch.no_grad():
        expected = plain.generate(
            **forward_inputs(plain, ids[None], pictures), do_sample=True, temperature=0.7, max_new_tokens=8
        )[0, len(ids) :]
    prompt = engine.embed(engine.prepare(QUESTIONS[:1]))
    ours = engine.decode(engine.prefill(prompt), Sampling(8, temperature=0.7, seed=7)).tokens[0]
    assert list(ours) == expected.tolist()


def random_plan(*steps: tuple[int, float], seeds: tuple[int, ...] | None = None) -> Plan:
    return Plan(Schedule(tuple(PruneStep(layer, keep) for layer, keep in steps)), Random(), seeds=seeds)


def dropped_places(layout, kept) -> list[int]:
    return [place for ordinal, place in enumerate(layout.index.tolist()) if ordinal not in set(kept)]


@pytest.mark.parametrize("layer", [0, 2, 3])
@pytest.mark.parametrize("keep", [0.4, 0.04])
@pytest.mark.parametrize("rows", [1, 3])
def test_pruned_decode_equals_masked_reference(engine, plain, layer, keep, rows):
    questions = QUESTIONS[:rows]
    prefilled = engine.prefill(engine.embed(engine.prepare(questions)), random_plan((layer, keep)))
    kept = [row.tolist() for row in prefilled.kept]
    generated = engine.decode(prefilled, Sampling(6), keep_logits=True)
    for row, question in enumerate(questions):
        ids, pictures, layout = row_inputs(engine, question)
        assert len(kept[row]) == int(layout.n_visual * keep)
        steps = [(layer, dropped_places(layout, kept[row]))]
        expected = masked_logits(plain, ids, pictures, generated.tokens[row][:-1], steps)
        ours = generated.logits[row, : len(generated.tokens[row])]
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("layer", [0, 2])
def test_pruned_decode_with_text_between_pictures_equals_masked_reference(engine, plain, layer):
    questions = (QUESTIONS[0], CHAT)
    prefilled = engine.prefill(engine.embed(engine.prepare(questions)), random_plan((layer, 0.4)))
    generated = engine.decode(prefilled, Sampling(4), keep_logits=True)
    ids, pictures, layout = row_inputs(engine, CHAT)
    assert "A dot." in engine.vlm.tokenizer.decode(ids[layout.index[0] : layout.index[-1]])
    steps = [(layer, dropped_places(layout, prefilled.kept[1].tolist()))]
    expected = masked_logits(plain, ids, pictures, generated.tokens[1][:-1], steps)
    ours = generated.logits[1, : len(generated.tokens[1])]
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_several_steps_equal_masked_reference(engine, plain):
    question = QUESTIONS[0]
    ids, pictures, layout = row_inputs(engine, question)
    prompt = engine.embed(engine.prepare([question]))
    first = engine.prefill(prompt, random_plan((1, 0.6))).kept[0].tolist()
    prefilled = engine.prefill(prompt, random_plan((1, 0.6), (4, 0.2)))
    last = prefilled.kept[0].tolist()
    counts = (layout.n_visual, *[int(0.6 * layout.n_visual)] * 3, *[int(0.2 * layout.n_visual)] * 2)
    assert set(last) <= set(first) and prefilled.kept_per_layer(0) == counts
    steps = [(1, dropped_places(layout, first)), (4, dropped_places(layout, last))]
    expected = masked_logits(plain, ids, pictures, [], steps)[0]
    assert (prefilled.logits[0] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_caches_of_pruned_layers_are_shorter(engine):
    prompt = engine.embed(engine.prepare(QUESTIONS[:1]))
    prefilled = engine.prefill(prompt, random_plan((2, 0.25)))
    n_tokens, n_visual = prompt.stream.lengths[0], prompt.layouts[0].n_visual
    lengths = [layer.get_seq_length() for layer in prefilled.cache.layers]
    short = n_tokens - n_visual + int(0.25 * n_visual)
    assert lengths == [n_tokens] * 2 + [short] * (N_LAYERS - 2)


def test_a_row_does_not_depend_on_its_batch(engine):
    def run(questions, seeds):
        prefilled = engine.prefill(engine.embed(engine.prepare(questions)), random_plan((2, 0.4), seeds=seeds))
        return prefilled.kept, engine.decode(prefilled, Sampling(6), keep_logits=True)

    together_kept, together = run(QUESTIONS, (5, 6, 7))
    for row, question in enumerate(QUESTIONS):
        kept, alone = run([question], (5 + row,))
        assert torch.equal(kept[0], together_kept[row]) and together.tokens[row] == alone.tokens[0]
        n = len(alone.tokens[0])
        torch.testing.assert_close(together.logits[row, :n], alone.logits[0, :n], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keep", [0.04, 0.5])
def test_scored_answers_equal_masked_reference(engine, plain, keep):
    answers = [[5, 9, 17, 200], [30], [8, 8]]
    plan = random_plan((0, keep))
    prompt = engine.embed(engine.prepare(QUESTIONS))
    kept = engine.prefill(prompt, plan).kept
    for row, logits in enumerate(engine.score(prompt, answers, plan)):
        ids, pictures, layout = row_inputs(engine, QUESTIONS[row])
        expected = masked_logits(plain, ids, pictures, answers[row], [(0, dropped_places(layout, kept[row].tolist()))])[
            :-1
        ]
        assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("first_query", ["text", "last_visual", "between"])
def test_guide_map_equals_eager_attentions(engine, plain, first_query):
    questions = (*QUESTIONS[:2], CHAT)
    guide = run_guide(engine, engine.embed(engine.prepare(questions)), Sampling(7), first_query=first_query)
    for row, question in enumerate(questions):
        ids, pictures, layout = row_inputs(engine, question)
        answer = guide.drafts[row].tokens
        maps = eager_attentions(plain, ids, pictures, answer[:-1])[..., layout.index].sum((0, 1))
        visual = ids == engine.vlm.placeholder_id
        first, last = int(visual.nonzero()[0]), int(visual.nonzero()[-1])
        rows = {"text": range(last + 1, len(ids)), "last_visual": range(last, len(ids))}
        rows["between"] = [place for place in range(first, len(ids)) if not visual[place]]
        ours = guide.drafts[row].guide
        torch.testing.assert_close(ours.prefill, maps[list(rows[first_query])].sum(0), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.decode, maps[len(ids) :], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.scores, ours.prefill + maps[len(ids) :].sum(0), rtol=1e-5, atol=1e-5)


def test_chunked_rows_give_the_same_map(engine, monkeypatch):
    prompt = engine.embed(engine.prepare(QUESTIONS[:2]))
    whole = run_guide(engine, prompt, Sampling(5))
    monkeypatch.setattr("stitchvlm.attention._CHUNK_ELEMENTS", 1)
    chunked = run_guide(engine, prompt, Sampling(5))
    for one, other in zip(whole.drafts, chunked.drafts, strict=True):
        torch.testing.assert_close(one.guide.scores, other.guide.scores, rtol=1e-6, atol=1e-6)


def test_tap_changes_nothing_in_the_answer(engine):
    prompt = engine.embed(engine.prepare(QUESTIONS[:2]))
    tap = AttentionTap(prompt.stream, prompt.stream.index >= 0, engine.decoder.windows)
    assert torch.equal(engine.prefill(prompt, tap=tap).logits, engine.prefill(prompt).logits)


def test_the_model_stays_an_ordinary_transformers_model(engine, plain):
    ids, pictures, _ = row_inputs(engine, QUESTIONS[0])
    with torch.no_grad():
        ours, expected = (
            model(**forward_inputs(model, ids[None], pictures)).logits for model in (engine.vlm.model, plain)
        )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(folder, engine, dtype):
    half = Engine(load_vlm(str(folder), dtype, "cpu"))
    prompt, half_prompt = (e.embed(e.prepare(QUESTIONS[:2])) for e in (engine, half))
    taps = [AttentionTap(p.stream, p.stream.index >= 30, engine.decoder.windows) for p in (prompt, half_prompt)]
    exact, ours = engine.prefill(prompt, tap=taps[0]), half.prefill(half_prompt, random_plan((2, 0.3)))
    assert ours.logits.isfinite().all() and ours.logits.dtype == torch.float32
    full = half.prefill(half_prompt, tap=taps[1])
    spread = exact.logits.std()
    assert (full.logits - exact.logits).abs().mean() < 0.1 * spread
    maps = [tap.finish(p.cache, (0, 0))[0] for tap, p in zip(taps, (exact, full), strict=True)]
    assert (maps[0] - maps[1]).abs().sum() < 0.1 * maps[0].sum()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("phi3", {"sliding_window": 16}),
        ("qwen2", {"sliding_window": 16, "use_sliding_window": True, "max_window_layers": 2}),
    ],
)
def test_sliding_windows_count_original_positions(tmp_path, text, options):
    folder = save_tiny_internvl(tmp_path, text, n_layers=4, **options)
    engine, plain = Engine(load_vlm(str(folder), device="cpu")), plain_copy(folder)
    plain_sdpa = plain_copy(folder, "sdpa")
    windows = engine.decoder.windows
    assert windows == ((16,) * 4 if text == "phi3" else (None, None, 16, 16))
    ids, pictures, layout = row_inputs(engine, QUESTIONS[0])
    unpruned = engine.prefill(engine.embed(engine.prepare(QUESTIONS[:1])))
    with torch.no_grad():
        expected = plain_sdpa(input_ids=ids[None], **pictures).logits[0, -1]
    assert (unpruned.logits[0] - expected).abs().max() <= 1e-5
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS[:2])), random_plan((1, 0.4)))
    kept = prefilled.kept[0].tolist()
    generated = engine.decode(prefilled, Sampling(5), keep_logits=True)
    steps = [(1, dropped_places(layout, kept))]
    expected = masked_logits(plain, ids, pictures, generated.tokens[0][:-1], steps, windows=windows)
    assert (generated.logits[0, : len(expected)] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_context_that_is_too_long_is_refused(engine):
    prefilled = engine.prefill(engine.embed(engine.prepare(QUESTIONS[:1])))
    with pytest.raises(ValueError, match="2048"):
        engine.decode(prefilled, Sampling(4000))
