"""Questions that cannot be asked in some ways of answering, or in none, and what there is to say of them."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stitchvlm.errors import DataError
from stitchvlm.evaluation.sample import Problem, Sample


@dataclass
class Refusals:
    """Why rows of a study could not be asked some questions, in the order in which that was found."""

    _reasons: dict[str, tuple[int | None, dict[str, str]]] = field(default_factory=dict)

    def note(self, sample: Sample, rows: Iterable[str], reason: str) -> None:
        """Note why some rows, by name, cannot be asked a question."""
        _, reasons = self._reasons.setdefault(sample.id, (sample.line, {}))
        reasons.update(dict.fromkeys(rows, reason))

    @contextmanager
    def noting(self, sample: Sample, rows: Iterable[str], strict: bool) -> Iterator[None]:
        """Note why rows, by name, cannot be asked a question of a user's file; anywhere else, or if ``strict``, that ends the run.

        Raises:
            ValueError: in the words of what happened, with the line that the question stands on.
        """
        try:
            yield
        except ValueError as error:
            if sample.line is None:
                raise
            if strict:
                kind = DataError if isinstance(error, DataError) else ValueError
                raise kind(f"line {sample.line}: {error}") from error
            self.note(sample, rows, str(error))

    def problems(self, rows: Collection[str]) -> list[Problem]:
        """What kept these rows from being asked: a reason once per question, with the rows' names unless it is that of all."""
        told = []
        for line, reasons in self._reasons.values():
            mine = {row: reason for row, reason in reasons.items() if row in rows}
            for reason in dict.fromkeys(mine.values()):
                names = [row for row in mine if mine[row] == reason]
                whose = "" if len(names) == len(rows) else f"{', '.join(names)}: "
                told.append(Problem(line, "question that cannot be asked", whose + reason))
        return told

    def reason(self, row: str) -> str:
        """The first thing that kept a row from being asked; empty where nothing did."""
        return next((reasons[row] for _, reasons in self._reasons.values() if row in reasons), "")
