"""What heads are told about where to look is the share of transformers' own attention maps that falls there."""

from dataclasses import fields, replace

import pytest
import torch
from conftest import TINY

from stitchvlm.training.answering import answer_logits
from stitchvlm.training.attention import use_plain_attention
from stitchvlm.training.grid import TOKENS_PER_TILE
from stitchvlm.training.grounding import FIRST_LAYER, Grounding
from stitchvlm.training.kinds import KINDS
from stitchvlm.training.language import LanguageTrainer, Lesson
from stitchvlm.training.packing import Packed, Packer, collate
from stitchvlm.training.questions import Question

CPU = torch.device("cpu")
READ = Question("read", "What is written on the red circle?", "K7B", (0, 0, 1, 1))
WHERE = Question("where", "Where is the blue star?", "top left", (0, 0, 1, 1))
KEPT = ([3, 9, 30, 31, 60], [0, 1, 2, 5, 8, 13, 21])
SYSTEMS = ("Be concise.", None)


@pytest.fixture
def model(tokenizer, tokens, exact):
    """Four heads, two key heads, in float32."""
    size = replace(TINY, text_width=128, text_kv_heads=2)
    built = KINDS["internvl"].build(size, tokens, len(tokenizer), seed=3).eval()
    use_plain_attention(built)
    return built


@pytest.fixture
def features() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(len(kept), 128, generator=generator) for kept in KEPT]


@pytest.fixture
def rows(tokenizer) -> list[Packed]:
    """Two questions behind the first picture, one behind the second; pictures begin at different places."""
    packer = Packer(tokenizer)
    return [
        packer.pack(asked, kept, TOKENS_PER_TILE, system)
        for asked, kept, system in zip(([READ, WHERE], [WHERE]), KEPT, SYSTEMS, strict=True)
    ]


def shares_beside(model, tokenizer, question, kept, system, features, place) -> torch.Tensor:
    """`[layers, heads, tokens]`: minus log of the share on the place, from transformers' eager maps of one question alone."""
    plain = Packer(tokenizer).pack([question], kept, TOKENS_PER_TILE, system)
    text = model.model.language_model
    embedded = text.embed_tokens(torch.tensor([plain.tokens]))
    embedded[0, plain.visual] = features
    text.config._attn_implementation = "eager"
    maps = text(
        inputs_embeds=embedded,
        position_ids=torch.tensor([plain.positions]),
        attention_mask=torch.ones(1, len(plain.tokens)),
        output_attentions=True,
        use_cache=False,
    ).attentions
    use_plain_attention(model)
    after = tokenizer(f"<|im_end|>\n<|im_start|>assistant\n{question.answer}").input_ids
    last_of_question = len(plain.tokens) - len(after) - 1
    visual = torch.stack(maps[FIRST_LAYER:])[:, 0, :, last_of_question:, plain.visual]
    return -(visual[..., place].sum(-1) / visual.sum(-1)).log()


@torch.no_grad()
def test_it_is_minus_log_the_share_of_visual_attention_on_the_asked_place(model, tokenizer, rows, features):
    batch = collate(rows, CPU)
    grounding = Grounding(rows, [[[1, 2], []], [[0, 6]]], batch)
    answer_logits(model, batch, torch.cat(features), grounding)
    first = shares_beside(model, tokenizer, READ, KEPT[0], SYSTEMS[0], features[0], [1, 2])
    second = shares_beside(model, tokenizer, WHERE, KEPT[1], SYSTEMS[1], features[1], [0, 6])
    assert first.shape[:2] == (TINY.text_layers - FIRST_LAYER, 4)
    assert torch.isclose(grounding.loss(), torch.cat([first, second], -1).mean(), rtol=1e-4)


@torch.no_grad()
def test_half_of_the_heads_look_at_the_next_character(model, tokenizer, rows, features):
    """The answer K7B and its end are predicted by the last four places of the question; the first layer hears of no character."""
    batch = collate(rows, CPU)
    steps = [[2], [2, 3], [], [0]]
    grounding = Grounding(rows, [[[1, 2], []], [[]]], batch, pointed=[[steps, []], [[]]])
    answer_logits(model, batch, torch.cat(features), grounding)

    def beside(place: list[int]) -> torch.Tensor:
        return shares_beside(model, tokenizer, READ, KEPT[0], SYSTEMS[0], features[0], place)

    expected = beside([1, 2])
    for k, step in enumerate(steps):
        if step:
            expected[1:, 2:, k - 4] = beside(step)[1:, 2:, k - 4]
    assert torch.isclose(grounding.loss(), expected.mean(), rtol=1e-4)


@torch.no_grad()
def test_one_head_looks_at_what_tells_what_it_is(model, tokenizer, rows, features):
    """Behind the first layer; where nothing tells, it looks at the place as the other one does."""
    batch, steps = collate(rows, CPU), [[2], [2, 3], [], [0]]
    grounding = Grounding(rows, [[[1, 2], []], [[5]]], batch, None, [[steps, []], [[]]], [[[0, 4], []], [[]]])
    answer_logits(model, batch, torch.cat(features), grounding)

    def beside(place: list[int]) -> torch.Tensor:
        return shares_beside(model, tokenizer, READ, KEPT[0], SYSTEMS[0], features[0], place)

    expected = beside([1, 2])
    expected[1:, 0] = beside([0, 4])[1:, 0]
    for k, step in enumerate(steps):
        if step:
            expected[1:, 2:, k - 4] = beside(step)[1:, 2:, k - 4]
    other = shares_beside(model, tokenizer, WHERE, KEPT[1], SYSTEMS[1], features[1], [5])
    assert torch.isclose(grounding.loss(), torch.cat([expected, other], -1).mean(), rtol=1e-4)


@pytest.mark.parametrize("places", [[[[1, 2], []], [[]]], [[[], []], [[]]]], ids=["one", "none"])
def test_questions_without_a_place_teach_nothing(model, rows, features, places):
    batch = collate(rows, CPU)
    grounding = Grounding(rows, places, batch)
    answer_logits(model, batch, torch.cat(features), grounding)
    grounding.loss().backward()
    layers = model.model.language_model.layers
    pushed = [layer.self_attn.q_proj.weight.grad for layer in layers[FIRST_LAYER:]]
    assert all(gradient.isfinite().all() for gradient in pushed)
    anything = any(place for row in places for place in row)
    assert all(bool(gradient.any()) == anything for gradient in pushed)
    assert (grounding.loss() > 0) == anything


def test_attention_that_was_not_heard_is_an_error(rows):
    with pytest.raises(ValueError, match="no attention was heard: the model needs use_plain_attention"):
        Grounding(rows, [[[1], []], [[]]], collate(rows, CPU)).loss()


def test_check_batches_are_those_of_training_and_say_nothing_of_places(make_pipeline, tmp_path, monkeypatch):
    """The batch is the same to the bit, whoever asks for it; only what is learnt from works its places out."""
    pipeline = make_pipeline(tmp_path)
    lesson = Lesson(pictures=2, questions=3, most_things=(9, 9), dropped_share=0.5)
    trainer = LanguageTrainer(pipeline.model, pipeline.packer, pipeline.sets, lesson, "seed")
    batches = []

    def spied(model, batch, features, grounding=None):
        batches.append((batch, features, grounding))
        return answer_logits(model, batch, features, grounding)

    monkeypatch.setattr("stitchvlm.training.language.answer_logits", spied)
    for step in range(3):
        trainer.loss_at(step, 1.0)
    with monkeypatch.context() as blind:
        for costly in ("Grounding", "asked_tokens"):
            blind.setattr(f"stitchvlm.training.language.{costly}", lambda *_: pytest.fail("places were worked out"))
        trainer.figures(3)
    for (learnt, features, grounding), (checked, same, nothing) in zip(batches[:3], batches[3:], strict=True):
        assert grounding is not None and nothing is None and torch.equal(features, same)
        pairs = [(getattr(learnt, f.name), getattr(checked, f.name)) for f in fields(learnt)]
        assert all(torch.equal(one, other) for one, other in pairs)


def test_the_lesson_says_how_much_it_weighs(make_pipeline, tmp_path):
    pipeline = make_pipeline(tmp_path)

    def loss(weight: float) -> tuple[torch.Tensor, dict[str, float]]:
        lesson = Lesson(pictures=2, questions=3, most_things=(9, 9), grounding=weight)
        return LanguageTrainer(pipeline.model, pipeline.packer, pipeline.sets, lesson, "seed").loss_at(0, 0.0)

    without, _ = loss(0.0)
    told, figures = loss(0.5)
    assert without.item() == pytest.approx(figures["answers"])
    assert told.item() == pytest.approx(figures["answers"] + 0.5 * figures["beside"], rel=1e-4)
    assert figures["beside"] > 0
