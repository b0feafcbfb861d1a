"""One question against the lower bound of the machine: what every stage has to do, and how long it takes."""

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from stitchvlm.evaluation.roofline import Machine, Stage, Work, what_limits
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.evaluation.work import Counts, ModelWork, large_work, small_work
from stitchvlm.exits import SmallEarlyExit
from stitchvlm.records import Answer, Question
from stitchvlm.stitch import Stitch
from stitchvlm.timing import Stopwatch


@dataclass(frozen=True)
class BenchResult:
    """What came of a question that was asked a few times.

    Attributes:
        machines: by model, ``small`` and ``large`` as far as they ran.
        stages: those that ran, in their order. Getting picture and text ready for them, on the CPU, is not among them.
    """

    answer: Answer
    machines: dict[str, Machine]
    stages: tuple[Stage, ...]
    rounds: int

    @property
    def total(self) -> Stage:
        """All stages one after the other."""
        return Stage.total(self.stages)

    @property
    def limit(self) -> str:
        """One sentence on what limits the slowest stage."""
        return what_limits(self.stages)

    def as_dict(self) -> dict[str, Any]:
        """The result as one JSON-able object."""
        return {
            "answer": self.answer.text,
            "rounds": self.rounds,
            "machines": {model: machine.as_dict() for model, machine in self.machines.items()},
            "stages": {stage.name: stage.as_dict() for stage in self.stages},
            "total": self.total.as_dict(),
            "limit": self.limit,
        }


@dataclass(frozen=True)
class Asked:
    """One round.

    Attributes:
        decoded: by model how many tokens every decode gave.
    """

    answer: Answer
    decoded: dict[str, list[int]]


class Bench:
    """Asks one question anew in every round; the draft is scored as an exit would, and never exits.

    Args:
        vlm: its exit is left aside for the paper's score.
    """

    def __init__(self, vlm: Stitch, question: Question):
        load_small, load_large, method = vlm.cascade.small, vlm.cascade.large, vlm.cascade.method
        self._engines = {
            "small": cache(lambda: SharedEngine(load_small().vlm)),
            "large": cache(lambda: SharedEngine(load_large().vlm)),
        }
        self._exit = SmallEarlyExit("never")
        self._cascade = replace(
            vlm.cascade,
            small=self._engines["small"],
            large=self._engines["large"],
            exit=self._exit,
            score_drafts=method.asks_large,
        )
        self._runs = {"small": self._cascade.needs_small, "large": method.asks_large}
        self._question, self._sampling = question, vlm.sampling

    def run(self, rounds: int) -> BenchResult:
        """Ask once to warm up and then ``rounds`` times; seconds are medians.

        Raises:
            ValueError: if ``rounds`` is not positive.
        """
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {rounds}")
        self.ask(Stopwatch())
        watches = [Stopwatch(synchronize=True) for _ in range(rounds)]
        asked = [self.ask(watch) for watch in watches][-1]
        measure = cache(Machine.measure)
        models = {model: engine.vlm for model, engine in self._running().items()}
        machines = {model: measure(vlm.device, vlm.model.dtype) for model, vlm in models.items()}
        stages = []
        for name, work in self.work(asked).items():
            seconds = statistics.median(watch.seconds[name] for watch in watches)
            stages.append(Stage.of(name, work, machines["large" if name.startswith("large") else "small"], seconds))
        return BenchResult(asked.answer, machines, tuple(stages), rounds)

    def ask(self, watch: Stopwatch) -> Asked:
        """Ask once, with nothing remembered."""
        engines = self._running()
        with ExitStack() as stack:
            for engine in engines.values():
                stack.enter_context(engine.alone())
            (answer,) = self._cascade.answer([self._question], self._sampling, watch=watch)
        return Asked(answer, {model: engine.take_decoded() for model, engine in engines.items()})

    def work(self, asked: Asked) -> dict[str, Work]:
        """What every stage had to do, in their order."""
        work: dict[str, Work] = {}
        for model, engine in self._running().items():
            assert engine.last_inputs is not None, "it has been asked"
            counter, decoded = ModelWork(Counts(engine), engine.last_inputs), asked.decoded[model]
            if model == "small":
                work |= small_work(counter, decoded[-1], self._exit.consistency_keep if self._runs["large"] else None)
            else:
                work |= large_work(counter, asked.answer.trace, decoded)
        return work

    def _running(self) -> dict[str, SharedEngine]:
        """The models that the method has on its way."""
        return {model: load() for model, load in self._engines.items() if self._runs[model]}
