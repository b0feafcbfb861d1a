"""Accuracy against what it costs: one panel a method, so that many can be told apart, with the guided rows in each of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stitchvlm.evaluation.plots.style import ALONE, COLOURS, GUIDED, draw_alone, draw_intervals, headline, new_figure
from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE
from stitchvlm.evaluation.tables import StudyTable, TableRow, settings_of
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_ASIDE = 0.035
"""By which share of its place a row is moved aside, so that intervals at the same share do not hide each other."""
_BEHIND = "guided, for comparison"


@dataclass(frozen=True)
class _Line:
    """Rows that differ in their share alone, from few tokens to many."""

    name: str
    method: str
    exits: bool
    rows: list[TableRow]

    def draw(self, axes: "Axes", places: Sequence[float], number: int) -> None:
        """As the line of that number in its panel; empty marks where answers exit."""
        colour = GUIDED if self.method == "guided" else COLOURS[1 + number % (len(COLOURS) - 1)]
        fill = "white" if self.exits else colour
        style = {"color": colour, "marker": "os^Dv"[number % 5], "markersize": 5, "markerfacecolor": fill}
        line = ":" if self.exits else "--" if number else "-"
        draw_intervals(axes, places, self.rows, linestyle=line, linewidth=1.6, label=self.name, **style)

    def draw_behind(self, axes: "Axes", places: Sequence[float]) -> None:
        """Broad and pale, behind the lines of another method."""
        accuracy = [100 * row.all["accuracy"] for row in self.rows]
        axes.plot(
            places, accuracy, color=GUIDED, linewidth=5, alpha=0.35, solid_capstyle="round", label=_BEHIND, zorder=1
        )


def draw_retention(study: StudyTable) -> "Figure":
    """Accuracy against the share of visual tokens that the large model computed; what exits computes none and is left out."""
    lines = [line for line in _lines(study) if not line.exits]
    figure, all_axes = _panels(
        study, lines, ("Accuracy against retention", "visual tokens computed, %"), _percent_computed, _ASIDE
    )
    keeps = sorted({100 * row.settings["keep"] for line in lines for row in line.rows})
    ticks = sorted({*keeps, 100})
    for axes in all_axes:
        if keeps:
            axes.set_xscale("log")
            axes.set_xlim(0.75 * keeps[0], 115)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    return figure


def draw_seconds(study: StudyTable) -> "Figure":
    """Accuracy against the median seconds of a question; both models alone are stars."""
    figure, all_axes = _panels(study, _lines(study), ("Accuracy against seconds", "median seconds"), _seconds)
    for axes in all_axes:
        for method, colour in ALONE.items():
            if (row := study.row_of(method)) is not None:
                style = {"color": colour, "marker": "*", "markersize": 10, "linestyle": "none", "zorder": 2}
                draw_intervals(axes, [_seconds(row)], [row], **style)
        axes.set_xlim(left=0)
    return figure


def _panels(
    study: StudyTable,
    lines: Sequence[_Line],
    titles: tuple[str, str],
    place_of: Callable[[TableRow], float],
    apart: float = 0,
) -> "tuple[Figure, list[Axes]]":
    """A panel for every method with its lines, the plain guided one behind them; where nothing is reduced, an empty one.

    Args:
        titles: of the figure and of the horizontal axis.
        apart: by which share of their place the lines of a panel are moved apart.
    """
    methods = list(dict.fromkeys(line.method for line in lines)) or [""]
    columns = min(_COLUMNS, len(methods))
    n_rows = math.ceil(len(methods) / columns)
    height = 4.2 if n_rows == 1 else 2.5 * n_rows + 0.9
    figure, grid = new_figure(max(6.4, 3.1 * columns), height, columns, n_rows, shared=True)
    all_axes = list(grid.flat)
    guided = [line for line in lines if line.method == "guided" and not line.exits][:1]
    for method, axes in zip(methods, all_axes, strict=False):
        draw_alone(axes, study)
        own = [line for line in lines if line.method == method]
        for line in guided if method != "guided" else []:
            line.draw_behind(axes, [place_of(row) for row in line.rows])
        for number, line in enumerate(own):
            aside = 1 + apart * (number - (len(own) - 1) / 2)
            line.draw(axes, [place_of(row) * aside for row in line.rows], number)
        axes.set_title(method, fontsize=10)
        axes.set_ylim(-2, 102)
        if len(own) > 1:
            names = [line.name for line in own]
            axes.legend([_handles(axes)[name] for name in names], names, loc="lower right", fontsize=8)
    for axes in all_axes[len(methods) :]:
        axes.remove()
    for axes in all_axes[len(methods) - columns : len(methods)]:  # the last panel of every column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(titles[1])
    figure.supylabel("accuracy, %, with 95 % interval", fontsize=10)
    everywhere = _handles(all_axes[0]) | _handles(all_axes[len(methods) - 1])
    names = [name for name in (LARGE_ALONE, SMALL_ALONE, _BEHIND) if name in everywhere]
    figure.legend([everywhere[name] for name in names], names, loc="outside lower center", ncols=3)
    headline(figure, f"{titles[0]} ({study.task}, {counted(study.rows[0].all['n'], 'question')})")
    return figure, all_axes[: len(methods)]


def _lines(study: StudyTable) -> list[_Line]:
    """Every method that reduces something, guided first; what exits is a line of its own."""
    found: dict[tuple[str, str], list[TableRow]] = {}
    for row in study.rows:
        if row.method not in (SMALL_ALONE, LARGE_ALONE):
            settings = settings_of(row.settings)
            found.setdefault((settings.way_label + settings.exit_label, row.method), []).append(row)
    return [
        _Line(name, method, rows[0].exits, sorted(rows, key=lambda row: row.all["average_retention"]))
        for (name, method), rows in sorted(found.items(), key=lambda line: line[0][1] != "guided")
    ]


def _handles(axes: "Axes") -> dict[str, Any]:
    """What a legend shows for every name."""
    return dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))


def _percent_computed(row: TableRow) -> float:
    return 100 * row.all["average_retention"]


def _seconds(row: TableRow) -> float:
    return row.all["stages"]["total"]["median"]
