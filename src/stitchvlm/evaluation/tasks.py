"""What can be asked: named tasks, each a list of questions with pictures and right answers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stitchvlm.errors import DataError
from stitchvlm.evaluation.archive import load_archive
from stitchvlm.evaluation.folder import content_mark, load_folder
from stitchvlm.evaluation.metrics import check_metric
from stitchvlm.evaluation.sample import Problem, Sample

SCENES = Path(__file__).parent / "scenes" / "scenes-v0.zip"
DOCUMENTS = Path(__file__).parent / "documents" / "documents-v1.zip"
"""The checked-in test splits, of drawn scenes and of drawn documents."""
UNLABELLED = " unlabelled"
"""How the name of a task ends of which nobody said what is right."""
_FOLDER = "folder:"


@dataclass(frozen=True)
class Task:
    """Questions, and what in the user's file gave none.

    Attributes:
        name: tells tasks apart by what they ask and how it is judged, wherever their files lie.
    """

    name: str
    samples: list[Sample]
    problems: tuple[Problem, ...] = ()


TASKS: dict[str, Callable[[], list[Sample]]] = {
    "scenes": partial(load_archive, SCENES),
    "documents": partial(load_archive, DOCUMENTS),
}
"""The tasks that need no file of the user's."""


def open_task(
    name: str, n: int | None = None, metric: str | None = None, strict: bool = False, unlabelled: bool = False
) -> Task:
    """A task by its name: ``scenes`` or ``documents``, one kind of its questions as in ``scenes/read``, or ``folder:FILE``.

    Args:
        n: only the first questions.
        metric: how questions of ``folder:FILE`` are judged that do not say so themselves; None is ``exact``.
        strict: a line of the file that gives no question is an error.
        unlabelled: nobody said what is right, or it is left aside; answers are then not judged.

    Raises:
        ValueError: if there is no such task, kind or metric, or fewer questions.
        DataError: if a file is broken or gives no question, or with ``strict`` if any line gives none.
    """
    if name.startswith(_FOLDER):
        if unlabelled and metric is not None:
            raise ValueError(f"without right answers nothing is judged: leave --metric {metric} or --unlabelled out")
        task = _open_folder(Path(name.removeprefix(_FOLDER)), check_metric(metric or "exact"), strict, unlabelled)
    elif metric is not None:
        raise ValueError(f"{name} has a metric of its own: leave --metric {metric} out")
    elif unlabelled:
        raise ValueError(
            f"{name} has right answers: leave --unlabelled out, or name folder:FILE with your own questions"
        )
    else:
        task = Task(name, _built_in(name))
    if n is not None and not 1 <= n <= len(task.samples):
        raise ValueError(f"n must be between 1 and {len(task.samples)}, the number of questions of {name}, not {n}")
    return Task(task.name, task.samples[:n], task.problems)


def load_task(name: str, n: int | None = None) -> list[Sample]:
    """The first ``n`` questions of a task, or all of them; see :func:`open_task`."""
    return open_task(name, n).samples


def count_problems(problems: tuple[Problem, ...] | list[Problem]) -> str:
    """How many there are of each kind, as in ``2 missing picture, 1 duplicate id``."""
    return ", ".join(f"{count} {what}" for what, count in Counter(problem.what for problem in problems).items())


def _built_in(name: str) -> list[Sample]:
    task, _, kind = name.partition("/")
    if task not in TASKS:
        choices = f"{', '.join(sorted(TASKS))}, or folder:FILE with your own JSON lines"
        raise ValueError(f"there is no task {name!r}: choose one of {choices}")
    samples = TASKS[task]()
    if not kind and name == task:
        return samples
    kinds = sorted({sample.kind for sample in samples})
    if kind not in kinds:
        raise ValueError(f"{task} has no kind {kind!r}: choose one of {', '.join(kinds)}")
    return [sample for sample in samples if sample.kind == kind]


def _open_folder(path: Path, metric: str, strict: bool, unlabelled: bool) -> Task:
    samples, problems = load_folder(path, metric, unlabelled)
    if problems and (strict or not samples):
        counts = count_problems(problems)
        way_out = "mend the file" + (", or leave --strict out" if strict and samples else "")
        raise DataError(f"{path}, {problems[0]} (in all: {counts}): {way_out}")
    if not samples:
        raise DataError(f"{path} holds no question: write one JSON object a line into it")
    judged = UNLABELLED if unlabelled else "" if metric == "exact" else f" by {metric}"
    return Task(f"folder:{path.name} {content_mark(path)}{judged}", samples, tuple(problems))
