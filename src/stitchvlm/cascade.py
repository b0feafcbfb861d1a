"""The whole path: the small model looks first, and the large one is called only when the small one is not sure."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from transformers.generation.streamers import BaseStreamer

from stitchvlm.engine import Engine, Plan
from stitchvlm.exits import ExitPolicy
from stitchvlm.guide import FirstQuery, GuidePass, run_guide
from stitchvlm.layout import VisualLayout
from stitchvlm.maps import MapForm
from stitchvlm.methods import Evidence, Method, TokenReducer
from stitchvlm.records import Answer, Draft, GuideMap, Question, Trace, Verdict
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule
from stitchvlm.timing import Stopwatch


@dataclass(frozen=True, eq=False)
class Cascade:
    """A small and a large model in the roles of the paper.

    Attributes:
        small: gives the guide's engine when it is first needed.
        large: gives the large engine when it is first needed.
        exit: judges the small model's drafts.
        method: says what the large model is spared.
        schedule: for a large model of that many layers, when tokens leave and how many stay.
        guide_tokens: a limit for the draft below that of the answer.
        first_query: which prompt rows the guide map counts.
        max_tiles: most tiles per picture; None takes each checkpoint's own bound.
        score_drafts: let the exit policy judge drafts even where it never exits, for the record.
    """

    small: Callable[[], Engine]
    large: Callable[[], Engine]
    exit: ExitPolicy
    method: Method
    schedule: Callable[[int], Schedule]
    guide_tokens: int | None = None
    first_query: FirstQuery = "text"
    max_tiles: int | None = None
    score_drafts: bool = False

    @property
    def needs_small(self) -> bool:
        """Whether anybody wants the small model's opinion: the exit policy, or the method its guide map."""
        return self.exit.needs_draft or Evidence.GUIDE_MAP in self.method.needs or not self.method.asks_large

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
        verdicts: list[Verdict | None] = [None] * len(questions)
        if small is not None and (self.exit.needs_draft or self.score_drafts):
            verdicts = list(self.judge(small, watch))
        drafts = [None] * len(questions) if small is None else small.drafts
        answers: list[Answer | None] = [
            _exit_answer(draft, verdict, watch, streamer) if draft and self._stands(verdict) else None
            for draft, verdict in zip(drafts, verdicts, strict=True)
        ]
        unsure = [row for row, answer in enumerate(answers) if answer is None]
        if unsure:
            guides = None if small is None else [small.drafts[row].guide for row in unsure]
            replies = self.reply([questions[row] for row in unsure], sampling, guides, streamer, watch)
            for row, reply in zip(unsure, replies, strict=True):
                answers[row] = _with_draft(reply, drafts[row], verdicts[row])
        return [answer for answer in answers if answer is not None]

    def _stands(self, verdict: Verdict | None) -> bool:
        return not self.method.asks_large or (verdict is not None and verdict.exit)

    def look(self, questions: Sequence[Question], sampling: Sampling, watch: Stopwatch) -> GuidePass:
        """The small model's drafts and guide maps."""
        with watch.stage("small_load"):
            small = self.small()
        with watch.stage("small_prepare"):
            inputs = small.prepare(questions, self.max_tiles)
            small.check_context(inputs.layouts, sampling)
        with watch.stage("small_encode"):
            prompt = small.embed(inputs)
        return run_guide(small, prompt, sampling, self.guide_tokens, self.first_query, watch, self._map_form)

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
            ValueError: if the guide's token grid does not fit the large model's, or a prompt is too long for it.
        """
        with watch.stage("large_load"):
            large = self.large()
        with watch.stage("large_prepare"):
            schedule = self.schedule(large.n_layers)
            inputs = large.prepare(questions, self.max_tiles, schedule.picture)
            large.check_context(inputs.layouts, sampling)
            plan = self._plan(
                schedule, inputs.layouts, guides, [_seed(sampling.seed, question) for question in questions]
            )
        with watch.stage("large_encode"):
            prompt = large.embed(inputs, Evidence.VISION in self.method.needs)
        if plan is not None and Evidence.OWN_MAP in self.method.needs:
            with watch.stage("large_own_map"):
                own = run_guide(large, prompt, sampling, self.guide_tokens, self.first_query, form=self._map_form)
            plan = replace(plan, guide=[draft.guide.scores for draft in own.drafts])
        with watch.stage("large_prefill"):
            prefilled = large.prefill(prompt, plan)
        with watch.stage("large_decode"):
            generated = large.decode(prefilled, sampling, streamer=streamer)
        seconds = {**watch.seconds, "total": watch.total()}
        answers = []
        for row, (layout, n_visual) in enumerate(zip(inputs.layouts, inputs.n_unshrunk, strict=True)):
            text, kept = large.text(generated.tokens[row]), tuple(prefilled.kept[row].tolist())
            per_layer = prefilled.kept_per_layer(row)
            trace = Trace(
                seconds=seconds,
                n_visual=n_visual,
                n_kept=len(kept),
                average_retention=sum(per_layer) / (len(per_layer) * n_visual) if n_visual else 1.0,
                kept_per_layer=per_layer,
                large_answer=text,
                kept=kept,
                layout=layout,
            )
            answers.append(Answer(text, "large", trace))
        return answers

    @property
    def _map_form(self) -> MapForm:
        return self.method.map_form if isinstance(self.method, TokenReducer) else MapForm()

    def _plan(
        self,
        schedule: Schedule,
        layouts: Sequence[VisualLayout],
        guides: Sequence[GuideMap] | None,
        seeds: Sequence[int],
    ) -> Plan | None:
        if not isinstance(self.method, TokenReducer):
            return None
        scores = None
        if Evidence.GUIDE_MAP in self.method.needs:
            assert guides is not None, "needs_small says that the method wants them"
            scores = [g.layout.resample(g.scores, onto=layout) for g, layout in zip(guides, layouts, strict=True)]
        return Plan(schedule, self.method, scores, seeds)


def _exit_answer(draft: Draft, verdict: Verdict | None, watch: Stopwatch, streamer: BaseStreamer | None) -> Answer:
    """The draft as the answer: the large model was not called."""
    if streamer is not None:
        _stream_draft(streamer, draft)
    trace = Trace(
        seconds={**watch.seconds, "total": watch.total()},
        n_visual=draft.guide.layout.n_visual,
        n_kept=0,
        average_retention=0.0,
        verdict=replace(verdict, exit=True) if verdict else None,
        small_answer=draft.text,
        draft_complete=draft.complete,
        layout=draft.guide.layout,
    )
    return Answer(draft.text, "small", trace, draft.guide)


def _stream_draft(streamer: BaseStreamer, draft: Draft) -> None:
    """A draft that stands, all at once: as text where the streamer takes text, since its tokenizer is the large model's."""
    if hasattr(streamer, "on_finalized_text"):
        streamer.on_finalized_text(draft.text, stream_end=True)
    else:
        streamer.put(torch.tensor(draft.tokens))
        streamer.end()


def _with_draft(reply: Answer, draft: Draft | None, verdict: Verdict | None) -> Answer:
    """A large answer with the account of the draft that went before it."""
    if draft is None:
        return reply
    trace = replace(reply.trace, verdict=verdict, small_answer=draft.text, draft_complete=draft.complete)
    return replace(reply, trace=trace, guide=draft.guide)


def _seed(seed: int, question: Question) -> int:
    """A seed of the question's own, so that random methods keep other tokens for every question, in whatever batch."""
    mark = zlib.crc32(repr((seed, question.text, question.messages is None)).encode())
    for image in question.images:
        mark = zlib.crc32(image.tobytes(), mark)
    return mark
