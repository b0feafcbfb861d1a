"""A user's own questions: JSON lines of pictures, questions and right answers.

A line is ``{"image": "a.png", "question": "…", "answer": "…"}``, or with several questions about one picture
``{"image": "a.png", "qa": [{"question": "…", "answer": "…"}, …]}``. ``answers`` may list several right ones; ``id``,
``kind`` (or ``field``), ``metric`` and ``box`` are optional. Pictures are named relative to the file.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stitchvlm.errors import DataError
from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.sample import Problem, Sample
from stitchvlm.images import load_image


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
        for found in _questions(line, number, path.parent, metric, unlabelled):
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


def _questions(line: bytes, number: int, root: Path, metric: str, unlabelled: bool) -> Iterator[Sample | Problem]:
    """The questions of one line; whatever is wrong with one is its own problem."""
    try:
        row = json.loads(line)
    except ValueError as error:  # a UnicodeDecodeError is one too
        yield Problem(number, "malformed line", f"no JSON ({error})")
        return
    if not isinstance(row, dict):
        yield Problem(number, "malformed line", f"a {type(row).__name__}, not an object")
        return
    parts = row.get("qa", [row])
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        yield Problem(number, "malformed line", "qa is no list of questions")
        return
    picture = row.get("image")
    if not isinstance(picture, str) or not picture:
        yield Problem(number, "malformed line", "no image is named")
        return
    if not (root / picture).is_file():
        yield Problem(number, "missing picture", picture)
        return
    own_id = str(row.get("id", f"line-{number}"))
    for place, part in enumerate(parts):
        kind = str(part.get("kind") or part.get("field") or row.get("kind") or "all")
        id = own_id if "qa" not in row else f"{own_id}/{part.get('id') or part.get('field') or place}"
        metric_of_it = part.get("metric", row.get("metric", metric))
        found = _question(part | {"metric": metric_of_it}, id, kind, number, root, picture)
        if isinstance(found, Sample):
            found = replace(found, answers=()) if unlabelled else found if found.answers else _unanswered(found)
        yield found


def _unanswered(sample: Sample) -> Problem:
    return Problem(sample.line, "empty answer", repr(sample.id))


def _question(part: dict[str, Any], id: str, kind: str, number: int, root: Path, picture: str) -> Sample | Problem:
    question, metric = part.get("question"), part["metric"]
    if not isinstance(question, str) or not question.strip():
        return Problem(number, "empty question", repr(id))
    if metric not in METRICS:
        return Problem(number, "unknown metric", f"{metric!r} is none of {', '.join(METRICS)}")
    answers = _answers(part.get("answers", part.get("answer")), is_box=metric == "iou")
    box = part.get("box")
    marked = tuple(float(number) for number in box) if box is not None and _is_box(box) else None
    return Sample(id, kind, question, answers, partial(load_image, root / picture), marked, metric, number, picture)


def _answers(given: Any, is_box: bool) -> tuple[str, ...]:
    """Right answers as texts, empty ones left out; four numbers in a list are one rectangle where rectangles are compared."""
    if is_box and _is_box(given):
        return (json.dumps(given),)
    listed = given if isinstance(given, list) else [given]
    texts = (json.dumps(one) if isinstance(one, list | int | float) else one for one in listed)
    return tuple(text for text in texts if isinstance(text, str) and text.strip())


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 4
    return numbers and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
