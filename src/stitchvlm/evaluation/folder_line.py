"""One line of a user's own questions: a picture, questions about it and right answers.

A line is ``{"image": "a.png", "question": "…", "answer": "…"}``, or with several questions about one picture
``{"image": "a.png", "qa": [{"question": "…", "answer": "…"}, …]}``. ``answers`` may list several right ones; ``id``,
``kind`` (or ``field``), ``metric`` and ``box`` are optional. Pictures are named relative to the file. What is null is as good as
not there.
"""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stitchvlm.evaluation.metrics import METRICS
from stitchvlm.evaluation.sample import Problem, Sample
from stitchvlm.images import load_image

_SHOWN = 80


class _UnusableError(Exception):
    """What is wrong with a line or a question of it: the kind of problem, and the detail."""


def questions_of_line(
    line: bytes, number: int, root: Path, metric: str, unlabelled: bool
) -> Iterator[Sample | Problem]:
    """The questions of one line; whatever is wrong with one is its own problem.

    Args:
        root: the folder that pictures are named from.
        metric: for questions that name none of their own.
        unlabelled: no question needs a right answer, and those that are there are left aside.
    """
    try:
        row = _object(line)
        parts, picture, own_id = _parts(row), _picture(row, root), _name(row, "id") or f"line-{number}"
    except _UnusableError as error:
        yield Problem(number, *error.args)
        return
    for place, part in enumerate(parts):
        try:
            id = f"{own_id}/{_name(part, 'id', 'field') or place}" if "qa" in row else own_id
            kind = _name(part, "kind", "field") or _name(row, "kind") or "all"
            metric_of_it = next((one["metric"] for one in (part, row) if one.get("metric") is not None), metric)
            question, answers = _question(part, id), _answers(part, metric_of_it)
            if not answers and not unlabelled:
                raise _UnusableError("empty answer", _shortened(repr(id)))
        except _UnusableError as error:
            yield Problem(number, *error.args)
            continue
        yield Sample(
            id=id,
            kind=kind,
            question=question,
            answers=() if unlabelled else answers,
            picture=partial(load_image, root / picture),
            boxes=(tuple(map(float, part["box"])),) if _is_box(part.get("box")) else (),
            metric=metric_of_it,
            line=number,
            group=os.path.relpath(root / picture, root),  # one picture is one group, however it is spelled
        )


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a character could be read, and not be written again
    except (ValueError, RecursionError) as error:  # a UnicodeError is a ValueError too
        raise _UnusableError("malformed line", f"no JSON ({error})") from None
    if not isinstance(row, dict):
        raise _UnusableError("malformed line", f"a {type(row).__name__}, not an object")
    return row


def _parts(row: dict[str, Any]) -> list[dict[str, Any]]:
    parts = row.get("qa", [row])
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise _UnusableError("malformed line", "qa is no list of questions")
    return parts


def _picture(row: dict[str, Any], root: Path) -> str:
    picture = row.get("image")
    if not isinstance(picture, str) or not picture:
        raise _UnusableError("malformed line", "no image is named")
    if picture.startswith("data:"):
        raise _UnusableError("malformed line", "it holds the picture itself: save it as a file and name that")
    try:
        found = (root / picture).is_file()
    except (OSError, ValueError):  # a name that is too long, or holds what none may
        found = False
    if not found:
        raise _UnusableError("missing picture", _shortened(picture))
    return picture


def _name(part: dict[str, Any], *fields: str) -> str:
    """The first of the fields that is filled in, as text; empty where none is."""
    for field in fields:
        value = part.get(field)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            told = _shortened(repr(value))
            raise _UnusableError("malformed line", f"{field} is {told}: give a text or a whole number")
        if value is not None and str(value).strip():
            return str(value)
    return ""


def _question(part: dict[str, Any], id: str) -> str:
    question = part.get("question")
    if not isinstance(question, str) or not question.strip():
        raise _UnusableError("empty question", _shortened(repr(id)))
    return question


def _answers(part: dict[str, Any], metric: Any) -> tuple[str, ...]:
    """Right answers as texts, empty ones left out; four numbers in a list are one rectangle where rectangles are compared."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise _UnusableError("unknown metric", f"{_shortened(repr(metric))} is none of {', '.join(METRICS)}")
    given = part.get("answer") if part.get("answers") is None else part["answers"]
    if metric == "iou" and _is_box(given):
        return (json.dumps(given),)
    listed = given if isinstance(given, list) else [given]
    texts = (json.dumps(one) if isinstance(one, list | int | float) else one for one in listed)
    return tuple(text for text in texts if isinstance(text, str) and text.strip())


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 4
    return numbers and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)


def _shortened(text: str) -> str:
    """Enough of a text to find it by."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
