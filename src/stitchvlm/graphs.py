"""Decoding in tensors that never move, so that a GPU can be handed a whole step at once as a CUDA graph.

A step of a small model launches hundreds of kernels that take a few microseconds each, and the launches take longer than they do. A
graph is launched as one. It reads and writes the same addresses every time, so all that differs from step to step lies in tensors
that are written in place, and caches have room for the longest answer from the beginning.
"""

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import StaticLayer

from stitchvlm.attention import AttentionTap, QueryTap, visible_mask
from stitchvlm.families.base import Decoder
from stitchvlm.passes import Prefilled
from stitchvlm.reduction import TokenStream
from stitchvlm.shapes import Float, Int

Run = Callable[[], None]
Capture = Callable[[Run], Run]
"""Records what a function launches, and gives what launches the same again."""

KEPT = 4
"""So many steps of different shapes are kept ready; each holds caches of its own."""

_UNIT, _HEARD_UNIT, _WARM_UPS = 256, 64, 2
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


class StepShape(NamedTuple):
    """What a step is made for; a question that needs the same takes the same step.

    Attributes:
        length: places in the caches.
        axes: of the position ids before batch and length: 3 for a multimodal rotary embedding, else none.
        heard: layers whose queries are kept for a guide map.
        n_heard: most tokens whose queries are kept.
    """

    n_rows: int
    length: int
    axes: tuple[int, ...]
    heard: range
    n_heard: int

    @classmethod
    def of(cls, prefilled: Prefilled, n_tokens: int, tap: AttentionTap | None) -> "StepShape":
        """The shape for answers of at most ``n_tokens`` tokens, the last of which is never fed.

        Lengths are rounded up, so that questions of about the same length share a step: to multiples of 256, and from 2,048 on
        of an eighth to a quarter of the length.
        """
        n_rows, n_prompt = prefilled.spans[0].index.shape
        n_most = n_prompt + n_tokens
        heard = range(0) if tap is None else tap.decoded_layers
        return cls(
            n_rows,
            _rounded_up(n_most, max(_UNIT, 1 << max(0, n_most.bit_length() - 3))),
            tuple(prefilled.prompt.stream.positions.shape[:-2]),
            heard,
            _rounded_up(n_tokens, _HEARD_UNIT) if heard else 0,
        )


class _PlacedLayer(StaticLayer):
    """One layer's keys and values in tensors that never move; what is new goes to the place that a tensor says."""

    def __init__(self, keys: Tensor, values: Tensor, length: int, place: Int[Tensor, "1"]):
        super().__init__(max_cache_len=length)
        self.keys, self.values = (like.new_zeros(*like.shape[:2], length, like.shape[3]) for like in (keys, values))
        self.cumulative_length, self._place = place[0], place
        self.is_initialized = True

    def load(self, keys: Tensor, values: Tensor) -> None:
        """Begin with these; what was there before is gone, for even a hidden NaN would spoil the sums."""
        for mine, theirs in ((self.keys, keys), (self.values, values)):
            mine[:, :, : theirs.shape[2]].copy_(theirs)
            mine[:, :, theirs.shape[2] :].zero_()

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self._place, key_states)
        self.values.index_copy_(2, self._place, value_states)
        return self.keys, self.values


class DecodeStep:
    """One token of every row through all layers, the same launches on the same tensors every time.

    :meth:`run` reads and writes those tensors and asks the host for nothing; run again it gives the same again, so that it can be
    warmed up, captured and checked on a real question before its answer begins. Only the angles of the rotary embedding are worked
    out beside it, in :meth:`feed`: for some kinds transformers looks at the positions on the host.

    Args:
        prefilled: a question of that shape.

    Attributes:
        cache: keys and values of the prompt and of what was fed.
        logits: what the last run came to.
        replay: does what :meth:`run` does, where somebody has captured it.
    """

    def __init__(self, decoder: Decoder, shape: StepShape, prefilled: Prefilled):
        self._decoder, self._shape = decoder, shape
        logits, n_rows = prefilled.all_logits[:, -1:], shape.n_rows
        moving = torch.zeros(2 + 2 * n_rows, dtype=torch.long, device=prefilled.spans[0].index.device)
        self._moving, self._place, self._step = moving, moving[:1], moving[1:2]
        self._index, self._position = moving[2:].view(2, n_rows, 1)
        self.ids = torch.zeros_like(self._index)
        self._text = torch.full_like(self._index, -1)
        self._key_index = self._index.new_full((n_rows, shape.length), -1)
        self._embedded = decoder.embedding(self.ids)
        self._angles = tuple(map(torch.clone, self._angles_now()))
        self.logits = torch.zeros_like(logits)
        self.cache = Cache(
            layers=[
                _PlacedLayer(layer.keys, layer.values, shape.length, self._place) for layer in prefilled.cache.layers
            ]
        )
        self._heard = QueryTap(shape.heard, shape.n_heard, self._step)
        self.replay: Run | None = None

    def load(self, prefilled: Prefilled) -> None:
        """Stand behind another question's prompt."""
        prompt, (span,) = prefilled.prompt, prefilled.spans
        n_prompt = span.index.shape[1]
        self._key_index.fill_(-1)[:, :n_prompt].copy_(span.index)
        for mine, theirs in zip(self.cache.layers, prefilled.cache.layers, strict=True):
            mine.load(theirs.keys, theirs.values)
        self._place.fill_(n_prompt)
        self._step.zero_()
        self._index.copy_(torch.tensor([layout.n_tokens for layout in prompt.layouts])[:, None])
        self._position.copy_(prompt.next_position[:, None])

    def feed(self, tokens: Sequence[int]) -> Float[Tensor, "batch 1 vocabulary"]:
        """Logits of what follows one further token of every row; the next call writes over them."""
        self.aim(tokens)
        (self.replay or self.run)()
        self.move_on()
        return self.logits

    def aim(self, tokens: Sequence[int]) -> None:
        """Write down what the next run needs of the world: the tokens, and the angles of where they stand."""
        self.ids.copy_(torch.tensor(tokens)[:, None])
        for mine, now in zip(self._angles, self._angles_now(), strict=True):
            mine.copy_(now)

    def run(self) -> None:
        """All launches of a step."""
        decoder = self._decoder
        self._key_index.index_copy_(1, self._place, self._index)
        stream = TokenStream(
            decoder.embedding(self.ids), self._positions(), self._index, self._text, (1,) * self._shape.n_rows
        )
        masks = {window: visible_mask(self._index, self._key_index, window) for window in set(decoder.windows)}
        layers = range(len(decoder.layers))
        hidden = decoder.run(stream, self.cache, layers, masks, self._heard, self._angles)
        self.logits.copy_(decoder.logits(hidden))

    def move_on(self) -> None:
        """The next token stands one further in every way."""
        self._moving.add_(1)

    def tell(self, tap: AttentionTap) -> None:
        """Give the tap the queries of all that was fed, until the next question is loaded."""
        tap.take(self._heard.queries)

    def _positions(self) -> Int[Tensor, "*axes batch 1"]:
        return self._position.expand(*self._shape.axes, *self._position.shape)

    def _angles_now(self) -> tuple[Tensor, ...]:
        return self._decoder.rotary(self._embedded, self._positions())


class DecodeGraphs:
    """The captured steps of one model, by shape, those kept that were used last.

    What cannot be captured, or comes to something else than the same step without a graph, ends it for this model with one warning:
    the answer goes on as it would have without.

    Args:
        name: of the model, for the warning.
        capture: None where there is nothing to capture with, so that no step is ever made.
    """

    def __init__(self, decoder: Decoder, name: str, capture: Capture | None):
        self._decoder, self._name, self._capture = decoder, name, None if decoder.spread else capture
        self._steps: OrderedDict[tuple, DecodeStep] = OrderedDict()

    @property
    def n_ready(self) -> int:
        """How many steps are kept."""
        return len(self._steps)

    @torch.inference_mode()
    def begin(self, prefilled: Prefilled, n_tokens: int, tap: AttentionTap | None) -> DecodeStep | None:
        """A step that stands behind the prompt; None where its answer is to be decoded without.

        So it is behind a prompt that has lost or merged tokens between its layers, and where something is proposed.

        Args:
            n_tokens: most tokens of an answer.
            tap: who will want the queries.
        """
        span, *others = prefilled.spans
        if self._capture is None or others or span.size is not None or any(prefilled.proposed):
            return None
        try:
            return self._step(self._capture, StepShape.of(prefilled, n_tokens, tap), prefilled)
        except Exception as problem:
            self._capture = None
            self._steps.clear()
            reason = str(problem).partition("\n")[0] or type(problem).__name__
            warnings.warn(
                f"{self._name} decodes without CUDA graphs from now on, with the same answers but more slowly: {reason}",
                stacklevel=2,
            )
            return None

    def _step(self, capture: Capture, shape: StepShape, prefilled: Prefilled) -> DecodeStep:
        key = (shape, *(weight.data_ptr() for part in self._decoder.parts for weight in part.parameters()))
        step = self._steps.pop(key, None)
        if step is None:
            while len(self._steps) >= KEPT:
                self._steps.popitem(last=False)
            step = DecodeStep(self._decoder, shape, prefilled)
            step.load(prefilled)
            _capture_and_check(step, capture)
        step.load(prefilled)
        self._steps[key] = step
        return step


def _capture_and_check(step: DecodeStep, capture: Capture) -> None:
    """Capture the step, and try it on another token at another place than it was captured with.

    Raises:
        RuntimeError: if that comes to something else than the step itself.
    """
    step.aim([0] * len(step.ids))
    step.run()
    replay = capture(step.run)
    step.move_on()
    step.aim([1] * len(step.ids))
    step.run()
    expected = step.logits.clone()
    step.logits.zero_()
    replay()
    tolerance = _TOLERANCE[step.cache.layers[0].keys.dtype]
    largest = float(expected.nan_to_num(posinf=0, neginf=0).abs().max())
    if not torch.allclose(step.logits, expected, rtol=tolerance, atol=tolerance * largest, equal_nan=True):
        raise RuntimeError("a graph came to other logits than the step that it was captured from")
    step.replay = replay


class CudaCapture:
    """Captures CUDA graphs on a stream of its own; all of them share one pool of memory, for no two ever run at once."""

    def __init__(self, device: torch.device):
        self._device = device

    def __call__(self, run: Run) -> Run:
        with torch.cuda.device(self._device):
            return self._captured(run)

    @cached_property
    def _stream(self) -> Any:
        return torch.cuda.Stream(self._device)

    @cached_property
    def _pool(self) -> Any:
        return torch.cuda.graph_pool_handle()

    def _captured(self, run: Run) -> Run:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        self._stream.wait_stream(before)
        # A capture that fails leaves its own stream current: the block around it puts that right.
        try:
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UPS):
                    run()
                with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                    run()
        finally:
            before.wait_stream(self._stream)
        return graph.replay


def graphs_of(decoder: Decoder, name: str, device: torch.device) -> DecodeGraphs:
    """Those of a model on a device; on anything but CUDA none is ever captured."""
    return DecodeGraphs(decoder, name, CudaCapture(device) if device.type == "cuda" else None)


def _rounded_up(n: int, unit: int) -> int:
    return math.ceil(n / unit) * unit
