"""Pictures of what a method did: where the small model was wrong, and its attention still told the large one where to look."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tables import slug
from stitchvlm.overlay import dim_dropped, draw_heat, save_picture

_WIDTH = 480


@dataclass(frozen=True)
class Exhibit:
    """One question with three pictures: as it was asked about, where the small model looked, what the large one kept.

    Attributes:
        pictures: file names, beside the study.
    """

    id: str
    question: str
    gold: str
    small_answer: str
    large_answer: str
    n_kept: int
    n_visual: int
    pictures: tuple[str, str, str]


def choose(records: Sequence[dict[str, Any]], n: int) -> list[str]:
    """Ids of the first questions that the small model had wrong and the large one, its tokens reduced, had right."""
    return [r["id"] for r in records if r["small_score"] == 0 and r["large_score"] == 1][:n]


def exhibit(study: Study, row: str, samples: Sequence[Sample], folder: Path) -> list[dict[str, Any]]:
    """Answer the questions again by a guided row that never exits, and draw what happened into ``folder``.

    Raises:
        OSError: if a picture cannot be written.
    """
    exhibits = []
    for sample in samples:
        answer, shown = study.answer(sample, row), _shrunk(sample.picture())
        trace = answer.trace
        assert answer.guide is not None and trace.layout is not None and trace.kept is not None, "a guided large answer"
        pictures = {
            "asked": shown,
            "guide": draw_heat(answer.guide, shown),
            "kept": dim_dropped(shown, trace.layout, trace.kept),
        }
        names = [f"{slug(sample.id)}-{name}.jpg" for name in pictures]
        for name, picture in zip(names, pictures.values(), strict=True):
            save_picture(picture, folder / name)
        exhibits.append(
            Exhibit(
                sample.id,
                sample.question,
                sample.gold,
                trace.small_answer or "",
                answer.text,
                trace.n_kept,
                trace.n_visual,
                (names[0], names[1], names[2]),
            )
        )
    return [asdict(one) for one in exhibits]


def _shrunk(picture: Image.Image) -> Image.Image:
    if picture.width <= _WIDTH:
        return picture
    return picture.resize((_WIDTH, round(picture.height * _WIDTH / picture.width)), Image.Resampling.LANCZOS)
