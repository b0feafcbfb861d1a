"""SEE: the small model's answer stands when it is confident of it and consistent without most of the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from stitchvlm.exits.base import ExitPolicy
from stitchvlm.exits.scores import PARTS, ScoreName, combine
from stitchvlm.guide import GuidePass
from stitchvlm.records import Draft, Verdict


@dataclass(frozen=True)
class SmallEarlyExit(ExitPolicy):
    """Small-VLM early exit: exit when the mean of confidence and consistency reaches the threshold.

    Paper: arXiv 2412.03324, equations 4 to 6. Both scores are made of log probabilities in float64; the product of a
    long answer's probabilities underflows in float32.

    Attributes:
        threshold: exit when the score is at least this; ``"never"`` and ``"always"`` decide without it.
        consistency_keep: share of visual tokens that the consistency pass sees.
        score: which score; see :data:`~stitchvlm.exits.scores.ScoreName`. ``"confidence"`` spares the consistency pass.
        origin: where the threshold comes from, in words, for the account of an answer.

    Raises:
        ValueError: if the threshold or the score is none of these.

    Differs from the paper: not by default; the scores other than ``"mean"`` are additions. In the official release the large
    model always runs and the scores are only logged; here an exit is live.
    """

    threshold: float | Literal["never", "always"] = 0.9
    consistency_keep: float = 0.05
    score: ScoreName = "mean"
    origin: str = field(default="", compare=False)

    def __post_init__(self):
        if not isinstance(self.threshold, str) and not 0 <= self.threshold <= 1:
            raise ValueError(f"an exit threshold must lie in [0, 1], or be never or always, not {self.threshold}")
        if isinstance(self.threshold, str) and self.threshold not in ("never", "always"):
            raise ValueError(f"an exit threshold is a number in [0, 1], never or always, not {self.threshold!r}")
        if self.score not in PARTS:
            raise ValueError(f"there is no exit score {self.score!r}: choose one of {', '.join(PARTS)}")

    @property
    def needs_draft(self) -> bool:  # type: ignore[override]
        return self.threshold != "never"

    @property
    def spelling(self) -> float | str:
        """The threshold as :func:`~stitchvlm.exits.parse_exit` reads it, with the score before it unless that is the paper's."""
        named = self.score != "mean" and not isinstance(self.threshold, str)
        return f"{self.score}:{self.threshold}" if named else self.threshold

    @property
    def rule(self) -> str:
        """When a draft stands, in words."""
        return self.threshold if isinstance(self.threshold, str) else f"{self.score} of {self.threshold:.6g} or more"

    def judge(self, small: GuidePass) -> list[Verdict]:
        consistent: Sequence[Sequence[float] | None] = [None] * len(small.drafts)
        if self.score != "confidence":
            consistent = small.answer_log_probabilities(self.consistency_keep)
        return [self._verdict(draft, logs) for draft, logs in zip(small.drafts, consistent, strict=True)]

    def _verdict(self, draft: Draft, consistent: Sequence[float] | None) -> Verdict:
        parts = {"confidence": math.exp(math.fsum(draft.log_probabilities) / len(draft.log_probabilities))}
        if consistent is not None:
            parts["consistency"] = math.exp(math.fsum(consistent))
            parts["consistency_per_token"] = math.exp(math.fsum(consistent) / len(consistent))
        score = combine(self.score, parts)
        sure = self.threshold == "always" or (self.threshold != "never" and score >= self.threshold)
        return Verdict(exit=sure and draft.complete, score=score, parts=parts)
