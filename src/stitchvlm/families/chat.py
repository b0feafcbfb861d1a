"""A question in the words of a checkpoint's own chat template."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer

from stitchvlm.errors import RequestWarning
from stitchvlm.families.checkpoint import read_json
from stitchvlm.plural import counted
from stitchvlm.records import Question
from stitchvlm.shapes import Int

PLACEHOLDERS = ("<IMG_CONTEXT>", "<image>", "<|image_pad|>")
"""What stands for a picture in prompts of one model or another."""


def load_tokenizer(folder: Path) -> Any:
    """A checkpoint's tokenizer with the chat template that shows pictures.

    Raises:
        ValueError: if the template's file is broken.
    """
    tokenizer, chat = AutoTokenizer.from_pretrained(folder, trust_remote_code=False), folder / "chat_template.json"
    if chat.is_file():  # older checkpoints keep the template with pictures here
        tokenizer.chat_template = read_json(chat)["chat_template"]
    return tokenizer


def chat_pieces(tokenizer: Any, question: Question, placeholder: str, reserved: Sequence[str]) -> list[str]:
    """The chat as text, cut where its pictures stand: one piece more than there are pictures.

    Args:
        placeholder: what the template writes for a picture.
        reserved: tokens that stand for pictures and must not be written in the text; those of other models are warned of.

    Raises:
        ValueError: if they are, or the chat has another number of places for pictures than there are pictures.
    """
    messages = question.as_messages()
    _check_image_tokens(messages, reserved)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    pieces = text.split(placeholder)
    if len(pieces) != len(question.images) + 1:
        raise ValueError(
            f"the chat has {counted(len(pieces) - 1, 'picture place')} for {counted(len(question.images), 'picture')}"
        )
    return pieces


def chat_ids(tokenizer: Any, prompt: str) -> Int[Tensor, " n_tokens"]:
    """Token ids of a chat; the start token is not written twice."""
    has_start = bool(tokenizer.bos_token) and prompt.startswith(tokenizer.bos_token)
    return tokenizer(prompt, add_special_tokens=not has_start, return_tensors="pt").input_ids[0]


def _check_image_tokens(messages: Sequence[dict[str, Any]], reserved: Sequence[str]) -> None:
    """A placeholder written in the text would be taken for a picture: say so rather than count wrong.

    One of other models is words here, which may be meant, and is warned of.
    """
    contents = [message["content"] for message in messages]
    parts = [part.get("text", "") for content in contents if not isinstance(content, str) for part in content]
    text = "\n".join([*parts, *(content for content in contents if isinstance(content, str))])
    for token in reserved:
        if token in text:
            raise ValueError(f"the text contains {token!r}, which stands for a picture in this model: remove it")
    for token in PLACEHOLDERS:
        if token in text and token not in reserved:
            warnings.warn(
                f"the text contains {token!r}, which stands for a picture in other models and is plain text here: pictures "
                "need no word for them, leave it out unless it is meant",
                RequestWarning,
                stacklevel=2,
            )
