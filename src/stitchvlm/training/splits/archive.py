"""Writes a test split: pictures from a seed that training never uses and questions about them, in one archive with its SHA-256."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

_EPOCH = (2026, 1, 1, 0, 0, 0)
"""A fixed time for all members: the same seed and fonts give the same bytes."""


@dataclass(frozen=True)
class Split:
    """What a split is made of.

    Attributes:
        seed: decides the pictures; no training set uses it.
        quality: of the JPEG files.
        draw: picture `number` of a seed, drawn with these fonts, and the rows of what is asked about it: `kind`, `question`,
            `answer`, and where that stands in fractions of the picture.
    """

    seed: str
    quality: int
    draw: Callable[[str, int, tuple[str, ...]], tuple[Image.Image, list[dict[str, Any]]]]


def write_split(path: Path, split: Split, questions: int, fonts: tuple[str, ...], seed: str | None = None) -> str:
    """Draw pictures until so many questions are asked, and write the archive and its checksum; `seed` is the split's by default.

    Rows go to `questions.jsonl` in the archive, with an id and the name of the picture. Returns the SHA-256 of the
    archive, which is also written beside it.
    """
    rows: list[dict[str, Any]] = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        number = 0
        while len(rows) < questions:
            picture, asked = split.draw(seed or split.seed, number, fonts)
            name = f"pictures/{number:04d}.jpg"
            if asked:
                encoded = io.BytesIO()
                picture.save(encoded, "JPEG", quality=split.quality)
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), encoded.getvalue())
            rows += [
                {"id": f"{number:04d}-{k}", "kind": row["kind"], "image": name} | row
                for k, row in enumerate(asked[: questions - len(rows)])
            ]
            number += 1
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        archive.writestr(zipfile.ZipInfo("questions.jsonl", _EPOCH), lines)
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")
    return digest
