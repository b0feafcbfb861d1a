"""The account of one answered question: what was said, how right it was, what it cost and what it would have cost."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from stitchvlm.evaluation.coverage import covered_by
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.evaluation.work import Counts, ModelWork, large_work, small_work
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.exits.base import ExitPolicy
from stitchvlm.families.base import Inputs
from stitchvlm.guide import GuidePass
from stitchvlm.records import Answer, Verdict

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
            "covered": None if large is None else covered_by(large.answer.trace, sample.boxes),
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
            stages = self._of_small(measured.exit, measured.small.result)
            checked = stages.pop("exit_check", 0.0)
            flops["small"] = sum(stages.values())
            if measured.verdict is not None:
                flops["exit_check"] = checked
        if measured.large is not None:
            large = measured.large.result
            work = ModelWork(self._large_counts, large.inputs)
            flops["large"] = sum(stage.flops for stage in large_work(work, large.answer.trace, large.decoded).values())
        return flops

    @cached_property
    def _small_counts(self) -> Counts:
        return Counts(self._engines["small"]())

    @cached_property
    def _large_counts(self) -> Counts:
        return Counts(self._engines["large"]())

    def _of_small(self, exit: ExitPolicy, small: GuidePass) -> dict[str, float]:
        """Operations of its stages, those of the exit's consistency pass among them where its score needs one."""
        inputs = self._engines["small"]().last_inputs
        assert inputs is not None, "it has just been asked"
        keep = exit.consistency_keep if isinstance(exit, SmallEarlyExit) and exit.score != "confidence" else None
        work = small_work(ModelWork(self._small_counts, inputs), len(small.drafts[0].tokens), keep)
        return {stage: of_stage.flops for stage, of_stage in work.items()}


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
