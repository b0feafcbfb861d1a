"""How attention becomes a map of what a model looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MapForm:
    """Which attention counts in a guide map; the defaults are the paper's form (arXiv 2412.03324, equations 1 to 3).

    Attributes:
        layers: all of them, the first half, the last one, or the one of that number.
    """

    layers: Literal["all", "first", "last"] | int = "all"

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
