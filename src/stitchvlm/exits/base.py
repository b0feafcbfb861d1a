"""What an exit policy is: it looks at the small model's draft and says whether that is the answer."""

from abc import ABC, abstractmethod

from stitchvlm.guide import GuidePass
from stitchvlm.records import Verdict


class ExitPolicy(ABC):
    """Judges drafts. ``needs_draft`` is False where the policy never exits, so that nobody drafts for its sake."""

    needs_draft: bool = True

    @abstractmethod
    def judge(self, small: GuidePass) -> list[Verdict]:
        """One verdict per draft of the pass. The policy may ask the pass to score its drafts again."""
