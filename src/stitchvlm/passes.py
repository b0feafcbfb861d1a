"""What goes into a pass of the engine and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import DynamicCache

from stitchvlm.families.base import Prompt
from stitchvlm.methods import TokenReducer
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run takes away: which method, when and how much, with the evidence the method needs.

    ``seeds`` has one seed per row for methods that draw random numbers; None takes the rows' numbers.
    """

    schedule: Schedule
    reducer: TokenReducer
    guide: Sequence[Float[Tensor, " _n_visual"]] | None = None
    seeds: Sequence[int] | None = None


@dataclass(frozen=True, eq=False)
class LayerSpan:
    """A stretch of layers whose caches hold the same tokens.

    Attributes:
        index: places of the tokens in the unpruned prompt, -1 on padding.
        n_visual: per row how many of them are visual.
        size: how many tokens each one stands for; None where all stand for themselves.
    """

    layers: range
    index: Int[Tensor, "batch keys"]
    padded: bool
    n_visual: tuple[int, ...]
    size: Float[Tensor, "batch keys"] | None = None


@dataclass(frozen=True, eq=False)
class Prefilled:
    """A prompt that went through the layers: what decoding goes on from.

    Attributes:
        logits: of the token that follows each prompt.
        spans: which tokens each layer's cache holds.
        kept: per row the ordinals left after the last reduction.
    """

    prompt: Prompt
    logits: Float[Tensor, "batch vocabulary"]
    cache: DynamicCache
    spans: tuple[LayerSpan, ...]
    kept: tuple[Int[Tensor, " _n_keep"], ...]

    def kept_per_layer(self, row: int) -> tuple[int, ...]:
        """How many visual tokens each layer of a row computes."""
        return tuple(span.n_visual[row] for span in self.spans for _ in span.layers)


@dataclass(frozen=True, eq=False)
class Generated:
    """Per row the generated tokens (end token included), their log probabilities and, if asked for, all raw logits."""

    tokens: tuple[tuple[int, ...], ...]
    log_probabilities: tuple[tuple[float, ...], ...]
    logits: Float[Tensor, "batch steps vocabulary"] | None = None
