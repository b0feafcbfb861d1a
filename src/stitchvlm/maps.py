"""How attention becomes a map of what a model looked at."""

from dataclasses import dataclass
from typing import Literal

Rows = Literal["both", "prompt", "generated", "answer"]
Heads = Literal["sum", "max", "normalised"]
LayerWeights = Literal["equal", "rising", "falling"]
Sinks = Literal["keep", "damp"]


@dataclass(frozen=True)
class MapForm:
    """Which attention counts in a guide map; the defaults are the paper's form (arXiv 2412.03324, equations 1 to 3).

    Attributes:
        layers: all of them, the first half, the last one, or the one of that number.
        rows: those of the prompt and of the generated tokens, only one of the two, or those that an answer token follows, which
            are the generated ones and the last of the prompt. A draft of one token has no generated row.
        heads: each row's sum over heads, its maximum, or the sum of heads that are each divided by what they give to the
            picture, so that a head that hardly looks there counts as much as any.
        layer_weights: equal, or rising or falling from layer to layer along a straight line.
        sinks: attention as it is, or the square root of every row's attention in every layer, so that tokens that receive very
            much in a few places count less than those that receive some in many.
    """

    layers: Literal["all", "first", "last"] | int = "all"
    rows: Rows = "both"
    heads: Heads = "sum"
    layer_weights: LayerWeights = "equal"
    sinks: Sinks = "keep"

    @property
    def counts_generated(self) -> bool:
        return self.rows != "prompt"

    @property
    def plain_sum(self) -> bool:
        """Whether probabilities are simply added up over heads."""
        return self.heads == "sum" and self.sinks == "keep"

    def weight(self, layer: int, n_layers: int) -> float:
        """What a layer counts for; 1 on average over all layers."""
        if self.layer_weights == "equal":
            return 1.0
        rank = layer + 1 if self.layer_weights == "rising" else n_layers - layer
        return 2 * rank / (n_layers + 1)

    def counted_layers(self, n_layers: int) -> range:
        """The layers that count in a model of ``n_layers``.

        Raises:
            ValueError: if the model has no such layer.
        """
        if self.layers == "all":
            return range(n_layers)
        if self.layers == "first":
            return range((n_layers + 1) // 2)
        layer = n_layers - 1 if self.layers == "last" else self.layers
        if not isinstance(layer, int) or not 0 <= layer < n_layers:
            raise ValueError(
                f"there is no layer {layer!r} to take a map from: the model has layers 0 to {n_layers - 1}"
            )
        return range(layer, layer + 1)
