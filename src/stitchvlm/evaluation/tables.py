"""Rows side by side: from files of results to a study that can be written, read again, printed and drawn."""

import json
import os
import re
from collections import Counter
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stitchvlm.errors import DataError
from stitchvlm.evaluation.comparable import on_shared_questions, table_key, told_apart
from stitchvlm.evaluation.curve import exit_curve
from stitchvlm.evaluation.results import NOTES, read_records, read_settings
from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE, RunSettings
from stitchvlm.evaluation.summary import as_json, scores_by_id, summarise
from stitchvlm.evaluation.tasks import UNLABELLED
from stitchvlm.files import replace_file

STUDY = "study.json"
SCHEMA = 1
"""The form of the file; raised when an older reader would misread it."""


@dataclass(frozen=True)
class TableRow:
    """One way of answering.

    Attributes:
        settings: what it was made with, models by the marks of their weights.
        runs: hardware, versions and commit of every run that wrote to it.
        groups: summaries by kind of question, ``all`` among them; see :class:`~stitchvlm.evaluation.summary.Summary`.
        curve: what every exit threshold would have given; see :func:`~stitchvlm.evaluation.curve.exit_curve`.
        memory: peak mebibytes, see :mod:`stitchvlm.evaluation.memory`; empty where it was not measured.
    """

    name: str
    settings: dict[str, Any]
    runs: list[dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    curve: list[dict[str, Any]]
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Any]:
        """The summary over all questions."""
        return self.groups["all"]

    @property
    def method(self) -> str:
        return self.settings["method"]

    @property
    def exits(self) -> bool:
        """Whether the row lets answers exit."""
        return self.settings["exit"] != "never"

    @property
    def curve_name(self) -> str:
        """What a table calls all the exits that the row might have had, with the score that they go by."""
        score = str(self.settings["exit"]).rpartition(":")[0] or "mean"
        return f"{settings_of(self.settings | {'exit': 'never'}).label} by {score}"


@dataclass(frozen=True)
class StudyTable:
    """Rows about the same questions and the same two models.

    Attributes:
        agreement: of the models' attention layer by layer, see :mod:`stitchvlm.evaluation.agreement`; empty if not measured.
        gallery: pictures with what was said about them, see :class:`~stitchvlm.evaluation.gallery.Exhibit`.
        problems: questions or lines that were left out, as texts.
        left_out: rows that cannot come down to the asked share, or be asked any question, and why.
        notes: questions that some rows answered and the table does not count, as texts.
        folder: where it was read; pictures lie beside it.
    """

    task: str
    small: str
    large: str
    rows: list[TableRow]
    agreement: dict[str, Any] = field(default_factory=dict)
    gallery: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None

    @property
    def exit_rows(self) -> list[TableRow]:
        """Guided rows of which both models' answers are on file, so that every exit threshold is known; one of each curve."""
        rows: dict[str, TableRow] = {}
        for row in self.rows:
            if row.curve and row.method == "guided":
                rows.setdefault(row.curve_name, row)
        return list(rows.values())

    @property
    def key(self) -> Hashable:
        """What tells whether other results may stand beside these rows, of which there must be one."""
        return table_key(self.rows[0].settings)

    @property
    def warnings(self) -> list[str]:
        """What a reader of the table must know before comparing its rows."""
        return self.notes + told_apart({row.name: row.runs for row in self.rows})

    def row_of(self, method: str) -> TableRow | None:
        """The first row of a method."""
        return next((row for row in self.rows if row.method == method), None)

    def write(self, path: Path) -> None:
        """Write the study, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        told = {"schema": SCHEMA} | _rounded({name: value for name, value in asdict(self).items() if name != "folder"})
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StudyTable":
        """Read a study.

        Raises:
            DataError: if it is broken or of another schema.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told.pop("schema") != SCHEMA:
                raise DataError(f"{path} was written by another version of stitch: make it anew with stitch compare")
            rows = [TableRow(**row) for row in told.pop("rows")]
            return cls(**told, rows=rows, folder=path.parent)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is no study ({error}): make it anew with stitch compare") from error


def table_of(files: Sequence[Path], asked: Container[str] | None = None, **others: Any) -> StudyTable:
    """The study of some files of results that belong into one table, every other row against the large model alone.

    All rows are summed up over the same questions, those that each of them answered.

    Args:
        files: alike in :func:`~stitchvlm.evaluation.comparable.table_key`; empty ones give no row.
        asked: ids of the questions that the table is about; None for all.
        others: further fields of the study.

    Raises:
        DataError: if a file is broken, or there is no question that all of them hold.
    """
    settings = {path: read_settings(path) for path in files}
    found = {path: _of_those(read_records(path), asked) for path in files}
    paths = _by_name({path: label_of(settings[path]) for path, records in found.items() if records})
    records, notes = on_shared_questions({name: found[path] for name, path in paths.items()})
    alone = [name for name, path in paths.items() if settings[path]["method"] == LARGE_ALONE]
    baseline = scores_by_id(records[alone[0]]) if alone else None
    rows = [
        TableRow(
            name=name,
            settings={key: value for key, value in settings[path].items() if key not in NOTES},
            runs=settings[path].get("runs", []),
            groups=as_json(summarise(records[name], None if name in alone else baseline)),
            curve=[asdict(point) for point in exit_curve(records[name])],
            memory=settings[path].get("memory", {}),
        )
        for name, path in paths.items()
    ]
    first = settings[files[0]]
    rows.sort(key=lambda row: (row.method not in (SMALL_ALONE, LARGE_ALONE), row.method == LARGE_ALONE))
    return StudyTable(first["task"], first["small"], first["large"], rows, notes=notes, **others)


def _of_those(records: list[dict[str, Any]], asked: Container[str] | None) -> list[dict[str, Any]]:
    return records if asked is None else [record for record in records if record["id"] in asked]


def _by_name(labels: Mapping[Path, str]) -> dict[str, Path]:
    """Files by the names of their rows: labels, with the file's name where two have the same one."""
    often = Counter(labels.values())
    common = Path(os.path.commonpath([path.parent for path in labels])) if labels else Path()
    return {
        label if often[label] == 1 else f"{label} ({path.relative_to(common)})": path for path, label in labels.items()
    }


def find_studies(folder: Path) -> list[StudyTable]:
    """Every study in a folder and below it: those that were written, and the loose files of results, those together that may be
    compared.

    Raises:
        ValueError: if there is no such folder or nothing in it.
        DataError: if a file is broken.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}: name one that stitch compare or stitch eval wrote to")
    written = sorted(folder.rglob(STUDY))
    studies = [StudyTable.read(path) for path in written]
    loose: dict[Hashable, list[Path]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        settings = read_settings(path)
        judged = settings.get("method") and not settings["task"].endswith(UNLABELLED)
        if judged and not any(study.parent in path.parents for study in written):
            loose.setdefault(table_key(settings), []).append(path)
    studies += [table_of(paths, folder=folder) for paths in loose.values() if any(map(read_records, paths))]
    if not studies:
        raise ValueError(f"{folder} holds no judged results: make some with stitch compare or stitch eval")
    return studies


def settings_of(settings: Mapping[str, Any]) -> RunSettings:
    """The way of answering that a file of results names, for its labels; models and limits are left out."""
    named = ("keep", "layer", "method", "exit", "options", "reuse_drafts")
    return RunSettings(**{name: settings[name] for name in named if name in settings})


def label_of(settings: Mapping[str, Any]) -> str:
    """What a table calls the row with these settings."""
    return settings_of(settings).label


def _rounded(value: Any) -> Any:
    """Six digits are more than was measured, and make a file that people can read."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def slug(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-.")
