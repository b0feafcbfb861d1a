"""The ways of answering that `end_to_end.py` compares, and one measurement of one of them."""

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from imposed import Findings, impose
from random_pair import counted_on

from stitchvlm.cascade import Cascade
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.exits import parse_exit
from stitchvlm.guide import GuidePass
from stitchvlm.methods import Evidence, Guided, LargeAlone, Method, make_method
from stitchvlm.records import Answer, Question
from stitchvlm.sampling import Sampling
from stitchvlm.timing import Stopwatch

LARGE_ALONE, FASTV, BOTH, SPECULATIVE = "large alone", "FastV", "SGP + draft + tiles", "speculative decoding"
HELD = f"{BOTH}, held to 90 %"
ANEW = ", nothing shared"
EXIT_SHARES = (0.4, 0.6)
N_GUESSED = 4


@dataclass(frozen=True)
class Case:
    """What is asked: so many questions at a time about pictures of so many tiles, answered in so many tokens."""

    tiles: int
    batch: int
    answer: int

    @property
    def name(self) -> str:
        return f"{self.tiles} tiles, batch {self.batch}, {self.answer} answer tokens"


BARRED = Case(7, 1, 8)
"""The case that the issue sets its bars for."""


@dataclass(frozen=True)
class Shares:
    """What guidance is taken to find.

    Attributes:
        tiles: share of the tiles that kept tokens lie in.
        accepted: share of the draft that is accepted.
        tiles_held: share of the tiles that kept tokens lie in when they are held to those that have 90 % of their scores.
    """

    tiles: float
    accepted: float
    tiles_held: float

    @classmethod
    def recorded(cls, path: Path, keep: float, what: str = "median") -> "Shares":
        """Medians, or means, over the embedded pair's questions."""
        rows, name = json.loads(path.read_text())["rows"], f"{keep:.0%} from layer 0"
        found, held = rows[name], rows[f"{name}, tiles with 90% of the scores"]
        of_tiles, of_draft = "share_of_tiles_touched", "share_of_draft_accepted"
        return cls(found[of_tiles][what], found[of_draft][what], held[of_tiles][what])

    def findings(self, case: Case) -> Findings:
        """As whole tiles, rounded up, and whole tokens of what can be proposed: all of the answer but its last."""
        guessed = None if self.accepted == 1 else int(self.accepted * N_GUESSED)
        return Findings(math.ceil(self.tiles * case.tiles), int(self.accepted * (case.answer - 1)), guessed)

    def held(self, case: Case) -> Findings:
        """As :meth:`findings`, with fewer tiles."""
        return replace(self.findings(case), tiles=math.ceil(self.tiles_held * case.tiles))


@dataclass(frozen=True)
class Row:
    """One way of answering.

    Attributes:
        findings: what is imposed on its small model's pass.
        n_left: how many of the questions reach the large model; None for all.
        anew: whether it shares nothing with other rows, as a user would wait.
    """

    name: str
    cascade: Cascade
    findings: Findings
    n_left: int | None = None
    anew: bool = False


def early_layer(keep: float, n_layers: int) -> int:
    """From which layer FastV and ToMe can come down to ``keep`` on average: 2, which is their own, or 1 on a shallow model."""
    return max(1, min(2, math.ceil(keep * n_layers) - 1))


def make_rows(case: Case, small: SharedEngine, large: SharedEngine, keep: float, shares: Shares) -> list[Row]:
    """The rows of a case, those that others are compared with first."""
    findings = shares.findings(case)
    layer = early_layer(keep, large.n_layers)
    never, sure = parse_exit("never"), parse_exit("confidence:0.9")

    def way(method: Method, at: int | None = None, exit=never, reuse: bool = False, **options: Any) -> Cascade:
        schedule = method.scheduler(keep, at)
        return Cascade(lambda: small, lambda: large, exit, method, schedule, reuse_drafts=reuse, **options)

    guided = partial(way, Guided(), exit=sure)
    both = guided(0, reuse=True)
    rows = [
        Row(LARGE_ALONE, way(LargeAlone()), findings),
        Row(FASTV, way(make_method("fastv", layer=layer)), findings),
        Row("ToMe", way(make_method("tome", layer=layer)), findings),
        Row("SGP", guided(), findings),
        Row("SGP + draft", guided(reuse=True), findings),
        Row("SGP + tiles", guided(0), findings),
        Row(BOTH, both, findings),
        Row(HELD, both, shares.held(case)),
        Row(SPECULATIVE, way(LargeAlone(), guide_tokens=1, speculate=N_GUESSED), findings),
    ]
    if case.batch > 1:
        left = {share: case.batch - int(share * case.batch + 0.5) for share in EXIT_SHARES}
        rows += [Row(exit_name(share), both, findings, n_left) for share, n_left in left.items()]
    if case.answer > N_GUESSED * 4:
        rows.append(Row(f"{BOTH} + speculation", guided(0, reuse=True, speculate=N_GUESSED), findings))
    return rows


def sweep_rows(case: Case, row: Row) -> list[Row]:
    """The row with every number of tiles touched, and with none, half and all of the draft accepted."""
    of = row.findings
    tiles = [replace(of, tiles=n) for n in range(1, case.tiles + 1)]
    accepted = [replace(of, accepted=n) for n in sorted({0, (case.answer - 1) // 2, case.answer - 1})]
    found = dict.fromkeys([*tiles, *accepted])
    return [replace(row, name=swept_name(one), findings=one) for one in found]


def swept_name(findings: Findings) -> str:
    return f"{BOTH}: {findings.tiles} tiles, {findings.accepted} accepted"


def exit_name(share: float, way: str = BOTH) -> str:
    return f"{way} + {share:.0%} exits"


class Meter:
    """Measures the rows of one case. Until told to forget, rows share what they compute alike, each paying for it.

    Args:
        small, large: models that count.

    Attributes:
        answers: those of the row that was measured last.
    """

    answers: Sequence[Answer] = ()

    def __init__(self, case: Case, small: SharedEngine, large: SharedEngine):
        self._case, self._small, self._large = case, small, large
        self._questions = [Question(f"{case.tiles} {seed}") for seed in range(case.batch)]
        prompts = large.prepare(self._questions).token_ids
        self._answers = [counted_on(ids, case.answer + N_GUESSED + 1) for ids in prompts]
        self._looks: dict[Any, tuple[GuidePass, dict[str, float]]] = {}

    def forget(self) -> None:
        """A new round begins."""
        self._looks.clear()
        self._small.forget()
        self._large.forget()

    def measure(self, row: Row) -> dict[str, Any]:
        """Seconds of every stage and in all, and what came of it."""
        if not row.anew:
            return self._measure(row)
        with ExitStack() as stack:
            stack.enter_context(self._small.alone())
            stack.enter_context(self._large.alone())
            return self._measure(row)

    def _measure(self, row: Row) -> dict[str, Any]:
        cascade, guide, seconds = row.cascade, None, {}
        asked = list(range(self._case.batch))[-(row.n_left or self._case.batch) :]
        if cascade.needs_small:
            guide, looked = self.look(row)
            watch = Stopwatch(synchronize=True)
            if cascade.exit.needs_draft:
                cascade.judge(guide, watch)
            with watch.stage("exit_check"):
                guide = guide.rows(asked)
            seconds = looked | watch.seconds
            guide = impose(guide, [self._answers[n] for n in asked], row.findings)
        watch = Stopwatch(synchronize=True)
        self._large.take_saved()
        questions, sampling = [self._questions[n] for n in asked], Sampling(self._case.answer)
        self.answers = cascade.reply(questions, sampling, guide, None, watch)
        seconds |= _stages(watch, "large", self._large.take_saved())
        return {"seconds": seconds, "total": sum(seconds.values()), **_account(self.answers)}

    def look(self, row: Row) -> tuple[GuidePass, dict[str, float]]:
        """The small model's pass; a row that goes on from its caches, or has some rows of them only, has its own."""
        cascade = row.cascade
        with_maps = Evidence.GUIDE_MAP in cascade.method.needs or cascade.exit.needs_draft
        key = (cascade.guide_tokens, with_maps)
        own = row.anew or row.n_left is not None or cascade.speculate > 0
        if own or key not in self._looks:
            watch = Stopwatch(synchronize=True)
            self._small.take_saved()
            guide = cascade.look(self._questions, Sampling(self._case.answer), watch, with_maps)
            found = guide, _stages(watch, "small", self._small.take_saved())
            if own:
                return found
            self._looks[key] = found
        return self._looks[key]


def _stages(watch: Stopwatch, model: str, saved: dict[str, float]) -> dict[str, float]:
    """Seconds per stage without those of fetching the model, and with those that memory saved."""
    seconds = {stage: value for stage, value in watch.seconds.items() if stage != f"{model}_load"}
    for stage, value in saved.items():
        seconds[f"{model}_{stage}"] += value
    return seconds


def _account(answers: Sequence[Answer]) -> dict[str, Any]:
    """What the large model did for its questions."""
    traces = [answer.trace for answer in answers]
    return {
        "average_retention": sum(trace.average_retention for trace in traces) / len(traces),
        "tiles_encoded": [trace.n_tiles_encoded for trace in traces],
        "n_proposed": [trace.n_proposed for trace in traces],
        "n_accepted": [trace.n_accepted for trace in traces],
    }
