"""One way of answering among those that a study compares."""

from dataclasses import dataclass

from stitchvlm.cascade import Cascade
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.maps import MapForm
from stitchvlm.methods import Evidence, TokenReducer


@dataclass(frozen=True)
class Row:
    """One way of answering: its settings and the path that they make."""

    name: str
    settings: RunSettings
    cascade: Cascade

    @property
    def asks_small(self) -> bool:
        """Also where the small model's answer does not count."""
        return self.cascade.needs_small or self.settings.both

    @property
    def asks_large(self) -> bool:
        return self.cascade.method.asks_large

    @property
    def map_form(self) -> MapForm:
        """The form of the guide map that the method wants; the usual one where any will do, so that such rows share a look."""
        method = self.cascade.method
        if isinstance(method, TokenReducer) and Evidence.GUIDE_MAP in method.needs:
            return method.map_form
        return MapForm()
