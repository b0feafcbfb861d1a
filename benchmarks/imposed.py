"""What random weights cannot have: a guide that points somewhere, and drafts and guesses that are right so far.

The small model's pass is really run, with all its work; only what it found is replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchvlm.attention import Tap
from stitchvlm.decoding import Decoding
from stitchvlm.guide import GuidePass
from stitchvlm.layout import VisualLayout
from stitchvlm.records import GuideMap
from stitchvlm.shapes import Float

WRONG = 7
"""A token that no answer has."""


@dataclass(frozen=True)
class Findings:
    """What is imposed on the small model's pass.

    Attributes:
        tiles: how many tiles the guide map points at, evenly.
        accepted: tokens at the beginning of each draft that are right; the rest are wrong.
        guessed: how many guesses of every round are right before a wrong one comes; None for all.
    """

    tiles: int
    accepted: int
    guessed: int | None = None


def impose(guide: GuidePass, answers: Sequence[Sequence[int]], findings: Findings) -> GuidePass:
    """The pass as if it had found that; ``answers`` are the large model's, longer than any draft by what may be guessed."""
    drafts = []
    for draft, answer in zip(guide.drafts, answers, strict=True):
        tokens = tuple([*answer[: findings.accepted], *[WRONG] * len(draft.tokens)][: len(draft.tokens)])
        looked_at = draft.looked_at and pointing_map(draft.looked_at.layout, findings.tiles)
        drafts.append(replace(draft, tokens=tokens, looked_at=looked_at))
    said = [draft.tokens for draft in drafts]
    behind = None if guide.behind is None else ImposedGuesses(guide.behind, said, answers, findings.guessed)
    return replace(guide, drafts=tuple(drafts), behind=behind)


def pointing_map(layout: VisualLayout, n_tiles: int) -> GuideMap:
    """A map that points at the first tiles, tile after tile at the best token of each, then at the next best."""
    tile = layout.tile_number
    place = torch.arange(layout.n_visual) - torch.searchsorted(tile, tile)
    scores = (tile < n_tiles).double() * 2 - place / layout.n_visual
    return GuideMap(layout, scores.float(), torch.zeros(0, layout.n_visual))


class ImposedGuesses(Decoding):
    """The small model's caches, whose likeliest next token is the right one, or wrong after so many right ones in a round."""

    def __init__(
        self,
        behind: Decoding,
        drafts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        n_right: int | None,
    ):
        self.__dict__.update(behind.__dict__)
        self.tokens = [list(draft[: len(held)]) for draft, held in zip(drafts, behind.tokens, strict=True)]
        self._answers, self._n_right, self._n_guessed = answers, n_right, 0

    def take_back(self, n_tokens: Sequence[int]) -> None:
        super().take_back(n_tokens)
        self._n_guessed = 0  # with this a round of guesses begins

    def feed(self, tokens: Sequence[Sequence[int]], tap: Tap | None = None) -> Float[Tensor, "batch width vocabulary"]:
        logits = super().feed(tokens, tap)
        right = self._n_right is None or self._n_guessed < self._n_right
        rows = zip(self._answers, self.tokens, strict=True)
        wanted = [answer[len(held)] if right and len(held) < len(answer) else WRONG for answer, held in rows]
        logits[range(len(wanted)), -1, wanted] = torch.inf
        self._n_guessed += 1
        return logits
