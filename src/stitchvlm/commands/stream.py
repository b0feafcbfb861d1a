"""Prints an answer while it is generated."""

from typing import Any

from transformers import TextStreamer

from stitchvlm.commands.account import printable
from stitchvlm.stitch import Stitch


class AnswerPrinter(TextStreamer):
    """transformers' text streamer over the large model's tokenizer, which may not be loaded before the first token.

    Control characters in a model's words do not reach the terminal.
    """

    tokenizer: Any

    def __init__(self, vlm: Stitch):
        super().__init__(tokenizer=None, skip_prompt=True, skip_special_tokens=True)
        self._vlm = vlm

    def put(self, value: Any) -> None:
        if self.tokenizer is None:
            self.tokenizer = self._vlm.cascade.large().vlm.tokenizer
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        print(printable(text).plain, end="\n" if stream_end else "", flush=True)
