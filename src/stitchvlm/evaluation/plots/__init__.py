"""The figures of a study: accuracy against cost, what exits give, where layers look, and pictures of single questions.

Needs matplotlib, the extra ``plot``. Figures are drawn without pyplot: nothing global is set, and no display is needed.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from stitchvlm.evaluation.plots.agreement import draw_agreement
from stitchvlm.evaluation.plots.exits import draw_exits
from stitchvlm.evaluation.plots.gallery import draw_gallery
from stitchvlm.evaluation.plots.style import styled
from stitchvlm.evaluation.plots.ways import draw_retention, draw_seconds
from stitchvlm.evaluation.tables import StudyTable
from stitchvlm.files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


def draw_figures(study: StudyTable) -> "dict[str, Figure]":
    """Every figure that the study has figures for, by a name fit for a file.

    Raises:
        ValueError: if matplotlib is missing.
    """
    with styled():
        figures = {"accuracy-retention": draw_retention(study), "accuracy-seconds": draw_seconds(study)}
        if study.exit_rows:
            figures["exits"] = draw_exits(study, study.exit_rows)
        if study.agreement:
            figures["agreement"] = draw_agreement(study.agreement)
        if study.gallery and study.folder is not None:
            figures["gallery"] = draw_gallery(study.gallery, study.folder)
        for figure in figures.values():
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # or every rendering would lay it out anew, a hair off the one before
    return figures


def save_figures(figures: "dict[str, Figure]", folder: Path) -> list[Path]:
    """Write every figure as PNG and, but for the one of pictures, as SVG; the same study gives the same bytes.

    Raises:
        OSError: if one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        for kind in FORMATS[:1] if name == "gallery" else FORMATS:
            paths.append(folder / f"{name}.{kind}")
            with replace_file(paths[-1]) as temporary:
                temporary.write_bytes(render(figure, kind))
    return paths


def render(figure: "Figure", kind: str) -> bytes:
    """The figure as the bytes of a file, ``png`` or ``svg``."""
    file = io.BytesIO()
    with styled():
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=160, metadata=metadata)
    return file.getvalue()
