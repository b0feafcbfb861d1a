"""Many ways of answering, measured on the same questions in one run.

Questions come one at a time. The small model looks once, the large one's pictures are encoded once, and every row goes on from
there on its own. A row's seconds are put together from the stages that it would run on its own, each measured once; what a
user would wait, everything computed anew and nothing shared, is measured apart, on the first questions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from typing import Any

from stitchvlm.evaluation.account import Accountant, LargeReply, Measured, Timed
from stitchvlm.evaluation.comparable import SAME
from stitchvlm.evaluation.refusals import Refusals
from stitchvlm.evaluation.results import ResultFile
from stitchvlm.evaluation.row import Row
from stitchvlm.evaluation.sample import Problem, Sample
from stitchvlm.evaluation.settings import RunSettings
from stitchvlm.evaluation.shared import FirstToken, SharedEngine
from stitchvlm.families import check_checkpoint, check_one_picture, text_layers
from stitchvlm.guide import GuidePass
from stitchvlm.maps import MapForm
from stitchvlm.records import Answer, Question, Verdict
from stitchvlm.sampling import Sampling
from stitchvlm.stitch import Stitch, check_steps
from stitchvlm.timing import Stopwatch

Record = dict[str, Any]


class Study:
    """Answers questions in several ways and accounts for each.

    Attributes:
        refusals: questions that could not be asked, and why.
    """

    def __init__(
        self,
        rows: Mapping[str, RunSettings],
        device: str | None = None,
        small_device: str | None = None,
        device_map: str | None = None,
        cuda_graphs: bool = True,
        n_live: int = 0,
    ):
        """Check every row; models are loaded when they are first needed.

        Args:
            device, small_device, device_map, cuda_graphs: as :meth:`Stitch.from_pretrained` takes them; they decide how soon
                answers come, not which.
            n_live: on how many questions the latency of every row is measured with nothing shared.

        Raises:
            ValueError: if a setting or a checkpoint cannot be used, or the rows differ in more than the way of answering.
        """
        resolved = {name: settings.resolve() for name, settings in rows.items()}
        first = next(iter(resolved.values()))
        if any(getattr(row, name) != getattr(first, name) for row in resolved.values() for name in SAME):
            raise ValueError(f"the rows of one study share {', '.join(SAME)}: compare others in another study")
        self.sampling = Sampling(first.max_new_tokens, seed=first.seed)
        vlm = Stitch.from_pretrained(
            first.small,
            first.large,
            method=None,
            exit="never",
            device=device,
            small_device=small_device,
            device_map=device_map,
            dtype=first.dtype,
            quantize=first.quantize,
            lazy_large=True,
            max_tiles=first.max_tiles,
            sampling=self.sampling,
            cuda_graphs=cuda_graphs,
        )
        load_small, load_large = vlm.cascade.small, vlm.cascade.large
        self.small = cache(lambda: SharedEngine(load_small().vlm))
        self.large = cache(lambda: SharedEngine(load_large().vlm))
        self._base = replace(vlm.cascade, small=self.small, large=self.large)
        depth = text_layers(check_checkpoint(str(first.large)))
        for row in resolved.values():
            check_way(str(first.large), row)
        self.rows = {name: self._row(name, settings, depth) for name, settings in resolved.items()}
        self.refusals = Refusals()
        self._memory: dict[Any, Timed[Any]] = {}
        self._n_live = n_live
        self._accountant = Accountant(self.small, self.large)

    @property
    def problems(self) -> list[Problem]:
        """Questions that could not be asked, or not in some of the ways."""
        return self.refusals.problems(self.rows)

    def run(
        self, samples: Sequence[Sample], files: Mapping[str, ResultFile], strict: bool = False
    ) -> Iterator[tuple[str, Record]]:
        """Answer what the files do not hold yet; each record is on disk before it is yielded, with the name of its row.

        A question of a user's file that a row cannot be asked is noted in ``refusals`` and left out there, unless ``strict``.

        Raises:
            ValueError: with ``strict``, or for a task of this package, if a question cannot be asked.
            DataError: if a model that is needed cannot be loaded.
        """
        done = {name: file.ids() for name, file in files.items()}
        left = {sample.id: [row for row in self.rows.values() if sample.id not in done[row.name]] for sample in samples}
        self._load([row for rows in left.values() for row in rows])
        live = {sample.id for sample in samples[: self._n_live]}
        cold = set(self.rows)
        for sample in samples:
            pending = left[sample.id]
            try:
                question = self._question(sample, pending, strict) if pending else None
                if question is None:
                    continue
                cold -= self._warm_up(question, [row for row in pending if row.name in cold])
                for row in pending:
                    with self.refusals.noting(sample, [row.name], strict):
                        record = self._record(sample, question, row, sample.id in live)
                        files[row.name].append(record)
                        yield row.name, record
            finally:
                self._forget()

    def record(self, sample: Sample, name: str, live: bool = False) -> Record:
        """One question answered in one way, on no file."""
        try:
            return self._record(sample, Question(sample.question, (sample.picture(),)), self.rows[name], live)
        finally:
            self._forget()

    def answer(self, sample: Sample, name: str) -> Answer:
        """One question answered in one way as a user would get it, nothing shared and nothing else asked."""
        question = Question(sample.question, (sample.picture(),))
        try:
            return self.rows[name].cascade.answer([question], self.sampling)[0]
        finally:
            self._forget()

    def _row(self, name: str, settings: RunSettings, depth: int) -> Row:
        method, schedule, exit = settings.way(), settings.schedule(), settings.policy()
        check_steps(method, schedule(depth), depth)
        way = replace(self._base, method=method, schedule=schedule, exit=exit, reuse_drafts=settings.reuse_drafts)
        return Row(name, settings, way)

    def _load(self, rows: Sequence[Row]) -> None:
        """The models that rows need, before the first question: a broken checkpoint is no fault of a question."""
        if any(row.asks_small for row in rows):
            self.small()
        if any(row.asks_large for row in rows):
            self.large()

    def _question(self, sample: Sample, rows: Sequence[Row], strict: bool) -> Question | None:
        """The question with its picture; None where that is broken, which is then noted for all rows."""
        with self.refusals.noting(sample, [row.name for row in rows], strict):
            return Question(sample.question, (sample.picture(),))
        return None

    def _record(self, sample: Sample, question: Question, row: Row, live: bool) -> Record:
        small = verdict = large = None
        needs_small, both, exit = row.cascade.needs_small, row.settings.both, row.cascade.exit
        if row.asks_small:
            small = self._look(question, row)
            if both or (exit.needs_draft and row.asks_large):
                verdict = self._judge(small.result, row)
        exits = not row.asks_large or (verdict is not None and verdict.result.exit)
        if row.asks_large and (both or not exits):
            large = self._reply(question, row, small)
        measured = Measured(needs_small, exit, small, verdict, large, exits, not row.asks_large)
        record = self._accountant.record(sample, measured)
        return record | {"live": self._live(question, row) if live else None}

    def _look(self, question: Question, row: Row) -> Timed[GuidePass]:
        """The small model's pass, once per question and form of the guide map."""
        key = ("look", row.map_form)
        if key not in self._memory:
            small, watch = self.small(), Stopwatch(synchronize=True)
            small.take_saved()
            cascade = self._base if row.map_form == MapForm() else row.cascade
            result = cascade.look([question], self.sampling, watch)
            self._memory[key] = Timed(result, _stages(watch, "small", small.take_saved()))
        return self._memory[key]

    def _judge(self, small: GuidePass, row: Row) -> Timed[Verdict]:
        """The policy's verdict, once per policy and question."""
        key = ("judge", row.settings.exit, row.map_form)
        if key not in self._memory:
            watch = Stopwatch(synchronize=True)
            (verdict,) = row.cascade.judge(small, watch)
            self._memory[key] = Timed(verdict, watch.seconds)
        return self._memory[key]

    def _reply(self, question: Question, row: Row, small: Timed[GuidePass] | None) -> Timed[LargeReply]:
        """The large model's answer, with the seconds of what it had in memory."""
        large, watch = self.large(), Stopwatch(synchronize=True)
        large.take_saved()
        large.take_decoded()
        draft = small.result if small is not None and row.cascade.needs_small else None
        (answer,) = row.cascade.reply([question], self.sampling, draft, None, watch)
        assert large.last_inputs is not None, "it has just answered"
        reply = LargeReply(answer, large.last_inputs, large.take_decoded())
        return Timed(reply, _stages(watch, "large", large.take_saved()))

    def _live(self, question: Question, row: Row) -> dict[str, float]:
        """Wall seconds from the question to the whole answer and to its first token, with nothing shared."""
        with ExitStack() as stack:
            if row.cascade.needs_small:
                stack.enter_context(self.small().alone())
            if row.asks_large:
                stack.enter_context(self.large().alone())
            watch, first = Stopwatch(synchronize=True), FirstToken()
            (answer,) = row.cascade.answer([question], self.sampling, first, Stopwatch())
            return {"total": watch.total(), "first_token": first.seconds(answer.answered_by)}

    def _warm_up(self, question: Question, rows: Sequence[Row]) -> set[str]:
        """Every row once, for nothing: kernels are prepared for their shapes, and caches filled.

        Returns:
            names of the rows that could be asked; what kept others from it shows when they are.
        """
        warm = set()
        for row in rows:
            with suppress(ValueError):
                small = None
                if row.asks_small:
                    small = self._look(question, row)
                    self._judge(small.result, row)
                if row.asks_large:
                    self._reply(question, row, small)
                warm.add(row.name)
        self._forget()
        return warm

    def _forget(self) -> None:
        self._memory.clear()
        for engine in (self.small, self.large):
            if engine.cache_info().currsize:
                engine().forget()


def check_way(large: str, settings: RunSettings) -> None:
    """Raise an UnsuitableMethodError if questions about one picture each cannot be asked a large model in this way."""
    check_checkpoint(large, settings.way())
    check_one_picture(large, settings.way(), settings.max_tiles)


def _stages(watch: Stopwatch, model: str, saved: dict[str, float]) -> dict[str, float]:
    """Seconds per stage without those of loading the model, and with those that memory saved."""
    seconds = {stage: value for stage, value in watch.seconds.items() if stage != f"{model}_load"}
    for stage, value in saved.items():
        seconds[f"{model}_{stage}"] += value
    return seconds
