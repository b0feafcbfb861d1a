"""What can be asked: named tasks, each a list of questions with pictures and right answers."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from stitchvlm.errors import DataError
from stitchvlm.images import load_image

SCENES = Path(__file__).parent / "scenes" / "scenes-v0.zip"


@dataclass(frozen=True)
class Sample:
    """One question of a task.

    Attributes:
        kind: a group that the summary tells apart.
        gold: the right answer.
        picture: decodes the picture when it is needed.
        box: the rectangle, in fractions of the picture, where the answer is to be read; None where nobody marked it.
    """

    id: str
    kind: str
    question: str
    gold: str
    picture: Callable[[], Image.Image]
    box: tuple[float, ...] | None = None


def load_scenes(path: Path = SCENES) -> list[Sample]:
    """The checked-in test split of drawn pictures: a zip archive with JPEG files and ``questions.jsonl``.

    Raises:
        DataError: if the archive is missing or broken.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            rows = [json.loads(line) for line in archive.read("questions.jsonl").splitlines() if line.strip()]
            return [
                Sample(
                    id=str(row["id"]),
                    kind=row["kind"],
                    question=row["question"],
                    gold=row["answer"],
                    picture=partial(_picture, path, row["image"]),
                    box=tuple(row["box"]) if row.get("box") else None,
                )
                for row in rows
            ]
    except FileNotFoundError:
        raise DataError(f"{path} is missing: install stitchvlm again") from None
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is broken ({error}): install stitchvlm again") from error


TASKS: dict[str, Callable[[], list[Sample]]] = {"scenes": load_scenes}


def load_task(name: str, n: int | None = None) -> list[Sample]:
    """The first ``n`` questions of a task, or all of them.

    Raises:
        ValueError: if there is no such task, or it has fewer questions.
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}: choose one of {', '.join(sorted(TASKS))}")
    samples = TASKS[name]()
    if n is not None and not 1 <= n <= len(samples):
        raise ValueError(f"n must be between 1 and {len(samples)}, the number of questions of {name}, not {n}")
    return samples[:n]


def _picture(path: Path, name: str) -> Image.Image:
    with zipfile.ZipFile(path) as archive:
        return load_image(Image.open(io.BytesIO(archive.read(name))))
