"""The whole path: the small model looks first, and the large one is called only when the small one is not sure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from transformers.generation.streamers import BaseStreamer

from stitchvlm.engine import Engine, Plan
from stitchvlm.exits import ExitPolicy
from stitchvlm.guide import FirstQuery, GuidePass, run_guide
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Evidence, TokenReducer
from stitchvlm.records import Answer, GuideMap, Question, Trace, Verdict
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule
from stitchvlm.timing import Stopwatch


@dataclass(frozen=True, eq=False)
class Cascade:
    """A small and a large model in the roles of the paper.

    Attributes:
        small: the guide; None answers with the large model alone.
        large: gives the large engine when it is first needed.
        exit: judges the small model's drafts.
        method: says which visual tokens the large model keeps; None keeps all.
        schedule: for a large model of that many layers, when tokens leave and how many stay.
        guide_tokens: a limit for the draft below that of the answer.
        first_query: which prompt rows the guide map counts.
        max_tiles: most tiles per picture; None takes each checkpoint's own bound.
    """

    small: Engine | None
    large: Callable[[], Engine]
    exit: ExitPolicy
    method: TokenReducer | None
    schedule: Callable[[int], Schedule]
    guide_tokens: int | None = None
    first_query: FirstQuery = "text"
    max_tiles: int | None = None

    @property
    def needs_small(self) -> bool:
        """Whether anybody wants the small model's opinion: the exit policy, or the method its guide map."""
        guided = self.method is not None and Evidence.GUIDE_MAP in self.method.needs
        return self.small is not None and (self.exit.needs_draft or guided)

    def answer(
        self,
        questions: Sequence[Question],
        sampling: Sampling,
        streamer: BaseStreamer | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Answer]:
        """One answer per question: small → exit? → large. Questions whose drafts exit never reach the large model."""
        watch = watch or Stopwatch()
        small = self.look(questions, sampling, watch) if self.needs_small else None
        verdicts = self.judge(small, watch) if small is not None else [None] * len(questions)
        answers: dict[int, Answer] = {}
        unsure = []
        for row, verdict in enumerate(verdicts):
            if small is not None and verdict is not None and verdict.exit:
                answers[row] = _small_answer(small, row, verdict, watch)
            else:
                unsure.append(row)
        if unsure:
            guides = [small.drafts[row].guide for row in unsure] if small is not None else None
            replies = self.reply([questions[row] for row in unsure], sampling, guides, streamer, watch)
            for row, reply in zip(unsure, replies, strict=True):
                answers[row] = _with_draft(reply, small, row, verdicts[row])
        return [answers[row] for row in range(len(questions))]

    def look(self, questions: Sequence[Question], sampling: Sampling, watch: Stopwatch) -> GuidePass:
        """The small model's drafts and guide maps."""
        assert self.small is not None, "ask needs_small first"
        with watch.stage("small_prepare"):
            inputs = self.small.prepare(questions, self.max_tiles)
        with watch.stage("small_encode"):
            prompt = self.small.embed(inputs)
        return run_guide(self.small, prompt, sampling, self.guide_tokens, self.first_query, watch)

    def judge(self, small: GuidePass, watch: Stopwatch) -> list[Verdict]:
        """The exit policy's verdict on every draft."""
        with watch.stage("exit_check"):
            return self.exit.judge(small)

    def reply(
        self,
        questions: Sequence[Question],
        sampling: Sampling,
        guides: Sequence[GuideMap] | None,
        streamer: BaseStreamer | None,
        watch: Stopwatch,
    ) -> list[Answer]:
        """The large model's answers, its visual tokens reduced as the method and the schedule say.

        Raises:
            ValueError: if the guide's token grid does not fit the large model's.
        """
        with watch.stage("large_load"):
            large = self.large()
        with watch.stage("large_prepare"):
            inputs = large.prepare(questions, self.max_tiles)
            plan = self._plan(large, inputs.layouts, guides, sampling.seed)
        with watch.stage("large_encode"):
            prompt = large.embed(inputs)
        with watch.stage("large_prefill"):
            prefilled = large.prefill(prompt, plan)
        with watch.stage("large_decode"):
            generated = large.decode(prefilled, sampling, streamer=streamer)
        answers = []
        for row, layout in enumerate(inputs.layouts):
            text, kept = large.text(generated.tokens[row]), tuple(prefilled.kept[row].tolist())
            per_layer = prefilled.kept_per_layer(row)
            retention = sum(per_layer) / (len(per_layer) * layout.n_visual) if layout.n_visual else 1.0
            trace = Trace(
                seconds={**watch.seconds, "total": watch.total()},
                n_visual=layout.n_visual,
                n_kept=len(kept),
                average_retention=retention,
                kept_per_layer=per_layer,
                large_answer=text,
                kept=kept,
                layout=layout,
            )
            answers.append(Answer(text, "large", trace))
        return answers

    def _plan(
        self, large: Engine, layouts: Sequence[VisualLayout], guides: Sequence[GuideMap] | None, seed: int
    ) -> Plan | None:
        if self.method is None:
            return None
        if Evidence.GUIDE_MAP not in self.method.needs:
            return Plan(self.schedule(large.n_layers), self.method, seed=seed)
        if guides is None:
            raise ValueError(f"the method {self.method.name} needs a small model to guide it: give --small")
        scores = [g.layout.resample(g.scores, onto=layout) for g, layout in zip(guides, layouts, strict=True)]
        return Plan(self.schedule(large.n_layers), self.method, scores, seed)


def _small_answer(small: GuidePass, row: int, verdict: Verdict, watch: Stopwatch) -> Answer:
    """The draft as the answer: the large model was not called."""
    draft = small.drafts[row]
    trace = Trace(
        seconds={**watch.seconds, "total": watch.total()},
        n_visual=draft.guide.layout.n_visual,
        n_kept=0,
        average_retention=0.0,
        verdict=verdict,
        small_answer=draft.text,
        layout=draft.guide.layout,
    )
    return Answer(draft.text, "small", trace, draft.guide)


def _with_draft(reply: Answer, small: GuidePass | None, row: int, verdict: Verdict | None) -> Answer:
    """A large answer with the account of the draft that went before it."""
    if small is None:
        return reply
    trace = replace(reply.trace, verdict=verdict, small_answer=small.drafts[row].text)
    return replace(reply, trace=trace, guide=small.drafts[row].guide)
