"""Test splits as archives: a zip file with pictures and ``questions.jsonl``."""

import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from stitchvlm.errors import DataError
from stitchvlm.evaluation.sample import Sample
from stitchvlm.images import load_image


def load_archive(path: Path) -> list[Sample]:
    """The questions of a test split, each with its ``boxes``, or the one ``box``, where the answer stands.

    Raises:
        DataError: if the archive is missing or broken.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            rows = [json.loads(line) for line in archive.read("questions.jsonl").splitlines() if line.strip()]
            return [_sample(path, row) for row in rows]
    except FileNotFoundError:
        raise DataError(f"{path} is missing: install stitchvlm again") from None
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is broken ({error}): install stitchvlm again") from error


def _sample(path: Path, row: dict[str, Any]) -> Sample:
    boxes = row.get("boxes") or ([row["box"]] if row.get("box") else [])
    return Sample(
        id=str(row["id"]),
        kind=row["kind"],
        question=row["question"],
        answers=(row["answer"],),
        picture=partial(_picture, path, row["image"]),
        boxes=tuple(map(tuple, boxes)),
        metric=row.get("metric", "exact"),
        group=row["image"],
    )


def _picture(path: Path, name: str) -> Image.Image:
    with zipfile.ZipFile(path) as archive:
        return load_image(Image.open(io.BytesIO(archive.read(name))))
