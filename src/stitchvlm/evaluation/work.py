"""What the stages of one answered question have to do, in operations and bytes."""

from collections.abc import Sequence

import torch

from stitchvlm.engine import Engine
from stitchvlm.evaluation.flops import FlopCount
from stitchvlm.evaluation.roofline import Work
from stitchvlm.evaluation.traffic import ByteCount
from stitchvlm.families.base import Inputs
from stitchvlm.records import Trace
from stitchvlm.schedule import Schedule


class Counts:
    """What is counted once for a model, whatever it is asked."""

    def __init__(self, engine: Engine):
        self.flops, self.bytes, self.n_layers = FlopCount(engine), ByteCount(engine), engine.n_layers
        self.vlm = engine.vlm


class ModelWork:
    """Counts the passes of one model over one question.

    Args:
        inputs: what was prepared for the question.
    """

    def __init__(self, counts: Counts, inputs: Inputs):
        self._flops, self._bytes, self._n_layers, self._vlm = counts.flops, counts.bytes, counts.n_layers, counts.vlm
        self._inputs, self._layout = inputs, inputs.layouts[0]
        self._n_text = self._layout.n_tokens - self._layout.n_visual

    def encode(self, visual: Sequence[int] | None = None) -> Work:
        """The vision encoder as far as these ``visual`` tokens need it, None for all of them, and the embeddings."""
        present = None if visual is None else [torch.tensor(visual, dtype=torch.long)]
        n_visual = self._layout.n_visual if visual is None else len(visual)
        encoded = self._vlm.family.encoded_tiles(self._vlm, self._inputs, present)
        return Work(self._flops.vision(self._inputs, present), self._bytes.vision(encoded, self._n_text + n_visual))

    def prefill(self, visual: Sequence[int] | None = None, n_proposed: int = 0) -> Work:
        """Prompt and proposed tokens; ``visual`` tokens in every layer, None for all of them."""
        counts = (self._n_text + n_proposed, self._visual(visual), 1 + n_proposed)
        return Work(self._flops.prefill(*counts), self._bytes.prefill(*counts))

    def decode(self, n_answer: int, visual: Sequence[int] | None = None, n_accepted: int = 0) -> Work:
        """The steps to an answer of ``n_answer`` tokens, of which ``n_accepted`` went through the prefill."""
        counts = (self._n_text + n_accepted, self._visual(visual), n_answer - n_accepted)
        return Work(self._flops.decode(*counts), self._bytes.decode(*counts))

    def consistency(self, keep: float, n_answer: int) -> Work:
        """One pass over prompt and answer that sees the share ``keep`` of the visual tokens and caches nothing."""
        ((_, n_keep),) = Schedule.single(keep, 0).resolve(self._n_layers, self._layout.n_visual)
        counts = (self._n_text + n_answer, [n_keep] * self._n_layers, n_answer)
        return Work(self._flops.prefill(*counts), self._bytes.prefill(*counts, cached=False))

    def _visual(self, visual: Sequence[int] | None) -> Sequence[int]:
        return [self._layout.n_visual] * self._n_layers if visual is None else visual


def small_work(small: ModelWork, n_answer: int, consistency_keep: float | None) -> dict[str, Work]:
    """Of the small model's stages; without ``consistency_keep`` nobody checks the draft."""
    work = {"small_encode": small.encode(), "small_prefill": small.prefill(), "small_decode": small.decode(n_answer)}
    return work if consistency_keep is None else work | {"exit_check": small.consistency(consistency_keep, n_answer)}


def large_work(large: ModelWork, trace: Trace, decoded: Sequence[int]) -> dict[str, Work]:
    """Of the large model's stages.

    Args:
        decoded: tokens of every decode, the answer's last; those before it were for a map of its own.
    """
    work = {"large_encode": large.encode(trace.encoded)}
    for n_answer in decoded[:-1]:
        work["large_own_map"] = large.prefill() + large.decode(n_answer)
    return work | {
        "large_prefill": large.prefill(trace.kept_per_layer, trace.n_proposed),
        "large_decode": large.decode(decoded[-1], trace.kept_per_layer, trace.n_accepted),
    }
