"""Bytes that the stages of an answer move between memory and processor at the very least, counted simply.

Every pass reads its weights once. Those of the language model also read the keys and values that earlier passes left and write
their own, read and write the states between layers, and write logits. The vision encoder reads pixels, and the prompt's states come
out; what its layers hand to each other is left out, and so are the guide map, what is within a layer, and whatever is moved twice.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from stitchvlm.engine import Engine


class ByteCount:
    """Counts for one model, all in its own precision; decoders are dense."""

    def __init__(self, engine: Engine):
        decoder, config = engine.decoder, engine.vlm.model.config.get_text_config()
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._size = engine.vlm.model.dtype.itemsize
        self._state = config.hidden_size * self._size
        self._key_value = 2 * config.num_key_value_heads * head_dim * self._size
        self._logits = config.vocab_size * self._size
        self._layers = [_weight_bytes(layer.parameters()) for layer in decoder.layers]
        self._head = _weight_bytes([*decoder.norm.parameters(), *decoder.head.parameters()])
        language = {id(weight) for part in _language(engine) for weight in part.parameters()}
        self._vision = _weight_bytes(weight for weight in engine.vlm.model.parameters() if id(weight) not in language)

    def vision(self, encoded: Sequence[Tensor], n_present: int) -> float:
        """The vision encoder, projector and embeddings of one question.

        Args:
            encoded: the tiles that are encoded, see :meth:`~stitchvlm.families.Family.encoded_tiles`.
            n_present: tokens of the prompt that come out, text and visual.
        """
        n_pixels = sum(tiles.numel() for tiles in encoded)
        return (self._vision + n_pixels * self._size if n_pixels else 0.0) + n_present * self._state

    def prefill(self, n_text: int, visual_per_layer: Sequence[int], n_logits: int = 1, cached: bool = True) -> float:
        """The prompt through all layers, as :meth:`FlopCount.prefill` counts it; without ``cached`` no keys are kept."""
        total = float(self._head + n_logits * self._logits)
        for weights, n_visual in zip(self._layers, visual_per_layer, strict=True):
            total += weights + (n_text + n_visual) * (2 * self._state + (self._key_value if cached else 0))
        return total

    def decode(self, n_text: int, visual_per_layer: Sequence[int], n_answer: int) -> float:
        """Feeding back all tokens of the answer but the last, one pass each, as :meth:`FlopCount.decode` counts it."""
        total = 0.0
        for step in range(1, n_answer):
            total += self._head + self._logits
            for weights, n_visual in zip(self._layers, visual_per_layer, strict=True):
                total += weights + 2 * self._state + (n_text + n_visual + step) * self._key_value
        return total


def _language(engine: Engine) -> list[nn.Module]:
    decoder = engine.decoder
    return [decoder.layers, decoder.embedding, decoder.norm, decoder.head]


def _weight_bytes(weights: Iterable[nn.Parameter]) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)
