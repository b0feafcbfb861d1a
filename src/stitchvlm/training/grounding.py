"""Teaches attention heads where to look: at what the answer is read from.

A young language model is slow to discover that a question is about one place in the picture, and heads that never need to
discover it look everywhere. The generator knows the place, so training can say it: wherever the whole question has been
read, the share of a head's visual attention that falls on the place is driven up. Answers that are spelled from the picture are
read character by character: half of the heads look at the whole place, the others at where the next character stands. One
of the first half looks at what tells what it is, such as the label to its left, so that a guide map shows that as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .packing import Batch, Packed

FIRST_LAYER = 1
"""The layer before it cannot know yet what was asked, and in this one all heads look at the whole place."""


@dataclass(frozen=True)
class Standing:
    """Teaches a language model behind a tower that knows no places where its visual tokens lie.

    Each of them is to say in which third of the picture's height and of its width it lies: `thirds[visual tokens, 2]`. The
    words for them, `words[2, 3]`, are those that answers name places with, so an answer can take them from the token it is about.
    """

    thirds: torch.Tensor
    words: torch.Tensor

    def loss(self, hidden: torch.Tensor, outputs: nn.Linear) -> torch.Tensor:
        """Cross-entropy between the three words each, of `hidden[visual tokens, width]`."""
        logits = F.linear(hidden, outputs.weight[self.words.flatten()]).float().unflatten(1, self.words.shape)
        return F.cross_entropy(logits.flatten(0, 1), self.thirds.flatten())


class Grounding:
    """Hears the queries and keys of a forward pass and says how far the heads look beside the asked places.

    Only shares within the picture count, not how much a head looks at the picture: what it needs of the text it may take.
    With a `standing` it also hears what visual tokens know of their own place.
    """

    def __init__(
        self,
        rows: Sequence[Packed],
        places: Sequence[Sequence[Sequence[int]]],
        batch: Batch,
        standing: Standing | None = None,
        pointed: Sequence[Sequence[Sequence[Sequence[int]]]] | None = None,
        beside: Sequence[Sequence[Sequence[int]]] | None = None,
    ) -> None:
        """`places[row][question]` numbers the visual tokens, among those present, that the answer is read from.

        Questions without any are left out. `pointed[row][question]` numbers those that each token of the answer is read from, and
        its end after them; where it has none, or less than the whole answer, the place stands for them. `beside[row][question]`
        numbers those that tell what it is; where there are none the place stands for them as well.
        """
        points = pointed or [[()] * len(of_row) for of_row in places]
        labels = beside or [[()] * len(of_row) for of_row in places]
        found = [
            [each for each in zip(row.asked, *of_row, strict=True) if each[1]]
            for row, *of_row in zip(rows, places, points, labels, strict=True)
        ]
        most = max(1, *(sum(len(span) for span, *_ in spans) for spans in found))
        end = max(row.visual.stop for row in rows)
        at = np.zeros((len(rows), most), dtype=np.int64)
        counted = np.zeros((len(rows), most), dtype=bool)
        place = np.zeros((len(rows), most, end), dtype=bool)
        point = np.zeros((len(rows), most, end), dtype=bool)
        label = np.zeros((len(rows), most, end), dtype=bool)
        for k, (row, spans) in enumerate(zip(rows, found, strict=True)):
            first = 0
            for span, tokens, steps, names in spans:
                here = slice(first, first + len(span))
                at[k, here], counted[k, here] = span, True
                for mask in (place, point):
                    mask[k, here, np.array(tokens) + row.visual.start] = True
                label[k, here, np.array(names or tokens) + row.visual.start] = True
                first = here.stop
                for step, shown in enumerate(steps, start=first - len(steps)):
                    if shown:
                        point[k, step] = False
                        point[k, step, np.array(shown) + row.visual.start] = True
        device = batch.visual.device
        told = (torch.from_numpy(a).to(device) for a in (at, place, point, label))
        self._at, self._place, self._point, self._label = told
        self._counted = tuple(torch.from_numpy(index).to(device) for index in counted.nonzero())
        self._visual = batch.visual[:, None, :end]
        self._heard: list[torch.Tensor] = []
        self._shown, self._standing = batch.visual, standing
        self._astray: torch.Tensor | None = None

    def hear(self, layer: int, query: torch.Tensor, key: torch.Tensor, moved: torch.Tensor | None = None) -> None:
        """`query[b, heads, n, d]`, scaled, and `key[b, kv heads, n, d]` of one layer.

        With `moved[b, length]`, where each place of the sequence is found; the picture stays where it is.
        """
        if layer < FIRST_LAYER:
            return
        at = self._at if moved is None else moved.gather(1, self._at)
        query = query.gather(2, at[:, None, :, None].expand(-1, query.shape[1], -1, query.shape[3]))
        key = key[:, :, : self._visual.shape[2]].repeat_interleave(query.shape[1] // key.shape[1], 1)
        scores = (query @ key.transpose(-1, -2)).float()
        seen = scores.masked_fill(~self._visual[:, None], -torch.inf).logsumexp(-1)
        asked = self._place[:, None].expand(-1, query.shape[1], -1, -1)
        if layer > FIRST_LAYER:
            half = query.shape[1] // 2
            point = self._point[:, None].expand(-1, query.shape[1] - half, -1, -1)
            asked = torch.cat([self._label[:, None][:, :half], asked[:, 1:half], point], 1)
        hit = scores.masked_fill(~asked, -torch.inf).logsumexp(-1)
        beside = (seen - hit).transpose(1, 2)[self._counted]
        self._heard.append(beside.sum() / max(1, beside.numel()))

    def hear_end(self, hidden: torch.Tensor, outputs: nn.Linear) -> None:
        """`hidden[b, n, width]`, the last states, and the output layer."""
        if self._standing is not None:
            self._astray = self._standing.loss(hidden[self._shown], outputs)

    @property
    def astray(self) -> torch.Tensor | None:
        """How far visual tokens are from knowing their own place, where they are asked."""
        return self._astray

    def loss(self) -> torch.Tensor:
        """Minus the logarithm of the share that falls on the asked place: mean over layers, heads and counted tokens.

        A question with a longer answer has more tokens and weighs more.

        Raises:
            ValueError: if the model's attention told nothing.
        """
        if not self._heard:
            raise ValueError("no attention was heard: the model needs use_plain_attention and more than one layer")
        return torch.stack(self._heard).mean()
