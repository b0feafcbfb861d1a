"""Prints an answer while it is generated."""

from typing import Any

from transformers import TextStreamer
from transformers.generation.streamers import BaseStreamer

from stitchvlm.stitch import Stitch


class LargeModelPrinter(BaseStreamer):
    """transformers' text streamer over the large model's tokenizer, which may not be loaded before the first token."""

    def __init__(self, vlm: Stitch):
        self._vlm = vlm
        self._printer: TextStreamer | None = None

    def put(self, value: Any) -> None:
        if self._printer is None:
            self._printer = TextStreamer(self._vlm.cascade.large().vlm.tokenizer, skip_special_tokens=True)
        self._printer.put(value)

    def end(self) -> None:
        if self._printer is not None:
            self._printer.end()
