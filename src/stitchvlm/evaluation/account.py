"""The account of one answered question: what was said, how right it was, what it cost and what it would have cost."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from stitchvlm.evaluation.flops import FlopCount
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.exits.base import ExitPolicy
from stitchvlm.families.base import Inputs
from stitchvlm.guide import GuidePass
from stitchvlm.records import Answer, Verdict
from stitchvlm.schedule import Schedule

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """A result and the wall seconds of the stages that it takes, those served from memory included."""

    result: Result
    seconds: dict[str, float]


@dataclass(frozen=True)
class LargeReply:
    """What the large model said, and what there is to count.

    Attributes:
        inputs: what its vision encoder saw.
        decoded: tokens of every decode, the answer's last; more than one where the method asks for a map of its own.
    """

    answer: Answer
    inputs: Inputs
    decoded: list[int]


@dataclass(frozen=True)
class Measured:
    """All that one row did with one question.

    Attributes:
        small_counts: whether the small model is on the row's path, or was only asked for the record.
        exit: the row's policy.
        exits: whether the small model's answer stands.
    """

    small_counts: bool
    exit: ExitPolicy
    small: Timed[GuidePass] | None
    verdict: Timed[Verdict] | None
    large: Timed[LargeReply] | None
    exits: bool
    small_alone: bool

    def parts(self) -> tuple[set[str], set[str]]:
        """Which of ``small``, ``exit_check`` and ``large`` are on the row's path, and which were measured beside it."""
        measured = {name for name in ("small", "large") if getattr(self, name) is not None}
        path = ({"small"} if self.small_counts else set()) | (set() if self.exits else {"large"})
        if self.verdict is not None:
            measured.add("exit_check")
            if self.exit.needs_draft and not self.small_alone:
                path.add("exit_check")
        return path, measured - path


class Accountant:
    """Makes records of what was measured; engines are given as functions, so that none is loaded for counting alone."""

    def __init__(self, small: Callable[[], SharedEngine], large: Callable[[], SharedEngine]):
        self._engines = {"small": small, "large": large}

    def record(self, sample: Sample, measured: Measured) -> dict[str, Any]:
        """One line of a file of results."""
        draft = None if measured.small is None else measured.small.result.drafts[0]
        verdict = None if measured.verdict is None else measured.verdict.result
        large = None if measured.large is None else measured.large.result
        small_answer = None if draft is None else draft.text
        large_answer = None if large is None else large.answer.text
        answer = small_answer if measured.exits else large_answer
        path, beside = measured.parts()
        seconds, spared = self._seconds(measured, path), self._seconds(measured, beside)
        flops = self._flops(measured)
        parts = {} if verdict is None else verdict.parts
        score = judge(sample, answer)
        return {
            "id": sample.id,
            "kind": sample.kind,
            "group": sample.group or sample.id,
            "question": sample.question,
            "gold": sample.gold,
            "answers": list(sample.answers),
            "metric": sample.metric,
            "answer": answer,
            "answered_by": "small" if measured.exits else "large",
            "small_answer": small_answer,
            "large_answer": large_answer,
            "draft_complete": None if draft is None else draft.complete,
            "correct": None if score is None else score == 1,
            "score": score,
            "small_score": judge(sample, small_answer),
            "large_score": judge(sample, large_answer),
            "scores": {
                "confidence": None,
                "consistency": None,
                **parts,
                "exit": None if verdict is None else verdict.score,
            },
            "tokens": self._tokens(measured),
            "large_retention": None if large is None else large.answer.trace.average_retention,
            **_reuse(large),
            "flops": {**flops, "total": sum(flops[part] for part in path)},
            "seconds": {**seconds, "total": sum(seconds.values())},
            "spared_seconds": spared,
            "first_token": sum(value for stage, value in seconds.items() if stage != _heard_during(measured)),
        }

    def _tokens(self, measured: Measured) -> dict[str, Any]:
        """Of the model that answered: its visual tokens, those left at the end, and the share computed; an exit computes none."""
        if measured.exits:
            assert measured.small is not None, "who exits has drafted"
            draft = measured.small.result.drafts[0]
            return {"visual": draft.guide.layout.n_visual, "kept": 0, "average_retention": 0.0}
        assert measured.large is not None, "who does not exit was answered by the large model"
        trace = measured.large.result.answer.trace
        return {"visual": trace.n_visual, "kept": trace.n_kept, "average_retention": trace.average_retention}

    def _seconds(self, measured: Measured, parts: set[str]) -> dict[str, float]:
        timed = {"small": measured.small, "exit_check": measured.verdict, "large": measured.large}
        found = [timed[part] for part in ("small", "exit_check", "large") if part in parts]
        return {stage: value for one in found if one is not None for stage, value in one.seconds.items()}

    def _flops(self, measured: Measured) -> dict[str, float]:
        flops = {}
        if measured.small is not None:
            flops["small"] = self._small_flops(measured.small.result)
            if measured.verdict is not None:
                flops["exit_check"] = self._exit_flops(measured.exit, measured.small.result)
        if measured.large is not None:
            flops["large"] = self._large_flops(measured.large.result)
        return flops

    @cached_property
    def _small_count(self) -> FlopCount:
        return FlopCount(self._engines["small"]())

    @cached_property
    def _large_count(self) -> FlopCount:
        return FlopCount(self._engines["large"]())

    def _small_flops(self, small: GuidePass) -> float:
        count, layout = self._small_count, small.drafts[0].guide.layout
        n_text, visual = layout.n_tokens - layout.n_visual, [layout.n_visual] * small.engine.n_layers
        language = count.prefill(n_text, visual) + count.decode(n_text, visual, len(small.drafts[0].tokens))
        inputs = self._engines["small"]().last_inputs
        return language + (0.0 if inputs is None else count.vision(inputs))

    def _exit_flops(self, exit: ExitPolicy, small: GuidePass) -> float:
        """The consistency pass, where the score needs one: prompt and draft once more, pruned before the first layer."""
        if not isinstance(exit, SmallEarlyExit) or exit.score == "confidence":
            return 0.0
        layout, n_answer = small.drafts[0].guide.layout, len(small.drafts[0].tokens)
        ((_, n_keep),) = Schedule.single(exit.consistency_keep, 0).resolve(small.engine.n_layers, layout.n_visual)
        n_text = layout.n_tokens - layout.n_visual + n_answer
        return self._small_count.prefill(n_text, [n_keep] * small.engine.n_layers, n_logits=n_answer)

    def _large_flops(self, large: LargeReply) -> float:
        count, trace = self._large_count, large.answer.trace
        assert trace.layout is not None, "a large answer tells where its tokens sat"
        n_text, kept = trace.layout.n_tokens - trace.layout.n_visual, trace.kept_per_layer
        seen = trace.n_tiles_encoded / trace.n_tiles if trace.n_tiles else 1.0
        n_proposed, n_accepted = trace.n_proposed, trace.n_accepted
        total = count.vision(large.inputs) * seen
        total += count.prefill(n_text + n_proposed, kept, n_logits=1 + n_proposed)
        total += count.decode(n_text + n_accepted, kept, large.decoded[-1] - n_accepted)
        full = [trace.layout.n_visual] * len(kept)
        for n_answer in large.decoded[:-1]:
            total += count.prefill(n_text, full) + count.decode(n_text, full, n_answer)
        return total


def _reuse(large: LargeReply | None) -> dict[str, dict[str, int] | None]:
    """What the large model was spared of its vision encoder and, by the draft, of its decoding; None where it was not asked."""
    if large is None:
        return {"tiles": None, "proposed": None}
    trace = large.answer.trace
    return {
        "tiles": {"all": trace.n_tiles, "encoded": trace.n_tiles_encoded},
        "proposed": {"tokens": trace.n_proposed, "accepted": trace.n_accepted},
    }


def _heard_during(measured: Measured) -> str:
    """The stage in which an answer is heard token by token; a draft that may not stand is heard when it does, all at once."""
    return "small_decode" if measured.small_alone else "large_decode"


def judge(sample: Sample, answer: str | None) -> float | None:
    """How right an answer is, from 0 to 1; None where none was given, or nobody said what is right."""
    return None if answer is None or not sample.answers else METRICS[sample.metric](answer, sample.answers)
