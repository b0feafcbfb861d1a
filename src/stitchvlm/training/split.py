"""The checked-in test split: pictures from a seed that training never uses, in one archive with its SHA-256."""

import hashlib
import io
import json
import random
import zipfile
from pathlib import Path

from .generator import Style, draw_scene
from .questions import ask_several
from .recipes import SETTLED

SEED = "test-split-0"
QUESTIONS_A_PICTURE = 4
_EPOCH = (2026, 1, 1, 0, 0, 0)
"""A fixed time for all members: the same seed and fonts give the same bytes."""


def write_split(path: Path, questions: int, fonts: tuple[str, ...], seed: str = SEED) -> str:
    """Draw pictures with unambiguous codes, ask about a few places of each once, and write the archive and its checksum.

    Ids, kinds, wordings, answers and the answer's box (fractions of the picture) go to `questions.jsonl` in the archive.
    Returns the SHA-256 of the archive, which is also written beside it.
    """
    rows: list[dict] = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        number = 0
        while len(rows) < questions:
            picture, scene, _ = draw_scene(f"{seed}/{number}", fonts, Style(clear_codes=True))
            rng = random.Random(f"{seed}/questions/{number}")
            about = {question.box: question for question in ask_several(scene, 12, SETTLED, rng)}
            asked = list(about.values())[: min(QUESTIONS_A_PICTURE, questions - len(rows))]
            if not asked:
                number += 1
                continue
            name = f"pictures/{number:04d}.jpg"
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=88)
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), encoded.getvalue())
            rows += [
                {
                    "id": f"{number:04d}-{k}",
                    "kind": question.kind,
                    "image": name,
                    "question": question.text,
                    "answer": question.answer,
                    "box": [round(edge, 4) for edge in question.box],
                }
                for k, question in enumerate(asked)
            ]
            number += 1
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        archive.writestr(zipfile.ZipInfo("questions.jsonl", _EPOCH), lines)
    path.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")
    return digest
