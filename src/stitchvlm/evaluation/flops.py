"""Floating-point operations of an answer, counted as the field does: a multiplication and an addition are two.

Linear layers take ``2 · weights · tokens`` and attention ``4 · queries · keys · width``, layer by layer with the tokens that are
still there; a causal mask saves nothing in this count, as in torch's own. Left out are norms, softmax, rotary embeddings,
the rows of the guide map and what a method does to choose. Few operations are not few seconds: see the seconds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stitchvlm.engine import Engine
from stitchvlm.families.base import Inputs


class FlopCount:
    """Counts for one model. Decoders are dense; of a mixture of experts the routed weights are not seen."""

    def __init__(self, engine: Engine):
        self._engine = engine
        config = engine.vlm.model.config.get_text_config()
        heads = config.num_attention_heads
        self._width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        self._weights = [_linear_weights(layer) for layer in engine.decoder.layers]
        self._head = _linear_weights(engine.decoder.head)
        self._vision: dict[tuple[tuple[int, ...], ...], float] = {}

    def vision(self, inputs: Inputs, present: Sequence[Tensor] | None = None) -> float:
        """The vision encoder and projector, which every family builds differently: counted by torch once per shapes of tiles.

        Args:
            present: per question ordinals of the visual tokens that come out; None for all.
        """
        vlm = self._engine.vlm
        shape = tuple(tuple(tiles.shape) for tiles in vlm.family.encoded_tiles(vlm, inputs, present))
        if not shape:
            return 0.0
        if shape not in self._vision:
            with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                vlm.family.encode(vlm, inputs, present)
            self._vision[shape] = float(counter.get_total_flops())
        return self._vision[shape]

    def prefill(self, n_text: int, visual_per_layer: Sequence[int], n_logits: int = 1) -> float:
        """The prompt through all layers, ``visual_per_layer`` visual tokens in each, and the logits of the last tokens."""
        total = 2.0 * self._head * n_logits
        for weights, n_visual in zip(self._weights, visual_per_layer, strict=True):
            n_tokens = n_text + n_visual
            total += 2.0 * weights * n_tokens + 4.0 * n_tokens**2 * self._width
        return total

    def decode(self, n_text: int, visual_per_layer: Sequence[int], n_answer: int) -> float:
        """Feeding back all tokens of the answer but the last, each seeing what every layer holds by then."""
        total = 0.0
        for step in range(1, n_answer):
            total += 2.0 * self._head
            for weights, n_visual in zip(self._weights, visual_per_layer, strict=True):
                total += 2.0 * weights + 4.0 * (n_text + n_visual + step) * self._width
        return total


def _linear_weights(module: nn.Module) -> int:
    return sum(part.in_features * part.out_features for part in module.modules() if isinstance(part, nn.Linear))
