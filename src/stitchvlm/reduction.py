"""Which tokens stay between two decoder layers. The only place where tokens are gathered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class TokenStream:
    """What flows through the decoder layers: the tokens of a batch, padded on the left, with all that must stay in step.

    Attributes:
        hidden: one state per token.
        positions: position ids that the rotary embedding sees; they never change when other tokens leave.
            A leading axis of 3 holds the rows of a multimodal rotary embedding.
        index: place of each token in its own unpadded prompt before anything left; -1 on padding.
        ordinal: number of the visual token in its row's layout; -1 for text and padding.
        lengths: real tokens per row, known on the host so that no device has to be asked.
        size: how many tokens each one stands for, which its attention is then weighted by; None where all stand for
            themselves.
        deepstack: what is added to the states after each of the first layers, one slice per layer; None where nothing is.
    """

    hidden: Float[Tensor, "batch length width"]
    positions: Int[Tensor, "*axes batch length"]
    index: Int[Tensor, "batch length"]
    ordinal: Int[Tensor, "batch length"]
    lengths: tuple[int, ...]
    size: Float[Tensor, "batch length"] | None = None
    deepstack: Float[Tensor, "depth batch length width"] | None = None

    @property
    def padded(self) -> bool:
        return min(self.lengths) != self.hidden.shape[1]

    def with_hidden(self, hidden: Float[Tensor, "batch length width"]) -> "TokenStream":
        """The same tokens with other states."""
        return replace(self, hidden=hidden)

    def select(self, stay_mask: Bool[Tensor, "batch length"], lengths: tuple[int, ...]) -> "TokenStream":
        """The tokens where ``stay_mask`` is True, in their order; ``lengths`` says how many of each row that are."""
        n_longest, device = max(lengths), stay_mask.device
        place = stay_mask.to(torch.uint8).sort(dim=1, stable=True).indices[:, stay_mask.shape[1] - n_longest :]
        n_padding = n_longest - torch.tensor(lengths, device=device)
        padding_mask = torch.arange(n_longest, device=device) < n_padding[:, None]
        hidden_place = place.to(self.hidden.device)[..., None].expand(-1, -1, self.hidden.shape[-1])
        return TokenStream(
            hidden=self.hidden.gather(1, hidden_place),
            positions=self.positions.gather(-1, place.expand(*self.positions.shape[:-1], -1)),
            index=self.index.gather(1, place).masked_fill(padding_mask, -1),
            ordinal=self.ordinal.gather(1, place).masked_fill(padding_mask, -1),
            lengths=lengths,
            size=None if self.size is None else self.size.gather(1, place),
            deepstack=None
            if self.deepstack is None
            else self.deepstack.gather(
                2, place[None, ..., None].expand(*self.deepstack.shape[:2], -1, *self.hidden.shape[2:])
            ),
        )

    def append(self, other: "TokenStream") -> "TokenStream":
        """Each row of ``other`` behind the same row of this one, padding moved to the left again."""
        index = torch.cat([self.index, other.index], dim=1)
        joined = TokenStream(
            hidden=torch.cat([self.hidden, other.hidden.to(self.hidden)], dim=1),
            positions=torch.cat([self.positions, other.positions], dim=-1),
            index=index,
            ordinal=torch.cat([self.ordinal, other.ordinal], dim=1),
            lengths=tuple(a + b for a, b in zip(self.lengths, other.lengths, strict=True)),
            size=None
            if self.size is None
            else torch.cat([self.size, torch.ones_like(other.index, dtype=torch.float32)], 1),
            deepstack=None
            if self.deepstack is None
            else nn.functional.pad(self.deepstack, (0, 0, 0, other.index.shape[1])),
        )
        return joined.select(index >= 0, joined.lengths) if self.padded or other.padded else joined


@dataclass(frozen=True, eq=False)
class Merge:
    """States that flow together in one row: the new state of a target is the weighted sum of its sources.

    A target that should keep a part of its own state is named among its sources. Ordinals throughout.
    """

    source: Int[Tensor, " n_flows"]
    target: Int[Tensor, " n_flows"]
    weight: Float[Tensor, " n_flows"]


@dataclass(frozen=True, eq=False)
class Reduction:
    """The decision of a method: which visual tokens of every row stay. Text always stays.

    Attributes:
        kept: per row the ordinals that stay, ascending.
        merges: per row what flows together before the others leave; None where tokens are only dropped.
        proportional: whether a token's attention is weighted from now on by how many it stands for.
    """

    kept: tuple[Int[Tensor, " _n_keep"], ...]
    merges: tuple[Merge, ...] | None = None
    proportional: bool = False

    @classmethod
    def top(
        cls,
        scores: Sequence[Float[Tensor, " _n_visual"]],
        n_keep: Sequence[int],
        present: Sequence[Int[Tensor, " _n_present"]],
        favoured: Sequence[Bool[Tensor, " _n_visual"]] | None = None,
    ) -> "Reduction":
        """Keep the ``n_keep[row]`` best-scored of the visual tokens still ``present``; among equals the first ones stay.

        ``favoured`` tokens stay before any other one.
        """
        if favoured is not None:
            scores = [
                row.masked_fill(first.to(row.device), math.inf) for row, first in zip(scores, favoured, strict=True)
            ]
        kept = []
        for row_scores, n_row, row_present in zip(scores, n_keep, present, strict=True):
            row_present = row_present.to(row_scores.device)
            best = row_scores[row_present].argsort(descending=True, stable=True)[:n_row]
            kept.append(row_present[best.sort().values])
        return cls(tuple(kept))

    def apply(self, stream: TokenStream, present: Sequence[Int[Tensor, " _n_present"]]) -> TokenStream:
        """The stream without those of the ``present`` visual tokens that do not stay; positions are untouched."""
        if self.merges is not None:
            stream = self._merge(stream)
        n_ordinals = 1 + max((int(row[-1]) for row in present if len(row)), default=-1)
        device = stream.ordinal.device
        stays = torch.zeros(len(self.kept), n_ordinals + 1, dtype=torch.bool, device=device)
        stays[:, n_ordinals] = True  # the column of every token that is not visual
        for row, kept in enumerate(self.kept):
            stays[row, kept.to(device)] = True
        column = stream.ordinal.masked_fill(stream.ordinal < 0, n_ordinals)
        stay_mask = stays.gather(1, column) & (stream.index >= 0)
        lengths = tuple(
            length - len(before) + len(after)
            for length, before, after in zip(stream.lengths, present, self.kept, strict=True)
        )
        return stream.select(stay_mask, lengths)

    def _merge(self, stream: TokenStream) -> TokenStream:
        """The same tokens with merged states, and sizes where attention is to be proportional to them."""
        assert self.merges is not None
        hidden, deepstack, size = stream.hidden.clone(), stream.deepstack, stream.size
        deepstack = None if deepstack is None else deepstack.clone()
        if self.proportional:
            size = torch.ones_like(stream.index, dtype=torch.float32) if size is None else size.clone()
        for row, merge in enumerate(self.merges):
            if not len(merge.target):
                continue
            ordinals = stream.ordinal[row].cpu()
            place_of = torch.full((int(ordinals.max()) + 1,), -1)
            place_of[ordinals[ordinals >= 0]] = (ordinals >= 0).nonzero()[:, 0]
            source, target = (
                place_of[merge.source.cpu()].to(hidden.device),
                place_of[merge.target.cpu()].to(hidden.device),
            )
            weight = merge.weight.to(hidden.device, torch.float32)[:, None]
            for states in (hidden[row], *(() if deepstack is None else deepstack[:, row])):
                _flow_together(states, source.to(states.device), target.to(states.device), weight.to(states.device))
            if self.proportional and size is not None:
                before, total = size[row].clone(), torch.zeros_like(size[row])
                total.index_add_(0, target.to(size.device), before[source.to(size.device)])
                size[row, target.to(size.device)] = total[target.to(size.device)]
        return replace(stream, hidden=hidden, size=size, deepstack=deepstack)


def _flow_together(
    states: Float[Tensor, "length width"],
    source: Int[Tensor, " n_flows"],
    target: Int[Tensor, " n_flows"],
    weight: Float[Tensor, "n_flows 1"],
) -> None:
    """Put the weighted sum of its sources in the place of every target."""
    flows = torch.zeros_like(states, dtype=torch.float32).index_add_(0, target, weight * states[source].float())
    states[target] = flows[target].to(states.dtype)
