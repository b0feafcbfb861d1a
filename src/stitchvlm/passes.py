"""What goes into a pass of the engine and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import DynamicCache

from stitchvlm.decoding import Decoding, LayerSpan
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
class Prefilled:
    """A prompt that went through the layers, with what was proposed as its answer: what decoding goes on from.

    Attributes:
        proposed: per row what may be the beginning of its answer; it went through the layers behind the prompt.
        all_logits: of what follows the prompt and each proposed token, every row ending at the last column.
        spans: which tokens each layer's cache holds.
        kept: per row the ordinals left after the last reduction.
    """

    prompt: Prompt
    proposed: tuple[tuple[int, ...], ...]
    all_logits: Float[Tensor, "batch width vocabulary"]
    cache: DynamicCache
    spans: tuple[LayerSpan, ...]
    kept: tuple[Int[Tensor, " _n_keep"], ...]

    @property
    def logits(self) -> Float[Tensor, "batch vocabulary"]:
        """Of what follows all that went through the layers: the prompt, where nothing was proposed."""
        return self.all_logits[:, -1]

    def kept_per_layer(self, row: int) -> tuple[int, ...]:
        """How many visual tokens each layer of a row computes."""
        return tuple(span.n_visual[row] for span in self.spans for _ in span.layers)


@dataclass(frozen=True, eq=False)
class Generated:
    """What was generated.

    Attributes:
        tokens: per row, end token included.
        log_probabilities: of each of them; empty unless asked for.
        n_accepted: per row how many of the proposed tokens are part of the answer.
        behind: what the caches hold of the answers; a row that ended before others goes on with padding there.
        logits: raw ones of every token, if asked for; zeros behind the end of a row.
    """

    tokens: tuple[tuple[int, ...], ...]
    log_probabilities: tuple[tuple[float, ...], ...]
    n_accepted: tuple[int, ...]
    behind: Decoding
    logits: Float[Tensor, "batch steps vocabulary"] | None = None
