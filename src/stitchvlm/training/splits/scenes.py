"""The split of drawn scenes: unambiguous codes, a few places of each asked about once."""

import random
from typing import Any

from PIL import Image

from ..generator import Style, draw_scene
from ..questions import ask_several
from ..recipes import SETTLED
from .archive import Split

QUESTIONS_A_PICTURE = 4


def _draw(seed: str, number: int, fonts: tuple[str, ...]) -> tuple[Image.Image, list[dict[str, Any]]]:
    picture, scene, _ = draw_scene(f"{seed}/{number}", fonts, Style(clear_codes=True))
    rng = random.Random(f"{seed}/questions/{number}")
    about = {question.box: question for question in ask_several(scene, 12, SETTLED, rng)}
    return picture, [
        {
            "kind": question.kind,
            "question": question.text,
            "answer": question.answer,
            "box": [round(edge, 4) for edge in question.box],
        }
        for question in list(about.values())[:QUESTIONS_A_PICTURE]
    ]


SCENES = Split("test-split-0", 88, _draw)
