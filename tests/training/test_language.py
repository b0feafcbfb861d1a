"""Tokenizer, packing, and the language model: packed questions are the same questions, and growth changes nothing."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoTokenizer, InternVLForConditionalGeneration, PreTrainedTokenizerFast

from stitchvlm.training.align import align_words, word_directions
from stitchvlm.training.answering import answer_logits
from stitchvlm.training.architecture import grow_language_model
from stitchvlm.training.attention import use_plain_attention
from stitchvlm.training.grid import TILES, TOKENS_PER_TILE
from stitchvlm.training.internvl import CHAT_TEMPLATE
from stitchvlm.training.kinds import KINDS, features
from stitchvlm.training.language import score_answers
from stitchvlm.training.packing import UNSEEN, Batch, Packer, collate
from stitchvlm.training.questions import Question
from stitchvlm.training.tower import DenseReader

CPU = torch.device("cpu")
SYSTEM = "Be concise."
ASKED = [
    Question("read", "What is written on the red circle?", "K7B", (0, 0, 1, 1)),
    Question("where", "Where is the blue star?", "top left", (0, 0, 1, 1)),
    Question("colour", "Which colour is the shape marked 9XM?", "red", (0, 0, 1, 1)),
]
EVERYTHING = list(range(TOKENS_PER_TILE))


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(1, 3, TILES.side, TILES.side, generator=torch.Generator().manual_seed(0))


def features_of(model: InternVLForConditionalGeneration, pixels: torch.Tensor, kept: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return features(model, pixels)[0, kept]


def packed(tokenizer: PreTrainedTokenizerFast, questions: list[Question], kept: list[int] = EVERYTHING) -> Batch:
    return collate([Packer(tokenizer).pack(questions, kept, TOKENS_PER_TILE, SYSTEM)], CPU)


def test_codes_are_spelled_and_any_text_comes_back(tokenizer):
    assert len(tokenizer.convert_ids_to_tokens(tokenizer("K7B").input_ids)) == 3
    for text in ("K7B $4.99 OPEN 24", "Was kostet der Käse? 🍕", "<|im_start|>user\n<img><IMG_CONTEXT></img>\n"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_saved_tokenizer_names_the_image_tokens(tokenizer, tmp_path: Path):
    KINDS["internvl"].save_processor(tokenizer, tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    image = (again.start_image_token, again.end_image_token, again.context_image_token)
    assert image == ("<img>", "</img>", "<IMG_CONTEXT>")
    assert again.get_vocab() == tokenizer.get_vocab()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("kept", [EVERYTHING, [3, 9, 30, 31, 60]])
@torch.no_grad()
def test_packed_questions_cost_what_separate_ones_do(tiny_model, tokenizer, pixels, kept):
    use_plain_attention(tiny_model)
    features = features_of(tiny_model, pixels, kept)
    logits, targets = answer_logits(tiny_model, packed(tokenizer, ASKED, kept), features)
    alone = [answer_logits(tiny_model, packed(tokenizer, [question], kept), features) for question in ASKED]
    assert torch.equal(targets, torch.cat([target for _, target in alone]))
    assert torch.allclose(logits, torch.cat([found for found, _ in alone]), atol=1e-4)
    apart = sum(F.cross_entropy(found, target, reduction="sum") for found, target in alone)
    assert torch.isclose(F.cross_entropy(logits, targets, reduction="sum"), apart, rtol=1e-5)


def plain_chat(tokenizer: PreTrainedTokenizerFast, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of the chat template's own text, its image token expanded as a processor does it."""
    content = [{"type": "image"}, {"type": "text", "text": question.text}]
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
    prompt = tokenizer.apply_chat_template(
        messages, chat_template=CHAT_TEMPLATE, tokenize=False, add_generation_prompt=True
    )
    prompt = prompt.replace("<IMG_CONTEXT>", f"<img>{'<IMG_CONTEXT>' * TOKENS_PER_TILE}</img>")
    before = tokenizer(prompt).input_ids
    after = tokenizer(f"{question.answer}<|im_end|>").input_ids
    return torch.tensor([before + after]), torch.tensor([[UNSEEN] * len(before) + after])


@pytest.mark.usefixtures("exact")
@torch.no_grad()
def test_packed_loss_is_that_of_transformers_on_the_plain_chat(tiny_model, tokenizer, pixels):
    theirs, count = torch.tensor(0.0), 0
    for question in ASKED:
        ids, labels = plain_chat(tokenizer, question)
        answers = int((labels != UNSEEN).sum())
        theirs += answers * tiny_model(input_ids=ids, pixel_values=pixels, labels=labels).loss
        count += answers
    use_plain_attention(tiny_model)
    features = features_of(tiny_model, pixels, EVERYTHING)
    logits, targets = answer_logits(tiny_model, packed(tokenizer, ASKED), features)
    assert len(targets) == count
    assert torch.isclose(F.cross_entropy(logits, targets), theirs / count, rtol=1e-5)


@pytest.mark.usefixtures("exact")
@torch.no_grad()
def test_rows_of_other_lengths_change_nothing(tiny_model, tokenizer, pixels):
    use_plain_attention(tiny_model)
    packer, features = Packer(tokenizer), features_of(tiny_model, pixels, EVERYTHING)
    short, long = (packer.pack(asked, EVERYTHING, TOKENS_PER_TILE) for asked in (ASKED[:1], ASKED))
    alone, _ = answer_logits(tiny_model, collate([short], CPU), features)
    padded, _ = answer_logits(tiny_model, collate([short, long], CPU), torch.cat([features, features]))
    assert torch.allclose(alone, padded[: len(alone)], atol=1e-5)


def test_an_answer_counts_only_when_all_of_it_is_right(tokenizer):
    batch = packed(tokenizer, ASKED)
    targets = batch.targets[batch.targets != UNSEEN]
    logits = F.one_hot(targets, len(tokenizer)).float()
    logits[0] = -logits[0]
    kinds = [[question.kind for question in ASKED]]
    assert score_answers(logits, targets, batch, kinds) == {"read": [False], "where": [True], "colour": [True]}


@torch.no_grad()
def test_growing_a_language_model_keeps_its_logits(tiny_model, tokenizer, pixels):
    ids, _ = plain_chat(tokenizer, ASKED[0])
    before = tiny_model(input_ids=ids, pixel_values=pixels).logits
    grow_language_model(tiny_model, 7, tiny_model.config.text_config.intermediate_size)
    assert torch.equal(tiny_model.eval()(input_ids=ids, pixel_values=pixels).logits, before)
    grow_language_model(tiny_model, 7, 100)
    tiny_model.eval()
    assert tiny_model.model.language_model.layers[6].mlp.down_proj.in_features == 100
    assert len(tiny_model.model.language_model.layers) == tiny_model.config.text_config.num_hidden_layers == 7
    assert torch.allclose(tiny_model(input_ids=ids, pixel_values=pixels).logits, before, atol=1e-5)


def test_words_start_along_the_directions_that_the_tower_knows(tiny_model, tokenizer):
    heads = DenseReader(tiny_model).heads
    align_words(tiny_model, heads, tokenizer)
    (red,) = tokenizer("red", add_special_tokens=False).input_ids
    direction = word_directions(heads)["red"]
    output = tiny_model.lm_head.weight[red]
    embedding = tiny_model.model.language_model.embed_tokens.weight[red]
    assert torch.cosine_similarity(output, direction, dim=0) > 0.99
    assert torch.cosine_similarity(embedding, direction, dim=0) > 0.7
