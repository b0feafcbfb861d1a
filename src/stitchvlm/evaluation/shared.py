"""What the rows of a study share: one question is prepared and encoded once, however many methods are asked about it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from transformers.generation.streamers import BaseStreamer

from stitchvlm.engine import Engine
from stitchvlm.families.base import VLM, CutPictures, Inputs, Prompt
from stitchvlm.passes import Generated, Plan, Prefilled, Seen
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Shrink
from stitchvlm.timing import wait_for_devices

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Remembered:
    """A result, the seconds it took, and what it was made from, kept so that nothing else gets its id."""

    result: Any
    seconds: float
    source: Any


class SharedEngine(Engine):
    """An engine that remembers the prepared and encoded question until it is told to forget.

    A stage that was served from memory takes no time. What it took when it was computed is put on an account, so that the
    seconds of every row can be those of the row on its own.

    Attributes:
        last_inputs: what was embedded last.
    """

    def __init__(self, vlm: VLM):
        super().__init__(vlm)
        self._memory: dict[tuple, _Remembered] = {}
        self._saved: dict[str, float] = {}
        self._decoded: list[int] = []
        self._sharing = True
        self.last_inputs: Inputs | None = None

    def forget(self) -> None:
        """Forget the question: the next one comes."""
        self._memory.clear()
        self.take_saved()

    def take_saved(self) -> dict[str, float]:
        """Seconds that memory has saved per stage (``prepare``, ``encode``) since the account was last taken."""
        saved, self._saved = self._saved, {}
        return saved

    def take_decoded(self) -> list[int]:
        """How many tokens every decode since the last call gave."""
        decoded, self._decoded = self._decoded, []
        return decoded

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block nothing comes from memory: the latency that a user would see."""
        self._sharing = False
        try:
            yield
        finally:
            self._sharing = True

    def prepare(
        self,
        questions: Sequence[Question],
        max_tiles: int | None = None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        key = ("prepare", *map(id, questions), max_tiles, to)
        return self._once(
            key, tuple(questions), lambda: super(SharedEngine, self).prepare(questions, max_tiles, to, cut)
        )

    def embed(
        self, inputs: Inputs, show_vision: bool = False, plan: Plan | None = None, seen: Seen | None = None
    ) -> Prompt:
        key = ("encode", id(inputs), show_vision, self._left(inputs, plan))
        self.last_inputs = inputs
        if seen is not None:
            return super().embed(inputs, show_vision, plan, seen)
        return self._once(key, inputs, lambda: super(SharedEngine, self).embed(inputs, show_vision, plan))

    def _left(self, inputs: Inputs, plan: Plan | None) -> tuple[tuple[int, ...], ...] | None:
        """Per question the visual tokens that will be there; None where nothing is left out, so that such rows share."""
        present = self.encoded(inputs, plan)
        if present is None or all(
            len(there) == layout.n_visual for there, layout in zip(present, inputs.layouts, strict=True)
        ):
            return None
        return tuple(tuple(there.tolist()) for there in present)

    def decode(self, prefilled: Prefilled, sampling: Sampling, *args: Any, **options: Any) -> Generated:
        generated = super().decode(prefilled, sampling, *args, **options)
        self._decoded.append(max(map(len, generated.tokens)))
        return generated

    def _once(self, key: tuple, source: Any, compute: Callable[[], Result]) -> Result:
        if not self._sharing:
            return compute()
        if key in self._memory:
            self._saved[key[0]] = self._saved.get(key[0], 0.0) + self._memory[key].seconds
            return self._memory[key].result
        wait_for_devices()
        start = time.perf_counter()
        result = compute()
        wait_for_devices()
        self._memory[key] = _Remembered(result, time.perf_counter() - start, source)
        return result


class FirstToken(BaseStreamer):
    """Notes when the first part of an answer arrives."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: list[float] = []

    def put(self, value: Any) -> None:
        self._seconds.append(time.perf_counter() - self._start)

    def end(self) -> None:
        """Nothing to close."""

    def seconds(self, answered_by: str) -> float:
        """Seconds from the question to the first token; a large model's stream begins with the prompt, a draft's does not."""
        return self._seconds[1 if answered_by == "large" else 0]
