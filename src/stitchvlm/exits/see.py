"""SEE: the small model's answer stands when it is confident of it and consistent without most of the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stitchvlm.exits.base import ExitPolicy
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
        normalise: take the consistency per token (geometric mean), so that long answers are not punished for their length.

    Differs from the paper: nothing by default; ``normalise`` is an addition. In the official release the large model
    always runs and the scores are only logged; here an exit is live.
    """

    threshold: float | Literal["never", "always"] = 0.9
    consistency_keep: float = 0.05
    normalise: bool = False

    def __post_init__(self):
        if not isinstance(self.threshold, str) and not 0 <= self.threshold <= 1:
            raise ValueError(f"an exit threshold must lie in [0, 1], or be never or always, not {self.threshold}")
        if isinstance(self.threshold, str) and self.threshold not in ("never", "always"):
            raise ValueError(f"an exit threshold is a number in [0, 1], never or always, not {self.threshold!r}")

    @property
    def needs_draft(self) -> bool:  # type: ignore[override]
        return self.threshold != "never"

    def judge(self, small: GuidePass) -> list[Verdict]:
        consistent = small.answer_log_probabilities(self.consistency_keep)
        return [self._verdict(draft, logs, small) for draft, logs in zip(small.drafts, consistent, strict=True)]

    def _verdict(self, draft: Draft, consistent: Sequence[float], small: GuidePass) -> Verdict:
        confidence = math.exp(math.fsum(draft.log_probabilities) / len(draft.log_probabilities))
        consistency = math.exp(math.fsum(consistent) / (len(consistent) if self.normalise else 1))
        score = (confidence + consistency) / 2
        sure = self.threshold == "always" or (self.threshold != "never" and score >= self.threshold)
        return Verdict(
            exit=sure and draft.complete, score=score, parts={"confidence": confidence, "consistency": consistency}
        )


def parse_exit(text: str | float) -> SmallEarlyExit:
    """Read a threshold as users write it: a number in [0, 1], ``never`` or ``always``.

    Raises:
        ValueError: if it is none of these.
    """
    if text in ("never", "always"):
        return SmallEarlyExit(text)  # type: ignore[arg-type]
    try:
        return SmallEarlyExit(float(text))
    except ValueError:
        raise ValueError(f"an exit threshold is a number in [0, 1], never or always, not {text!r}") from None
