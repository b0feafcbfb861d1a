"""How figures look: colours that colour-blind people tell apart (Okabe and Ito), quiet axes, and both models alone as levels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE
from stitchvlm.evaluation.tables import StudyTable, TableRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#009e73", "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9")
GUIDED = COLOURS[0]
ALONE = {LARGE_ALONE: "#1c1e24", SMALL_ALONE: "#8a8f99"}
INK, FAINT = "#1c1e24", "#6e727c"
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e7ea",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "svg.hashsalt": "stitch",
}


@contextmanager
def styled() -> Iterator[None]:
    """Within the block matplotlib draws in this style.

    Raises:
        ValueError: if matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError("figures need matplotlib, which is not installed: pip install 'stitchvlm[plot]'") from None
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, shared: bool = False
) -> "tuple[Figure, Any]":
    """A figure of so many inches, and its axes row by row; ``shared`` axes have one scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine(
        "constrained", h_pad=0.08
    )  # inches; with less, titles without one above them touch the edge
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)


def headline(figure: "Figure", text: str) -> None:
    """A title over all axes, at the left."""
    figure.suptitle(text, x=0.01, ha="left", fontweight="bold", fontsize=11)


def draw_intervals(axes: "Axes", places: Sequence[float], rows: Sequence[TableRow], **style: Any) -> None:
    """The accuracy of rows in per cent, with its interval."""
    middle = [100 * row.all["accuracy"] for row in rows]
    below = [100 * (row.all["accuracy"] - row.all["low"]) for row in rows]
    above = [100 * (row.all["high"] - row.all["accuracy"]) for row in rows]
    axes.errorbar(places, middle, [below, above], elinewidth=1, capsize=2, **style)


def draw_alone(axes: "Axes", study: StudyTable, intervals: bool = True) -> None:
    """Both models alone as levels across the axes, with or without their intervals."""
    for method, colour in ALONE.items():
        row = study.row_of(method)
        if row is not None:
            axes.axhline(100 * row.all["accuracy"], color=colour, linestyle="--", linewidth=1.2, label=row.name)
            if intervals:
                axes.axhspan(100 * row.all["low"], 100 * row.all["high"], color=colour, alpha=0.07, linewidth=0)
