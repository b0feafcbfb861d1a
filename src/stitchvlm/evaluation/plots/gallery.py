"""Pictures of single questions: as asked, where the small model looked, what the large one kept."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stitchvlm.evaluation.plots.style import new_figure
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_gallery(exhibits: Sequence[dict[str, Any]], folder: Path) -> "Figure":
    """A row of three pictures for every exhibit; see :class:`~stitchvlm.evaluation.gallery.Exhibit`."""
    pictures = [[_open(folder / name) for name in one["pictures"]] for one in exhibits]
    height = sum(3.35 * row[0].height / row[0].width + 0.5 for row in pictures)
    figure, all_axes = new_figure(10.4, height, columns=3, rows=len(exhibits))
    for one, row, row_axes in zip(exhibits, pictures, all_axes, strict=True):
        share = f"{one['n_kept']} of {counted(one['n_visual'], 'visual token')} kept"
        titles = (
            f"{_wrapped(one['question'])}\nright: {one['gold']}",
            f"where the small model looked\nits answer: {one['small_answer']}",
            f"{share}\nthe large model's answer: {one['large_answer']}",
        )
        for axes, picture, title in zip(row_axes, row, titles, strict=True):
            axes.imshow(picture)
            axes.set_title(_plain(title), fontsize=9.5, fontweight="normal")
            axes.set_axis_off()
    return figure


def _open(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _wrapped(text: str, width: int = 44) -> str:
    return "\n".join(textwrap.wrap(text, width)[:3])


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
