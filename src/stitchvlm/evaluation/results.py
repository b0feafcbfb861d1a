"""A file of results that survives interruptions: one JSON line per question, and the settings of the run beside it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stitchvlm.errors import DataError
from stitchvlm.evaluation.provenance import provenance
from stitchvlm.files import replace_file

NOTES = ("runs", "memory")
"""What lies among the settings of a file and is none: where it was made, and its peak memory once that was measured."""


class ResultFile:
    """Appends records and knows those that are there already.

    Every line is forced to disk before the next question is asked. A line that an interruption tore is dropped when the
    file is opened again. The file is locked while it is open, so that two runs cannot write to it; the system frees the
    lock of a run that was killed. Where ``path`` is no regular file (a pipe, a device) lines only go out.

    Attributes:
        records: what the file holds, in its order.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        """Open or make the file.

        Raises:
            ValueError: if the folder is missing, another run has the file open, or it was written with other settings.
            DataError: if a line of it is no record.
            OSError: if it cannot be written.
        """
        if not path.parent.is_dir():
            raise ValueError(f"there is no folder {path.parent} to write {path.name} to: make it first")
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file for the results")
        self.path = path
        self.records: list[dict[str, Any]] = []
        self._settings = settings
        self._noted = False
        self._regular = path.is_file() or not path.exists()
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        if self._regular:
            self._open()

    def __enter__(self) -> "ResultFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs write to the file."""
        self._lock.release()

    @property
    def settings_path(self) -> Path:
        """Where the settings are written."""
        return settings_path(self.path)

    def ids(self) -> set[str]:
        """Ids of the questions that are done."""
        return {record["id"] for record in self.records}

    def append(self, record: dict[str, Any]) -> None:
        """Write one line and wait until it is on disk.

        Raises:
            OSError: if it cannot be written; the file is then as it was before.
        """
        if self._regular and not self._noted:
            self._note_run()
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            end = os.fstat(handle).st_size
            try:
                self._write(handle, line)
            except OSError as error:
                if self._regular:
                    os.ftruncate(handle, end)
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(handle)
        self.records.append(record)

    def note_memory(self, memory: dict[str, float]) -> None:
        """Write the peak memory of this way of answering beside the file, where there is a place beside it.

        Raises:
            OSError: if it cannot be written.
        """
        if self._regular:
            self._write_settings(read_settings(self.path) | {"memory": memory})

    def _write(self, handle: int, line: bytes) -> None:
        while line:
            line = line[os.write(handle, line) :]
        if self._regular:
            os.fsync(handle)

    def _open(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another run is writing to {self.path}: wait until it has ended, or name another --out"
            ) from None
        try:
            self._check_settings(self._settings)
            self._read()
        except BaseException:
            self._lock.release()
            raise

    def _note_run(self) -> None:
        """Write the settings, and where this run happens unless that is as before."""
        before = read_settings(self.path) if self.records else {}
        runs, here = before.get("runs", []), provenance()
        if here not in runs:
            runs = [*runs, here]
        self._write_settings(before | self._settings | {"runs": runs})
        self._noted = True

    def _write_settings(self, told: dict[str, Any]) -> None:
        with replace_file(self.settings_path) as temporary:
            temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _check_settings(self, settings: dict[str, Any]) -> None:
        has_results = self.path.is_file() and self.path.stat().st_size > 0
        if not has_results:
            return
        before = read_settings(self.path)
        if not before:
            raise ValueError(f"{self.path} is there already, without settings beside it: name another --out")
        other = [key for key in settings if before.get(key) != settings[key]]
        if other:
            changes = ", ".join(f"{key} {before.get(key)} (now {settings[key]})" for key in other)
            raise ValueError(f"{self.path} was made with other settings, {changes}: name another --out or delete it")

    def _read(self) -> None:
        """Take in what is there and cut off a torn last line."""
        if not self.path.is_file():
            return
        self.records = read_records(self.path)
        content = self.path.read_bytes()
        n_whole = content.rfind(b"\n") + 1
        if n_whole < len(content):
            os.truncate(self.path, n_whole)


def settings_path(path: Path) -> Path:
    """Where the settings of a file of results lie."""
    return path.with_name(f"{path.name}.settings.json")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a file of results was made with and its :data:`NOTES`; empty where none lie beside it."""
    try:
        settings = json.loads(settings_path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def read_records(path: Path) -> list[dict[str, Any]]:
    """What a file of results holds, a torn last line left out; the file may be open elsewhere.

    Raises:
        DataError: if a line of it is no record.
    """
    content = path.read_bytes()
    return list(_records(content[: content.rfind(b"\n") + 1].splitlines(), path))


def _records(lines: Iterable[bytes], path: Path) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            record["id"]
        except (ValueError, TypeError, KeyError):
            raise DataError(f"line {number} of {path} is no result of stitch eval: name another --out") from None
        yield record
