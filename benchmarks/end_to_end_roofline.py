"""The least seconds that the machine allows for what is left to do in a row of `end_to_end.py`."""

from collections.abc import Iterator
from typing import Any

from end_to_end_rows import BOTH, FASTV, HELD, LARGE_ALONE, Case, Meter, Shares, make_rows

from stitchvlm.evaluation.roofline import Machine
from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.evaluation.work import Counts, ModelWork, large_work, small_work
from stitchvlm.records import Question


def rooflines(
    case: Case, small: SharedEngine, large: SharedEngine, keep: float, shares: Shares
) -> Iterator[dict[str, Any]]:
    """One record per row that a bar speaks of, for one question at a time: seconds per stage, and in all."""
    machine = Machine.measure(large.vlm.device, large.vlm.model.dtype)
    question = Question(f"{case.tiles} 0")
    of_small, of_large = (ModelWork(Counts(engine), engine.prepare([question])) for engine in (small, large))
    meter = Meter(case, small, large)
    for row in make_rows(case, small, large, keep, shares):
        if row.name not in (LARGE_ALONE, FASTV, BOTH, HELD):
            continue
        meter.measure(row)
        (answer,) = meter.answers
        work = small_work(of_small, case.answer, None) if row.cascade.needs_small else {}
        work |= large_work(of_large, answer.trace, [case.answer])
        seconds = {stage: machine.seconds(todo) for stage, todo in work.items()}
        yield {
            "id": f"roofline | {row.name}",
            "case": "roofline",
            "row": row.name,
            "machine": machine.as_dict(),
            "seconds": seconds,
            "total": sum(seconds.values()),
        }
