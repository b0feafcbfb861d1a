"""A user's own questions: a file of JSON lines, each as :mod:`stitchvlm.evaluation.folder_line` reads it."""

import hashlib
from pathlib import Path

from stitchvlm.errors import DataError
from stitchvlm.evaluation.folder_line import questions_of_line
from stitchvlm.evaluation.sample import Problem, Sample


def load_folder(path: Path, metric: str = "exact", unlabelled: bool = False) -> tuple[list[Sample], list[Problem]]:
    """The questions of a file, and what was wrong with the lines that gave none.

    Args:
        metric: for questions that name none of their own.
        unlabelled: no question needs a right answer, and those that are there are left aside.

    Raises:
        ValueError: if there is no such file.
        DataError: if it cannot be read.
    """
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder: name the file of JSON lines in it, as in folder:{path / 'questions.jsonl'}"
        )
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}: name a file of JSON lines, as in folder:questions.jsonl") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        for found in questions_of_line(line, number, path.parent, metric, unlabelled):
            if isinstance(found, Sample) and found.id in samples:
                first = samples[found.id].line
                found = Problem(number, "duplicate id", f"{found.id!r} is on line {first} already")
            if isinstance(found, Problem):
                problems.append(found)
            else:
                samples[found.id] = found
    return list(samples.values()), problems


def content_mark(path: Path) -> str:
    """A short mark of what the file says, so that runs on different questions are told apart wherever they lie."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
