"""What goes in and what comes out: questions, drafts, verdicts, answers and the account of what happened."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stitchvlm.layout import VisualLayout
from stitchvlm.plural import counted
from stitchvlm.shapes import Float

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked: text about zero or more pictures, already decoded to RGB.

    Attributes:
        text: the question. Where ``messages`` is given this is empty.
        images: the pictures, in the order in which the prompt shows them.
        system: a system message; None leaves the checkpoint's own.
        messages: a whole chat in transformers' form instead of ``text`` and ``system``; its images are in ``images``.
    """

    text: str = ""
    images: tuple["Image", ...] = ()
    system: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None

    def as_messages(self) -> list[dict[str, Any]]:
        """The question as a chat in transformers' form, pictures first."""
        if self.messages is not None:
            return list(self.messages)
        content = [{"type": "image"} for _ in self.images] + [{"type": "text", "text": self.text}]
        system = [] if self.system is None else [{"role": "system", "content": [{"type": "text", "text": self.system}]}]
        return [*system, {"role": "user", "content": content}]


@dataclass(frozen=True, eq=False)
class GuideMap:
    """How much attention each visual token of one question received in the small model.

    Attributes:
        layout: where those tokens sit; ordinal i of the layout belongs to score i.
        prefill: the part that comes from the rows of the prompt (A^P).
        decode: one row per decoded token that was fed back (the rows of A^D).
    """

    layout: VisualLayout
    prefill: Float[Tensor, " n_visual"]
    decode: Float[Tensor, "steps n_visual"]

    @property
    def scores(self) -> Float[Tensor, " n_visual"]:
        """A = A^P + A^D (arXiv 2412.03324, equation 3)."""
        return self.prefill + self.decode.sum(0)

    def __repr__(self) -> str:
        return (
            f"GuideMap({counted(self.layout.n_visual, 'visual token')}, {counted(len(self.decode), 'decoded token')})"
        )


@dataclass(frozen=True, eq=False)
class Draft:
    """The small model's answer to one question, with what the exit policy and the large model want to know of it.

    Attributes:
        tokens: generated token ids, the end token included if it was reached.
        text: the answer as text.
        log_probabilities: natural log of the probability of each token, from raw logits at temperature 1 (float64 sums).
        looked_at: the guide map of the same pass; None where nobody wanted one.
        complete: False where the draft was cut short of what the answer may be, so that it can only guide.
    """

    tokens: tuple[int, ...]
    text: str
    log_probabilities: tuple[float, ...]
    looked_at: GuideMap | None
    complete: bool = True

    @property
    def guide(self) -> GuideMap:
        """The guide map.

        Raises:
            ValueError: if the small model looked without drawing one.
        """
        if self.looked_at is None:
            raise ValueError("this draft was made without a guide map: ask for one with Stitch.guide")
        return self.looked_at


@dataclass(frozen=True)
class Verdict:
    """What an exit policy says of a draft.

    Attributes:
        exit: True when the draft is the answer.
        score: the number that was compared with the threshold; None where the policy needs none.
        parts: the named scores it was made of.
    """

    exit: bool
    score: float | None = None
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trace:
    """The account of one answer.

    Attributes:
        seconds: wall time per stage, and ``total``. Stages of a batch are those of the whole batch.
        n_visual: visual tokens of the question in the model that answered, its pictures at full size.
        n_kept: visual tokens left after the large model's last reduction; 0 where it was not called.
        average_retention: share of (layer, visual token) pairs, pictures at full size, that the large model computed; 0 where
            it was not called. Tokens that were not encoded count among them, so that it may be less than was asked for.
        kept_per_layer: visual tokens in each of the large model's layers; empty where it was not called.
        verdict: what the exit policy said; None where no small model ran.
        small_answer: the small model's text; None where it did not run.
        draft_complete: False where ``guide_tokens`` cut the draft, so that it could only guide; None without a draft.
        large_answer: the large model's text; None where it did not run.
        kept: ordinals of the visual tokens left after the last reduction; None where the large model was not called.
        layout: where the visual tokens sit that ``kept`` speaks of.
        n_tiles: tiles of the question's pictures in the large model; 0 where it was not called.
        n_tiles_encoded: how many of them its vision encoder saw, if only in part.
        encoded: ordinals of the visual tokens that came out of it; None where the large model was not called.
        n_proposed: tokens of the small model's draft that went through the large model's prefill.
        n_accepted: proposed tokens that are part of the answer, those guessed later included.
    """

    seconds: dict[str, float]
    n_visual: int
    n_kept: int
    average_retention: float
    kept_per_layer: tuple[int, ...] = field(default=(), repr=False)
    verdict: Verdict | None = None
    small_answer: str | None = None
    draft_complete: bool | None = None
    large_answer: str | None = None
    kept: tuple[int, ...] | None = field(default=None, repr=False)
    layout: VisualLayout | None = field(default=None, repr=False)
    n_tiles: int = 0
    n_tiles_encoded: int = 0
    encoded: tuple[int, ...] | None = field(default=None, repr=False)
    n_proposed: int = 0
    n_accepted: int = 0


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one question.

    Attributes:
        text: the answer.
        answered_by: ``"small"`` or ``"large"``.
        trace: what happened on the way.
        guide: the guide map, where a small model ran and somebody wanted its map: the method, the exit or ``score_drafts``.
    """

    text: str
    answered_by: str
    trace: Trace
    guide: GuideMap | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        kept = f", {self.trace.n_kept} of {counted(self.trace.n_visual, 'visual token')} kept"
        return f"Answer({self.text!r}, by the {self.answered_by} model{kept if self.answered_by == 'large' else ''})"

    def as_dict(self) -> dict[str, Any]:
        """The answer as one JSON-able object, as ``stitch ask --json`` prints it."""
        trace, verdict = self.trace, self.trace.verdict
        parts = verdict.parts if verdict else {}
        return {
            "answer": self.text,
            "answered_by": self.answered_by,
            "small_answer": trace.small_answer,
            "large_answer": trace.large_answer,
            "draft_complete": trace.draft_complete,
            "scores": {
                "confidence": parts.get("confidence"),
                "consistency": parts.get("consistency"),
                "exit": verdict.score if verdict else None,
            },
            "tokens": {
                "visual": trace.n_visual,
                "kept": trace.n_kept,
                "average_retention": trace.average_retention,
                "kept_per_layer": list(trace.kept_per_layer),
            },
            "tiles": {"all": trace.n_tiles, "encoded": trace.n_tiles_encoded},
            "proposed": {"tokens": trace.n_proposed, "accepted": trace.n_accepted},
            "seconds": trace.seconds,
        }
