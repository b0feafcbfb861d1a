"""Drafts for those who listen to answers: a listener is made for the large model's tokens, a draft is the small one's.

Listeners that want text therefore get text. Others get token ids, without the prompt that a large answer's stream begins with.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import TextStreamer
from transformers.generation.streamers import BaseStreamer

from stitchvlm.records import Draft


def stream_draft(streamer: BaseStreamer, draft: Draft) -> None:
    """A draft that turned out to stand, all at once."""
    if _wants_text(streamer):
        streamer.on_finalized_text(draft.text, stream_end=True)
    else:
        streamer.put(torch.tensor(draft.tokens))
        streamer.end()


def live_draft(streamer: BaseStreamer, tokenizer: Any) -> BaseStreamer:
    """What the small model generates into, so that ``streamer`` hears a draft that will stand while it is made."""
    return _AsText(streamer, tokenizer) if _wants_text(streamer) and tokenizer is not None else _WithoutPrompt(streamer)


def _wants_text(streamer: BaseStreamer) -> bool:
    return hasattr(streamer, "on_finalized_text")


class _AsText(TextStreamer):
    """Hands on text as soon as its words are whole."""

    def __init__(self, listener: Any, tokenizer: Any):
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._listener = listener

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self._listener.on_finalized_text(text, stream_end=stream_end)


class _WithoutPrompt(BaseStreamer):
    """Hands on token ids, but not the prompt that comes first."""

    def __init__(self, listener: BaseStreamer):
        self._listener, self._in_prompt = listener, True

    def put(self, value: Tensor) -> None:
        if not self._in_prompt:
            self._listener.put(value)
        self._in_prompt = False

    def end(self) -> None:
        self._listener.end()
