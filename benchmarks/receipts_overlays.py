"""Pictures of receipts with what the large model kept of them, for people to look at and never to be checked in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from receipts_seconds import GUIDED

from stitchvlm.evaluation.coverage import LEAST
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.study import Study
from stitchvlm.evaluation.tables import slug
from stitchvlm.overlay import draw_overlay, save_picture

_REPOSITORY = Path(__file__).resolve().parents[1]


def check_folder(folder: Path) -> None:
    """Raise a ValueError if pictures of receipts would lie in the repository."""
    if _REPOSITORY in [folder.resolve(), *folder.resolve().parents]:
        raise ValueError(
            f"{folder} is in the repository, which holds no receipts: name another folder for the overlays"
        )


def choose(records: Sequence[dict[str, Any]], n: int) -> list[str]:
    """Ids of one question about each of the first receipts with an answer that kept tokens show in detail; fields take turns."""
    covered: dict[str, list[str]] = {}
    for record in records:
        if record["covered"] and record["covered"]["detail"] >= LEAST[0]:
            covered.setdefault(record["group"], []).append(record["id"])
    return [ids[number % len(ids)] for number, ids in enumerate(list(covered.values())[:n])]


def draw(study: Study, samples: Sequence[Sample], alone: Mapping[str, str], folder: Path) -> list[Path]:
    """Ask the guided model again and draw what it kept, the answer's place framed; the files that were written.

    Args:
        alone: by question what the large model answers with all tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in samples:
        answer = study.answer(sample, GUIDED)
        others = {
            "Large model with all tokens": alone[sample.id],
            "Small model": answer.trace.small_answer or "",
            "Annotated": sample.gold,
        }
        picture = draw_overlay(answer, sample.picture(), sample.question, place=sample.boxes[0], others=others)
        paths.append(folder / f"{slug(sample.id)}.png")
        save_picture(picture, paths[-1])
    return paths
