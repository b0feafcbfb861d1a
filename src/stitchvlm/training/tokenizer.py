"""The tokenizer: byte-level BPE learned from the question corpus; capitals and digits are always single tokens.

Models of another kind call the tokens around and in place of a picture otherwise. Everything else is the same, ids included.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from . import questions
from .documents import wordings as document_wordings
from .documents.document import CHARACTERS
from .words import COLOUR_NAMES, NOUNS, SYSTEM_PROMPTS, TAG_ITEMS

INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
QWEN2_VL_TOKENS = {
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}
"""What a tokenizer calls the tokens around and in place of pictures, and these, in the order of their ids."""


def special_tokens(picture_tokens: dict[str, str] = INTERNVL_TOKENS) -> tuple[str, ...]:
    """All special tokens in the order of their ids."""
    return ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *picture_tokens.values())


SPECIAL = special_tokens()


def corpus(seed: int = 0, lines: int = 6000) -> list[str]:
    """Question wordings filled with random words, and the answers in words."""
    rng = random.Random(seed)
    groups = [
        value
        for name, value in vars(questions).items()
        if name.isupper() and isinstance(value, tuple) and "KINDS" not in name
    ]
    templates = [template for group in groups for template in group]
    made = []
    for _ in range(lines):
        it = f"the {rng.choice(COLOUR_NAMES)} {rng.choice((*NOUNS, 'shape', 'one'))}"
        text = rng.choice(templates).format(
            it=it, item=rng.choice(TAG_ITEMS), noun=rng.choice(NOUNS), colour=rng.choice(COLOUR_NAMES), text="K7B"
        )
        made += [
            text,
            f"{rng.choice(COLOUR_NAMES)} {rng.choice(NOUNS)} K7B",
            rng.choice(COLOUR_NAMES),
            rng.choice(NOUNS),
            "user",
            "assistant",
            "system",
        ]
        made.append(f"{rng.choice(('top', 'middle', 'bottom'))} {rng.choice(('left', 'center', 'right'))}")
    return made + list(SYSTEM_PROMPTS) * 20 + list(TAG_ITEMS) * 20


def document_corpus() -> list[str]:
    """Every wording of questions about documents and about scenes, and every character that documents hold."""
    groups = [value for name, value in vars(document_wordings).items() if name.isupper()]
    wordings = [text for group in groups for text in (sum(group.values(), ()) if isinstance(group, dict) else group)]
    plain = [re.sub(r"\{[a-z]+\}", "", text) for text in wordings]
    return [*corpus(lines=2000), *plain * 20, *list(CHARACTERS.upper()) * 200]


@dataclass(frozen=True)
class Speech:
    """What a tokenizer is learned from.

    Attributes:
        corpus: gives the texts.
        pieces: a regular expression for what is never joined with anything beside it.
        vocabulary: how many tokens there are.
    """

    corpus: Callable[[], list[str]]
    pieces: str
    vocabulary: int


SCENE_SPEECH = Speech(corpus, r"<\|[a-z_]+\|>| ?[a-z]+|[A-Z]|[0-9]|\s|[^\sA-Za-z0-9]+", 512)
DOCUMENT_SPEECH = Speech(document_corpus, r"<\|[a-z_]+\|>| ?[a-z]+|[A-Z]|[0-9]|\s|[^\sA-Za-z0-9]", 768)
"""Punctuation is spelled one by one, as it is printed, and so are capitals, in which documents are read out."""


def train_tokenizer(
    picture_tokens: dict[str, str] = INTERNVL_TOKENS, speech: Speech = SCENE_SPEECH
) -> PreTrainedTokenizerFast:
    """Learn the vocabulary; any text can be encoded, down to single bytes."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(speech.pieces), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=speech.vocabulary,
        special_tokens=list(special_tokens(picture_tokens)),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(speech.corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=picture_tokens,
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, chat_template: str, folder: Path) -> None:
    """Write the tokenizer with a chat template beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat_template)
