"""What goes into a pass of the engine and what comes out of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import Cache, DynamicCache

from stitchvlm.decoding import Decoding, LayerSpan
from stitchvlm.families.base import Prompt
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import TokenReducer
from stitchvlm.methods.base import VisionEvidence
from stitchvlm.reduction import Reduction
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Float, Int


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run takes away: which method, when and how much, with the evidence the method needs.

    Attributes:
        seeds: one per row for methods that draw random numbers; None takes the rows' numbers.
        n_keep: how many tokens of each row stay at the last step, where the guide map says that and not the schedule.
        foreseen: the first decision, where it was made before anything was encoded.
    """

    schedule: Schedule
    reducer: TokenReducer
    guide: Sequence[Float[Tensor, " _n_visual"]] | None = None
    seeds: Sequence[int] | None = None
    n_keep: tuple[int, ...] | None = None
    foreseen: Reduction | None = None

    def steps(self, n_layers: int, layouts: Sequence[VisualLayout]) -> list[tuple[int, tuple[int, ...]]]:
        """(layer, tokens to keep per row) of every step; layers depend on the model only, so rows agree on them.

        Raises:
            ValueError: if a layer is not one of the model's, or the method cannot decide before it.
        """
        rows = [self.schedule.resolve(n_layers, layout.n_visual) for layout in layouts]
        for layer, _ in rows[0]:
            self.reducer.check_layer(layer)
        steps = [(step[0][0], tuple(n_keep for _, n_keep in step)) for step in zip(*rows, strict=True)]
        return steps if self.n_keep is None else [*steps[:-1], (steps[-1][0], self.n_keep)]


@dataclass(frozen=True, eq=False)
class Seen:
    """What came out of the vision encoder for a batch of questions.

    Attributes:
        present: per row the ordinals of the visual tokens that did; None for all.
        vision: per row what the encoder attended to, where that was asked for.
    """

    visual: Float[Tensor, "n_present width"]
    present: Sequence[Int[Tensor, " _n_present"]] | None = None
    vision: tuple[VisionEvidence, ...] | None = None

    def tensors(self) -> Iterator[Tensor]:
        """All that the encoder has computed."""
        yield self.visual
        for row in self.vision or ():
            yield from (row.attention, row.keys)


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
        cache: keys and values of prompt and answer; where graphs were replayed, until the next question.
        behind: what the caches hold of the answers; a row that ended before others goes on with padding there. None where graphs
            were replayed: nobody can go on from these.
        logits: raw ones of every token, if asked for; zeros behind the end of a row.
    """

    tokens: tuple[tuple[int, ...], ...]
    log_probabilities: tuple[tuple[float, ...], ...]
    n_accepted: tuple[int, ...]
    cache: Cache
    behind: Decoding | None = None
    logits: Float[Tensor, "batch steps vocabulary"] | None = None
