"""A whole comparison: every row on the same questions into one folder, then what the rows add up to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stitchvlm.errors import DataError, UnreachableError, UnsuitableMethodError
from stitchvlm.evaluation.agreement import measure_agreement
from stitchvlm.evaluation.comparable import table_key
from stitchvlm.evaluation.gallery import choose, exhibit
from stitchvlm.evaluation.memory import peak_memory
from stitchvlm.evaluation.results import ResultFile, read_records, read_settings
from stitchvlm.evaluation.sample import Problem, Sample
from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE, RunSettings, by_label, parse_method
from stitchvlm.evaluation.study import Study, check_way
from stitchvlm.evaluation.tables import STUDY, StudyTable, label_of, slug, table_of
from stitchvlm.evaluation.tasks import Task
from stitchvlm.families import check_checkpoint, text_layers

Notice = Callable[[str, str, dict[str, Any]], None]


@dataclass(frozen=True)
class Extras:
    """What is measured beside the answers.

    Attributes:
        n_live: on how many questions the latency of every row is measured with nothing shared.
        memory: measure every row's peak memory in a process of its own.
        n_agreement: on how many questions the models' attention is compared layer by layer; 0 for not at all.
        n_gallery: how many pictures of a guided row are drawn.
    """

    n_live: int = 20
    memory: bool = True
    n_agreement: int = 50
    n_gallery: int = 3


@dataclass(frozen=True)
class Comparison:
    """Rows on the questions of a task.

    Attributes:
        task_name: as :func:`~stitchvlm.evaluation.tasks.open_task` takes it.
        rows: settings by label, the small and the large model alone among them.
        devices: ``device``, ``small_device``, ``device_map`` and ``cuda_graphs``.
        strict: a question that cannot be asked ends the run.
        left_out: rows that were asked for and cannot be compared, and why.
    """

    task_name: str
    task: Task
    rows: Mapping[str, RunSettings]
    devices: dict[str, Any] = field(default_factory=dict)
    strict: bool = False
    extras: Extras = Extras()
    left_out: Sequence[str] = ()

    def run(self, out: Path, notice: Notice) -> tuple[StudyTable, list[Problem]]:
        """Answer what the files in ``out`` do not hold yet, write the study, and tell what was left out.

        Args:
            notice: is told the row's label, ``answered`` and the record for every answer, those on file included; and what is
                measured after that, without a record.

        Raises:
            ValueError: if a setting cannot be used, or another run writes to the same folder.
            DataError: if no question could be asked, or a file is broken.
        """
        out.mkdir(parents=True, exist_ok=True)
        before = StudyTable.read(out / STUDY) if (out / STUDY).exists() else None
        study = Study(self.rows, **self.devices, n_live=self.extras.n_live)
        with ExitStack() as stack:
            paths = {label: out / f"{slug(label)}.jsonl" for label in self.rows}
            files = {
                label: stack.enter_context(ResultFile(paths[label], settings.identity(self.task.name)))
                for label, settings in self.rows.items()
            }
            self._notice_done(files, notice)
            for label, record in study.run(self.task.samples, files, self.strict):
                notice(label, "answered", record)
            asked = {sample.id for sample in self.task.samples}
            mute = [label for label, file in files.items() if asked.isdisjoint(file.ids())]
            paths = {label: path for label, path in paths.items() if label not in mute}
            problems = [*self.task.problems, *study.refusals.problems(paths or files)]
            if not paths:
                raise DataError(
                    f"no question could be asked, {problems[0] if problems else mute[0]}: mend the questions"
                )
            if self.extras.memory:
                problems += self._measure_memory({label: files[label] for label in paths}, notice)
            agreement = self._agreement(study, before, self._askable(paths), notice)
            gallery = self._gallery(study, paths, out, notice)
            left_out = [*self.left_out, *(f"{label}: {study.refusals.reason(label)}" for label in mute)]
            told = {"problems": [str(problem) for problem in problems], "left_out": left_out}
            table = self._table(out, paths, agreement=agreement, gallery=gallery, **told)
            table.write(out / STUDY)
        return replace(table, folder=out), problems

    def _notice_done(self, files: Mapping[str, ResultFile], notice: Notice) -> None:
        asked = {sample.id for sample in self.task.samples}
        for label, file in files.items():
            for record in file.records:
                if record["id"] in asked:
                    notice(label, "answered", record)

    def _measure_memory(self, files: Mapping[str, ResultFile], notice: Notice) -> list[Problem]:
        """Note every row's peak memory; a row of which it cannot be had is a problem, unless ``strict``."""
        problems = []
        for label, file in files.items():
            if not read_settings(file.path).get("memory"):
                notice(label, "measuring memory", {})
                question = file.records[0]["id"]
                try:
                    file.note_memory(peak_memory(self.rows[label], self.task_name, question, self.devices))
                except DataError as error:
                    if self.strict:
                        raise
                    problems.append(Problem(None, "peak memory", f"{label}: {error}"))
        return problems

    def _agreement(
        self, study: Study, before: StudyTable | None, samples: Sequence[Sample], notice: Notice
    ) -> dict[str, Any]:
        """Of the models' attention, measured anew unless an earlier study in the folder asked the same on as many questions."""
        settings = next(iter(self.rows.values()))
        known: dict[str, Any] = {}
        if before is not None and before.rows and before.key == table_key(settings.identity(self.task.name)):
            known = before.agreement
        n_agreement = min(self.extras.n_agreement, len(samples))
        if n_agreement <= known.get("n", 0):
            return known
        notice("attention", "comparing", {})
        return measure_agreement(study.small(), study.large(), samples[:n_agreement], settings.max_tiles)

    def _table(self, out: Path, paths: Mapping[str, Path], **others: Any) -> StudyTable:
        """This comparison's files on its questions, and earlier ones in the folder that can be compared with them."""
        mine = list(paths.values())
        asked = {sample.id for sample in self._askable(paths)}
        key, others_like, notes = table_key(read_settings(mine[0])), [], []
        for path in sorted(set(out.glob("*.jsonl")) - set(mine)):
            settings = read_settings(path)
            if not settings.get("method") or table_key(settings) != key:
                continue
            n_missing = len(asked - {record["id"] for record in read_records(path)})
            if n_missing:
                notes.append(f"{label_of(settings)} ({path.name}) has not answered {n_missing} of the questions")
            else:
                others_like.append(path)
        table = table_of(mine + others_like, asked, **others)
        return replace(table, notes=[*table.notes, *(f"not in the table: {note}" for note in notes)])

    def _askable(self, paths: Mapping[str, Path]) -> list[Sample]:
        """Questions that some row has answered: what could be asked once can be asked again."""
        answered = {record["id"] for path in paths.values() for record in read_records(path)}
        return [sample for sample in self.task.samples if sample.id in answered]

    def _gallery(self, study: Study, paths: Mapping[str, Path], out: Path, notice: Notice) -> list[dict[str, Any]]:
        """Of the guided row that keeps least and never exits."""
        rows = {label: settings.resolve() for label, settings in self.rows.items() if settings.method == "guided"}
        guided = [
            (settings.keep, label)
            for label, settings in rows.items()
            if label in paths and settings.exit == "never" and isinstance(settings.keep, float)
        ]
        if not guided or not self.extras.n_gallery:
            return []
        _, label = min(guided)
        chosen = choose(read_records(paths[label]), self.extras.n_gallery)
        notice(label, "drawing", {})
        return exhibit(study, label, [sample for sample in self.task.samples if sample.id in chosen], out)


def make_rows(
    base: RunSettings, methods: Iterable[str], keeps: Sequence[str | float], exits: Sequence[str] = ("never",)
) -> dict[str, RunSettings]:
    """Every method at every share and exit, after the small and the large model alone.

    Args:
        base: what all rows share.
        methods: as :func:`~stitchvlm.evaluation.settings.parse_method` reads them.

    Raises:
        ValueError: if a method, an option, a share or an exit is none, or two rows would have one label.
    """
    alone = [replace(base, method=method, exit="never") for method in (SMALL_ALONE, LARGE_ALONE)]
    parsed = [parse_method(method) for method in methods]
    others = [
        replace(base, method=method, options=options, keep=keep, exit=exit)
        for method, options in parsed
        if method not in (SMALL_ALONE, LARGE_ALONE)
        for keep in keeps
        for exit in exits
    ]
    return by_label(alone + others)


def within_reach(rows: Mapping[str, RunSettings]) -> tuple[dict[str, RunSettings], list[str]]:
    """The rows that this large model can be asked in, down to their share, and what there is to say of the others.

    A method that computes everything up to some layer has a floor; compared at a larger share than the others it would look
    better than it is.

    Raises:
        ValueError: if a setting or the large checkpoint cannot be used, or none but the models alone is left.
    """
    large = str(next(iter(rows.values())).resolve().large)
    depth = text_layers(check_checkpoint(large))
    kept, left_out = {}, []
    for label, settings in rows.items():
        try:
            check_way(large, settings)
            settings.schedule()(depth)
            kept[label] = settings
        except (UnreachableError, UnsuitableMethodError) as error:
            left_out.append(f"{label}: {error}")
    if left_out and all(settings.method in (SMALL_ALONE, LARGE_ALONE) for settings in kept.values()):
        raise ValueError(left_out[0])
    return kept, left_out
