"""The whole path: the small model looks first, and the large one is called only when the small one is not sure."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers.generation.streamers import BaseStreamer

from stitchvlm.answers import large_answers, small_answer, with_draft
from stitchvlm.crossing import carry
from stitchvlm.engine import Engine
from stitchvlm.errors import RequestWarning
from stitchvlm.exits import ExitPolicy
from stitchvlm.families.base import CutPictures, Inputs
from stitchvlm.families.suitable import idle_tile_options
from stitchvlm.guide import FirstQuery, GuidePass, run_guide
from stitchvlm.layout import VisualLayout
from stitchvlm.maps import MapForm
from stitchvlm.methods import Evidence, Method, TokenReducer
from stitchvlm.passes import Plan, Seen
from stitchvlm.proposals import proposals, same_words
from stitchvlm.records import Answer, Question, Verdict
from stitchvlm.sampling import Sampling, question_seed
from stitchvlm.schedule import Schedule
from stitchvlm.speculation import Speculator
from stitchvlm.streaming import live_draft, stream_draft
from stitchvlm.streams import SideStream, side_stream
from stitchvlm.timing import Stopwatch


@dataclass(frozen=True, eq=False)
class HeadStart:
    """What the large model sees while the small one looks."""

    inputs: Inputs
    side: SideStream
    _seen: Seen

    def seen(self) -> Seen:
        """What it has seen, for whoever is ready to wait for it."""
        self.side.join(self._seen.tensors())
        return self._seen


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
        reuse_drafts: let the large model verify the draft in its prefill; it answers the same, sooner.
        speculate: how many tokens the small model guesses after each round of the large one; 0 for none.
        cuda_graphs: replay the steps of a draft as CUDA graphs on a GPU, unless the small model goes on guessing.
        overlap: on a GPU, let the large model look at the picture while the small one does, where that cannot be in vain.
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
    reuse_drafts: bool = True
    speculate: int = 0
    cuda_graphs: bool = True
    overlap: bool = field(default_factory=torch.cuda.is_available)

    @property
    def needs_small(self) -> bool:
        """Whether anybody wants the small model's opinion: the exit policy, the method its guide map, or who speculates."""
        wanted = self.exit.needs_draft or Evidence.GUIDE_MAP in self.method.needs or self.speculate > 0
        return wanted or not self.method.asks_large

    def answer(
        self,
        questions: Sequence[Question],
        sampling: Sampling,
        streamer: BaseStreamer | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Answer]:
        """One answer per question: small → exit? → large. Questions whose drafts exit never reach the large model.

        The ``streamer`` hears a draft that exits at once when that is known, which for one question to the small model alone
        is from the first token on.
        """
        watch, cut = watch or Stopwatch(), CutPictures()
        if not self.needs_small:
            return self.reply(questions, sampling, None, streamer, watch)
        ahead = self.start(questions, watch, cut)
        live = streamer if not self.method.asks_large and len(questions) == 1 else None
        small = self.look(questions, sampling, watch, self._reads_maps, live, cut)
        judged = self.judge(small, watch) if self._judges else [None] * len(questions)
        answers: dict[int, Answer] = {}
        for row, (draft, verdict) in enumerate(zip(small.drafts, judged, strict=True)):
            if self._stands(verdict):
                if streamer is not live and streamer is not None:
                    stream_draft(streamer, draft)
                seconds = {**watch.seconds, "total": watch.total()}
                answers[row] = small_answer(draft, small.prompt.layouts[row], verdict, seconds)
        unsure = [row for row in range(len(questions)) if row not in answers]
        if unsure:
            asked = [questions[row] for row in unsure]
            replies = self.reply(asked, sampling, small.rows(unsure), streamer, watch, cut, ahead)
            for row, reply in zip(unsure, replies, strict=True):
                answers[row] = with_draft(reply, small.drafts[row], judged[row])
        return [answers[row] for row in range(len(questions))]

    @property
    def _judges(self) -> bool:
        return self.exit.needs_draft or self.score_drafts

    @property
    def _reads_maps(self) -> bool:
        """Whether anybody reads the small model's guide maps: the method, or who judges drafts by pruning with them."""
        return Evidence.GUIDE_MAP in self.method.needs or self._judges

    def _stands(self, verdict: Verdict | None) -> bool:
        return not self.method.asks_large or (verdict is not None and verdict.exit)

    def start(self, questions: Sequence[Question], watch: Stopwatch, cut: CutPictures) -> HeadStart | None:
        """Set the large model's vision encoder going beside what comes next; None where it is not certain to be needed in full.

        A question may exit, or the small model's map may say which tiles are encoded at all: then the large model waits for it.
        """
        if not self.overlap or self.exit.needs_draft or not self.method.asks_large:
            return None
        with watch.stage("large_load"):
            large = self.large()
        side = side_stream(large.vlm.device)
        if side is None or large.decoder.spread:
            return None
        schedule = self.schedule(large.n_layers)
        if isinstance(self.method, TokenReducer) and large.foresees(Plan(schedule, self.method)):
            return None
        with watch.stage("large_prepare"):
            inputs = large.prepare(questions, self.max_tiles, schedule.picture, cut)
        with watch.stage("large_encode"), side.beside():
            try:
                return HeadStart(inputs, side, large.see(inputs, Evidence.VISION in self.method.needs))
            except torch.OutOfMemoryError:  # one after the other may fit all the same
                return None

    def look(
        self,
        questions: Sequence[Question],
        sampling: Sampling,
        watch: Stopwatch,
        with_maps: bool = True,
        streamer: BaseStreamer | None = None,
        cut: CutPictures | None = None,
    ) -> GuidePass:
        """The small model's drafts, with guide maps unless nobody reads them; the ``streamer`` hears a draft that will stand."""
        with watch.stage("small_load"):
            small = self.small()
        with watch.stage("small_prepare"):
            inputs = small.prepare(questions, self.max_tiles, cut=cut)
            small.check_context(inputs.layouts, sampling)
        with watch.stage("small_encode"):
            prompt = small.embed(inputs)
        heard_by = None if streamer is None else live_draft(streamer, small.vlm.tokenizer)
        form = self._map_form if with_maps else None
        goes_on = self.speculate > 0
        options = (self.guide_tokens, self.first_query, watch, form, heard_by, goes_on, self.cuda_graphs)
        return run_guide(small, prompt, sampling, *options)

    def judge(self, small: GuidePass, watch: Stopwatch) -> list[Verdict]:
        """The exit policy's verdict on every draft."""
        with watch.stage("exit_check"):
            return self.exit.judge(small)

    def reply(
        self,
        questions: Sequence[Question],
        sampling: Sampling,
        small: GuidePass | None,
        streamer: BaseStreamer | None,
        watch: Stopwatch,
        cut: CutPictures | None = None,
        ahead: HeadStart | None = None,
    ) -> list[Answer]:
        """The large model's answers, its visual tokens reduced as the method and the schedule say, drafts verified on the way.

        Args:
            ahead: what it has begun with, where the same questions had a head start.

        Raises:
            ValueError: if a prompt is too long for the large model.
        """
        with watch.stage("large_load"):
            large = self.large()
        with watch.stage("large_prepare"):
            self._warn_of_idle_options(large, questions)
            schedule = self.schedule(large.n_layers)
            inputs = ahead.inputs if ahead else large.prepare(questions, self.max_tiles, schedule.picture, cut)
            large.check_context(inputs.layouts, sampling)
            seeds = [question_seed(sampling.seed, question) for question in questions]
            plan = self._plan(large, schedule, inputs.layouts, small, seeds)
            proposed, proposer = self._proposals(large, small, sampling)
        with watch.stage("large_encode"):
            prompt = large.embed(inputs, Evidence.VISION in self.method.needs, plan, ahead.seen() if ahead else None)
        if plan is not None and Evidence.OWN_MAP in self.method.needs:
            with watch.stage("large_own_map"):
                form = self._map_form
                own = run_guide(large, prompt, sampling, self.guide_tokens, self.first_query, form=form, graphs=False)
            plan = replace(plan, guide=[draft.guide.scores for draft in own.drafts])
        with watch.stage("large_prefill"):
            prefilled = large.prefill(prompt, plan, proposed=proposed)
        with watch.stage("large_decode"):
            generated = large.decode(prefilled, sampling, streamer=streamer, proposer=proposer)
        seconds = {**watch.seconds, "total": watch.total()}
        return large_answers(large, inputs, prefilled, generated, seconds)

    def _warn_of_idle_options(self, large: Engine, questions: Sequence[Question]) -> None:
        """Among several pictures these options choose all the same: only the questions show that they do nothing."""
        idle = idle_tile_options(large.vlm.family, self.method, self.max_tiles)
        if idle and any(len(question.images) == 1 for question in questions):
            warnings.warn(idle, RequestWarning, stacklevel=2)

    @property
    def _map_form(self) -> MapForm:
        return self.method.map_form if isinstance(self.method, TokenReducer) else MapForm()

    def _plan(
        self,
        large: Engine,
        schedule: Schedule,
        layouts: Sequence[VisualLayout],
        small: GuidePass | None,
        seeds: Sequence[int],
    ) -> Plan | None:
        if not isinstance(self.method, TokenReducer):
            return None
        scores = None
        if Evidence.GUIDE_MAP in self.method.needs:
            assert small is not None, "needs_small says that the method wants its maps"
            guides = [draft.guide for draft in small.drafts]
            scores = [carry(g.scores, g.layout, layout) for g, layout in zip(guides, layouts, strict=True)]
        n_keep = None
        if schedule.mass is not None:
            assert scores is not None, "only methods with a guide map go by its mass"
            n_keep = tuple(schedule.mass.count(row) for row in scores)
        return large.foresee(Plan(schedule, self.method, scores, seeds, n_keep), layouts)

    def _proposals(
        self, large: Engine, small: GuidePass | None, sampling: Sampling
    ) -> tuple[list[list[int]] | None, Speculator | None]:
        """What the small model has said already, and who goes on guessing behind that.

        Raises:
            ValueError: if the small model is to guess in other tokens than the large one's.
        """
        if small is None:
            return None, None
        proposed, proposer, vlm = None, None, small.engine.vlm
        if self.reuse_drafts:
            proposed = proposals(small.drafts, vlm, large.vlm, sampling.max_new_tokens)
        if self.speculate:
            if not same_words(vlm.tokenizer, large.vlm.tokenizer):
                raise ValueError(
                    f"{vlm.source} cannot guess token by token for {large.vlm.source}, which has another "
                    "vocabulary: leave --speculate out (its whole draft is verified all the same)"
                )
            assert small.behind is not None, "look() keeps the caches for this"
            proposer = Speculator(small.behind, self.speculate)
        return proposed, proposer
