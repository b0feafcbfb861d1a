"""Asks the questions of a task one by one and writes down what happened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stitchvlm.evaluation.metrics import is_correct
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.tasks import Sample
from stitchvlm.guide import GuidePass
from stitchvlm.records import Answer, Question, Trace
from stitchvlm.stitch import Stitch
from stitchvlm.timing import Stopwatch

Record = dict[str, Any]


@dataclass(frozen=True)
class Runner:
    """One way of answering.

    Attributes:
        small_alone: the small model answers everything and the large one is never touched.
        both: also ask the model that did not have to answer, outside the timed path, so that one run tells what either
            would have said.
    """

    vlm: Stitch
    small_alone: bool = False
    both: bool = True

    def run(self, samples: Sequence[Sample], results: ResultFile) -> Iterator[Record]:
        """Answer what ``results`` does not hold yet; each record is on disk before it is yielded."""
        done = results.ids()
        for sample in samples:
            if sample.id not in done:
                record = self.record(sample)
                results.append(record)
                yield record

    def record(self, sample: Sample) -> Record:
        """Answer one question; ``seconds`` counts the live path only, the picture already decoded."""
        question = Question(sample.question, (sample.picture(),))
        answer = self._small_answer(question) if self.small_alone else self.vlm.answer([question])[0]
        told = answer.as_dict()
        record = {
            "id": sample.id,
            "kind": sample.kind,
            "question": sample.question,
            "gold": sample.gold,
            "answer": answer.text,
            "answered_by": answer.answered_by,
            "small_answer": told["small_answer"],
            "large_answer": told["large_answer"],
            "correct": is_correct(answer.text, sample.gold),
            "scores": told["scores"],
            "tokens": {key: told["tokens"][key] for key in ("visual", "kept", "average_retention")},
            "seconds": told["seconds"],
        }
        return record | (self._other_answer(question, answer) if self.both else {})

    def _small_answer(self, question: Question) -> Answer:
        """The small model's draft as the answer; the exit check comes after it, uncounted, for its scores alone."""
        watch = Stopwatch()
        guide = self.vlm.cascade.look([question], self.vlm.sampling, watch)
        draft = guide.drafts[0]
        seconds = {**watch.seconds, "total": watch.total()}
        verdict = self.vlm.cascade.judge(guide, Stopwatch())[0]
        trace = Trace(seconds, draft.guide.layout.n_visual, 0, 0.0, verdict=verdict, small_answer=draft.text)
        return Answer(draft.text, "small", trace, draft.guide)

    def _other_answer(self, question: Question, answer: Answer) -> Record:
        """What the model that the live path spared would have said."""
        cascade, sampling = self.vlm.cascade, self.vlm.sampling
        if answer.trace.small_answer is None:
            guide = cascade.look([question], sampling, Stopwatch())
            return {"small_answer": guide.drafts[0].text, "scores": self._scores(guide)}
        if answer.answered_by == "small" and not self.small_alone:
            guides = [answer.guide] if answer.guide is not None else None
            return {"large_answer": cascade.reply([question], sampling, guides, None, Stopwatch())[0].text}
        return {}

    def _scores(self, guide: GuidePass) -> dict[str, float | None]:
        verdict = self.vlm.cascade.judge(guide, Stopwatch())[0]
        return {**verdict.parts, "exit": verdict.score}
