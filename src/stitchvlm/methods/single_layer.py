"""One layer's view of the large model: the paper's motivation, shown by how little it holds."""

from dataclasses import dataclass

from stitchvlm.maps import MapForm
from stitchvlm.methods.oracle import Oracle
from stitchvlm.schedule import Schedule


@dataclass(frozen=True)
class SingleLayer(Oracle):
    """Keep the visual tokens that one layer of the large model looked at most, in a full pass of its own.

    Paper: arXiv 2412.03324, section 3.1: the attention of a single layer is far from that of all layers together. Beside
    ``oracle``, with tokens leaving at the same layer, this shows what the other layers add.

    Attributes:
        map_layer: the layer, from 0, whose attention counts.

    Differs from the paper: generated rows count as they do in the guide map.
    """

    map_layer: int = 2

    name = "single-layer"
    paper = "A Stitch in Time Saves Nine, arXiv 2412.03324, the motivation"

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        self.map_form.counted_layers(n_layers)
        return super().schedule(keep, n_layers)

    @property
    def map_form(self) -> MapForm:
        return MapForm(layers=self.map_layer)
