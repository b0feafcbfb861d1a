"""A file of results as columns, for what is fitted to exits: scores, how right both answers are, and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchvlm.evaluation.metrics import normalise
from stitchvlm.evaluation.results import NOTES, read_records, read_settings
from stitchvlm.exits.scores import CUT, combine
from stitchvlm.plural import counted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """Questions that both models answered.

    Attributes:
        records: the lines of the file.
        settings: those of the run.
        name: the file, for errors.
    """

    records: Sequence[dict[str, Any]]
    settings: dict[str, Any]
    name: str

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        """Read what ``stitch eval`` wrote.

        Raises:
            ValueError: if the file or its settings are missing, or a question lacks one of the answers or the score.
            DataError: if a line is no record.
        """
        if not path.is_file():
            raise ValueError(f"there is no file {path}: record it with stitch eval")
        records = read_records(path)
        if not records:
            raise ValueError(f"{path} holds no questions: record some with stitch eval")
        settings = {name: value for name, value in read_settings(path).items() if name not in NOTES}
        if not settings:
            raise ValueError(
                f"{path} has no settings beside it, which say what an exit was fitted for: record it with stitch eval"
            )
        recorded = cls(records, settings, str(path))
        for field in ("small_answer", "large_answer", "scores", "group"):
            recorded._require(field)
        return recorded

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ids(self) -> list[str]:
        """The id of every question."""
        return [str(record["id"]) for record in self.records]

    @property
    def groups(self) -> list[str]:
        """Per question what it has in common with those about the same picture."""
        return [str(record["group"]) for record in self.records]

    def score(self, name: str) -> Floats:
        """The exit score of that name; :data:`~stitchvlm.exits.scores.CUT` for drafts that were cut short.

        Raises:
            ValueError: if there is no such score, or it was not recorded.
        """
        found = []
        for record in self.records:
            try:
                score = combine(name, record["scores"])
            except ValueError as error:
                raise ValueError(f"{error} (question {record['id']} of {self.name})") from None
            found.append(score if record.get("draft_complete", True) else CUT)
        return np.array(found, dtype=float)

    def rightness(self, who: str) -> Floats:
        """How right each answer of ``small`` or ``large`` is, from 0 to 1.

        Raises:
            ValueError: if nobody said what is right.
        """
        self._require(f"{who}_score")
        return np.array([record[f"{who}_score"] for record in self.records], dtype=float)

    def agreement(self, who: str, with_answers: Sequence[str]) -> Floats:
        """1 where the answer of ``small`` or ``large`` is the given one after :func:`~stitchvlm.evaluation.metrics.normalise`."""
        pairs = zip(self.records, with_answers, strict=True)
        return np.array(
            [normalise(record[f"{who}_answer"]) == normalise(answer) for record, answer in pairs], dtype=float
        )

    def large_answers(self) -> list[str]:
        """What the large model said."""
        return [record["large_answer"] for record in self.records]

    def seconds(self, score: str) -> tuple[Floats, Floats]:
        """Wall seconds that a question takes in any case, and those of the large model; loading is left out.

        Args:
            score: the exit score in use; confidence alone needs no exit check.

        Raises:
            ValueError: if the large model's seconds are missing.
        """
        small, large = [], []
        for record in self.records:
            stages = record["seconds"] | record.get("spared_seconds", {})
            counted = {name: value for name, value in stages.items() if name != "total" and not name.endswith("_load")}
            if score == "confidence":
                counted.pop("exit_check", None)
            large.append(sum(value for name, value in counted.items() if name.startswith("large_")))
            small.append(sum(value for name, value in counted.items() if not name.startswith("large_")))
            if not large[-1]:
                raise ValueError(
                    f"question {record['id']} of {self.name} has no seconds of the large model: record it without --no-both"
                )
        return np.array(small), np.array(large)

    def aligned(self, ids: Sequence[str]) -> "Recorded":
        """The same questions as ``ids``, in their order.

        Raises:
            ValueError: if one is missing.
        """
        found = {str(record["id"]): record for record in self.records}
        missing = [name for name in ids if name not in found]
        if missing:
            raise ValueError(
                f"{self.name} lacks {counted(len(missing), 'question')}, such as {missing[0]}: record the same ones"
            )
        return Recorded([found[name] for name in ids], self.settings, self.name)

    def _require(self, field: str) -> None:
        way_out = "record it anew" if field == "group" else "record it without --no-both"
        if field.endswith("_score"):
            way_out = "add what is right, or give --agreement to let the large model's answers stand in for it"
        for record in self.records:
            if record.get(field) is None:
                raise ValueError(f"question {record['id']} of {self.name} has no {field.replace('_', ' ')}: {way_out}")
