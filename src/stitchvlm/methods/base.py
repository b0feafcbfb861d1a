"""What a method of visual-token reduction is: it looks at evidence and says which tokens stay."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from stitchvlm.adaptive import MassKeep
from stitchvlm.layout import VisualLayout
from stitchvlm.maps import MapForm
from stitchvlm.reduction import Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Bool, Float, Int


class Evidence(Enum):
    """What a method may ask to see. The engine collects only what is asked for."""

    GUIDE_MAP = "a guide map from the small model"
    OWN_MAP = "the large model's own guide map, from a full pass of it"
    ATTENTION = "the large model's attention in the layer before"
    STATES = "the large model's hidden states and keys"
    EMBEDDINGS = "visual and text tokens as they enter the language model"
    VISION = "the vision encoder's attention and keys"


@dataclass(frozen=True, eq=False)
class VisionEvidence:
    """What a vision encoder shows of itself, per visual token of one prompt.

    Attributes:
        attention: attention that the token's patches receive from the encoder's summary token, or from all patches where
            it has none; the mean over heads in the last layer but one.
        keys: keys of that layer, the mean over heads and over the token's patches.
    """

    attention: Float[Tensor, " n_visual"]
    keys: Float[Tensor, "n_visual dim"]


@dataclass(frozen=True, eq=False)
class ReductionView:
    """All that a method sees when it decides, one entry per row of the batch; what it did not ask for is empty.

    Attributes:
        layouts: where the visual tokens sit.
        present: ordinals of the visual tokens that are still there, ascending.
        layer: the decoder layer before which the reduction happens.
        guide: importance of every visual token of the layout (not only of those present).
        seeds: one per row, for methods that draw random numbers, so that a row does not depend on its batch.
        attention: what every present token receives, in the layer before, from the rows that the method asked for.
        keys: of the present tokens, after the rotary embedding, in the layer before.
        states: of the present tokens as they enter ``layer``.
        sizes: how many tokens each present one stands for.
        embeddings: of every visual token as it entered the language model.
        instruction: embeddings of the text after the last visual token.
        vision: what the vision encoder showed of every visual token.
    """

    layouts: Sequence[VisualLayout]
    present: Sequence[Int[Tensor, " _n_present"]]
    layer: int
    guide: Sequence[Float[Tensor, " _n_visual"]] = ()
    seeds: Sequence[int] = ()
    attention: Sequence[Float[Tensor, " _n_present"]] = ()
    keys: Sequence[Float[Tensor, "_n_present _dim"]] = ()
    states: Sequence[Float[Tensor, "_n_present _width"]] = ()
    sizes: Sequence[Float[Tensor, " _n_present"]] = ()
    embeddings: Sequence[Float[Tensor, "_n_visual _width"]] = ()
    instruction: Sequence[Float[Tensor, "_n_text _width"]] = ()
    vision: Sequence[VisionEvidence] = ()


class Method(ABC):
    """A way of answering with less. Its options are its dataclass fields; the first sentence of its docstring says what it does.

    Attributes:
        name: what users call it.
        paper: its source, with the arXiv number.
        needs: the evidence it decides on.
        asks_large: False where the small model answers whatever is asked.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[frozenset[Evidence]] = frozenset()
    asks_large: ClassVar[bool] = True

    def scheduler(self, keep: float | MassKeep, layer: int | None = None) -> Callable[[int], Schedule]:
        """For a large model of so many layers, when tokens leave and how many stay.

        Args:
            keep: the share that stays on average, or from ``layer`` on, or as the guide map says.
            layer: before which layer tokens leave, for a user who names it.

        Raises:
            ValueError: if the method does not work at one layer and one is given, or has no guide map and is to go by it.
        """
        if layer is not None and layer < 0:
            raise ValueError(f"layer must be 0 or more, not {layer}")
        if isinstance(keep, MassKeep):
            if Evidence.GUIDE_MAP not in self.needs:
                raise ValueError(
                    f"{self.name} has no guide map to take --keep {keep} from: use guided, or give a share"
                )
            by_mass = Schedule.by_mass(keep, layer)
            return lambda n_layers: by_mass
        if layer is None:
            return partial(self.schedule, keep)
        literal = self.schedule_at(keep, layer)
        return lambda n_layers: literal

    @abstractmethod
    def schedule(self, keep: float, n_layers: int) -> Schedule:
        """When visual tokens leave, so that the share ``keep`` stays on average over the large model's layers.

        Raises:
            UnreachableError: if the method cannot come to that average on so many layers.
        """

    def schedule_at(self, keep: float, layer: int) -> Schedule:
        """The schedule of a user who names the layer: the share ``keep`` stays from there on.

        Raises:
            ValueError: if the method does not work at one layer.
        """
        raise ValueError(f"{self.name} does not take tokens away at one layer: leave the layer out")


class TokenReducer(Method):
    """A method that decides between two decoder layers of the large model which visual tokens go on.

    Attributes:
        minds_places: whether it judges a token by where it stands, or by its number, and not by its evidence alone.
    """

    minds_places: ClassVar[bool] = False

    @property
    def map_form(self) -> MapForm:
        """How the guide map is made for a method that needs one; the paper's form unless it says otherwise."""
        return MapForm()

    @property
    def skips_tiles(self) -> bool:
        """Whether tiles none of whose tokens stay are not even encoded, so that their tokens are in no layer at all.

        Only for methods that need nothing of the large model. Where tokens leave before layer 0 it is done anyway, since it changes
        nothing then.
        """
        return False

    @property
    def crops(self) -> bool:
        """Whether of a picture that the model does not cut only the part around what stays is encoded, as if cut out of it.

        That is not the same: what stays is then encoded without what surrounds it.
        """
        return False

    @property
    def tile_options(self) -> tuple[str, ...]:
        """Names of the options in use that choose among tiles, and so do nothing to a picture that is one tile."""
        return ()

    @abstractmethod
    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        """Decide which visual tokens of every row stay, ``n_keep[row]`` of them."""

    def schedule(self, keep: float, n_layers: int) -> Schedule:
        return Schedule.for_average(keep, n_layers)

    def schedule_at(self, keep: float, layer: int) -> Schedule:
        schedule = Schedule.single(keep, layer)
        self.check_layer(layer)
        return schedule

    def check_layer(self, layer: int) -> None:
        """Raise a ValueError if the method cannot decide before ``layer`` because it looks at the layer before that."""
        if layer == 0 and self.needs & {Evidence.ATTENTION, Evidence.STATES}:
            raise ValueError(f"{self.name} looks at the layer before: give it a layer from 1 on, not 0")

    def asking_rows(
        self, layout: VisualLayout, embeddings: Float[Tensor, "n_tokens width"]
    ) -> Bool[Tensor, " n_tokens"]:
        """Which prompt tokens' attention counts as evidence, from the embeddings of the unpadded prompt; by default the last."""
        rows = torch.zeros(layout.n_tokens, dtype=torch.bool)
        rows[-1] = True
        return rows


class TokenScorer(TokenReducer):
    """A method that drops the tokens with the lowest scores; it writes only :meth:`score`."""

    @abstractmethod
    def score(self, view: ReductionView) -> Sequence[Float[Tensor, " _n_visual"]]:
        """One score per visual token of every row's layout; higher stays."""

    def reduce(self, view: ReductionView, n_keep: Sequence[int]) -> Reduction:
        return Reduction.top(self.score(view), n_keep, view.present)


def over_layout(
    view: ReductionView, scores: Sequence[Float[Tensor, " _n_present"]]
) -> list[Float[Tensor, " _n_visual"]]:
    """Scores of the present tokens as scores of all, those that are gone below every other."""
    spread = []
    for row, layout, present in zip(scores, view.layouts, view.present, strict=True):
        whole = row.new_full((layout.n_visual,), -torch.inf)
        whole[present.to(row.device)] = row
        spread.append(whole)
    return spread
