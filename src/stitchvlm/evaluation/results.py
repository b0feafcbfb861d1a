"""A file of results that survives interruptions: one JSON line per question, and the settings of the run beside it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stitchvlm.errors import DataError
from stitchvlm.files import replace_file


class ResultFile:
    """Appends records and knows those that are there already.

    Every line is forced to disk before the next question is asked. A line that an interruption tore is dropped when the
    file is opened again. Where ``path`` is no regular file (a pipe, a device) lines only go out.

    Attributes:
        records: what the file holds, in its order.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        """Open or make the file.

        Raises:
            ValueError: if the folder is missing, or the file was written with other settings.
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
        self._regular = path.is_file() or not path.exists()
        if self._regular:
            self._check_settings(settings)
            self._read()

    @property
    def settings_path(self) -> Path:
        """Where the settings are written."""
        return self.path.with_name(f"{self.path.name}.settings.json")

    def ids(self) -> set[str]:
        """Ids of the questions that are done."""
        return {record["id"] for record in self.records}

    def append(self, record: dict[str, Any]) -> None:
        """Write one line and wait until it is on disk.

        Raises:
            OSError: if it cannot be written; the file is then as it was before.
        """
        if self._regular and not self.records:
            with replace_file(self.settings_path) as temporary:
                temporary.write_text(json.dumps(self._settings, indent=2) + "\n", encoding="utf-8")
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

    def _write(self, handle: int, line: bytes) -> None:
        while line:
            line = line[os.write(handle, line) :]
        if self._regular:
            os.fsync(handle)

    def _check_settings(self, settings: dict[str, Any]) -> None:
        has_results = self.path.is_file() and self.path.stat().st_size > 0
        if not has_results:
            return
        try:
            before = json.loads(self.settings_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            raise ValueError(f"{self.path} is there already, without settings beside it: name another --out") from None
        other = [key for key in settings if before.get(key) != settings[key]]
        if other:
            changes = ", ".join(f"{key} {before.get(key)} (now {settings[key]})" for key in other)
            raise ValueError(f"{self.path} was made with other settings, {changes}: name another --out or delete it")

    def _read(self) -> None:
        """Take in what is there and cut off a torn last line."""
        if not self.path.is_file():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self.records = list(_records(whole.splitlines(), self.path))
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))


def _records(lines: Iterable[bytes], path: Path) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            record["id"]
        except (ValueError, TypeError, KeyError):
            raise DataError(f"line {number} of {path} is no result of stitch eval: name another --out") from None
        yield record
