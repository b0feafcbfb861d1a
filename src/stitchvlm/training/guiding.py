"""Which visual tokens a guide keeps: the finished smaller model answers, and what it looks at stays.

A large model that has learned on tokens kept around the answer still meets others behind a guide: scattered ones, words that
might have been the answer, and now and then not the answer itself. So it learns on what its guide keeps.
"""

import torch
from transformers import PreTrainedModel

from .answering import answer_states, answers_in
from .attention import use_plain_attention
from .cache import PictureSet
from .features import FeatureBank
from .packing import UNSEEN, Batch, Packed, collate, packed_mask


class Looks:
    """Hears a forward pass and sums, over layers and heads, the attention that text behind the picture pays to what is before it.

    Attributes:
        at: the places that look, from the end of the first picture that ends on.
        sum: `[batch, places, end of the last picture]`.
    """

    def __init__(self, batch: Batch, rows: list[Packed]) -> None:
        ends = [row.visual.stop for row in rows]
        self.at = torch.arange(min(ends), batch.tokens.shape[1], device=batch.tokens.device)
        self._seen = packed_mask(batch.segments)[:, :, min(ends) :]
        self.sum = torch.zeros(len(rows), len(self.at), max(ends), device=batch.tokens.device)

    def hear(self, layer: int, query: torch.Tensor, key: torch.Tensor, moved: torch.Tensor | None = None) -> None:
        """See `attention.Listener`."""
        if moved is None:
            query = query[:, :, self.at]
        else:
            query = query.gather(2, moved[:, None, self.at, None].expand(-1, query.shape[1], -1, query.shape[3]))
            key = key.gather(2, moved[:, None, :, None].expand(-1, key.shape[1], -1, key.shape[3]))
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
        scores = (query @ key.transpose(-1, -2)).float()
        self.sum += scores.masked_fill(~self._seen, -torch.inf).softmax(-1)[..., : self.sum.shape[-1]].sum(1)


class Guide:
    """The finished smaller model, which answers what a larger one is to learn."""

    def __init__(self, model: PreTrainedModel) -> None:
        use_plain_attention(model)
        self.model = model.requires_grad_(False)
        self._device = next(model.parameters()).device
        self._bank = FeatureBank(model, self._device)

    @torch.no_grad()
    def looks(self, chosen: list[tuple[PictureSet, int]], rows: list[Packed]) -> list[list[torch.Tensor]]:
        """For each picture's row and each question in it the map `[visual tokens]` (arXiv 2412.03324, equations 1 to 3).

        The rows hold all of their pictures' visual tokens. Differs from the product: an answer is told and not drafted. It
        counts as far as the model would have said it, since from there on it would have looked elsewhere, nobody knows where.
        """
        batch = collate(rows, self._device)
        heard = Looks(batch, rows)
        hidden = answer_states(self.model, batch, self._bank.features(chosen).flatten(0, 1), heard)
        logits, targets = answers_in(self.model, batch, hidden)
        wrong = torch.zeros_like(batch.tokens)
        wrong[batch.targets != UNSEEN] = (logits.argmax(-1) != targets).long()
        return [
            [self._map(batch, heard, wrong, k, question, row) for question in range(1, 1 + len(row.asked))]
            for k, row in enumerate(rows)
        ]

    @staticmethod
    def _map(batch: Batch, heard: Looks, wrong: torch.Tensor, k: int, question: int, row: Packed) -> torch.Tensor:
        segments, missed = batch.segments[k, heard.at], wrong[k, heard.at]
        own = segments == question
        counted = own & ((missed * own).cumsum(0) - missed == 0)
        counted |= (segments == 0) & (heard.at >= row.visual.stop)
        return heard.sum[k, counted][:, row.visual].sum(0)


def most_looked_at(scores: torch.Tensor, count: int) -> list[int]:
    """Numbers of the `count` visual tokens with the highest scores, in order."""
    return sorted(scores.argsort(descending=True, stable=True)[:count].tolist())
