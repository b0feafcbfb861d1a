"""One question of a task, and what can be wrong with a line that should have been one."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Sample:
    """One question of a task.

    Attributes:
        kind: a group that the summary tells apart.
        answers: every answer that counts as right; none where nobody said what is right.
        picture: decodes the picture when it is needed.
        boxes: the rectangles, in fractions of the picture, where the answer is to be read; none where nobody marked them.
        metric: how an answer is judged, a name of :data:`stitchvlm.evaluation.metrics.METRICS`.
        line: the line of the user's file that it stands on, from 1; None for a task of this package.
        group: the same for questions that depend on each other because they are about one picture.
    """

    id: str
    kind: str
    question: str
    answers: tuple[str, ...]
    picture: Callable[[], Image.Image]
    boxes: tuple[tuple[float, ...], ...] = ()
    metric: str = "exact"
    line: int | None = None
    group: str = ""

    @property
    def gold(self) -> str:
        """The first of the right answers; empty where there is none."""
        return self.answers[0] if self.answers else ""


@dataclass(frozen=True)
class Problem:
    """Why a line of a user's file gave no question, or a question no answer.

    Attributes:
        line: counted from 1; None where the question came from no file.
        what: the kind of problem, the same words for all of a kind so that they can be counted.
        detail: what exactly, naming the value.
    """

    line: int | None
    what: str
    detail: str

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.what}: {self.detail}"
