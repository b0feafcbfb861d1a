"""What every exit threshold would have given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stitchvlm.evaluation.plots.style import ALONE, COLOURS, draw_alone, headline, new_figure
from stitchvlm.evaluation.tables import StudyTable, TableRow
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS, _LINES = "os^Dv<", ("-", "--", "-.", ":")


def draw_exits(study: StudyTable, rows: Sequence[TableRow]) -> "Figure":
    """Accuracy and mean seconds against the share of questions that exit, a line for each share of visual tokens."""
    figure, ((left, right),) = new_figure(10.4, 4.4, columns=2)
    for place, row in enumerate(rows):
        shares = [100 * point["exits"] for point in row.curve]
        accuracy, low, high = ([100 * point[name] for point in row.curve] for name in ("accuracy", "low", "high"))
        style = {"color": COLOURS[place % len(COLOURS)], "marker": _MARKERS[place % len(_MARKERS)], "markersize": 4}
        style |= {"linestyle": _LINES[place % len(_LINES)], "linewidth": 1.3, "label": row.curve_name}
        left.plot(shares, accuracy, **style)
        if row is rows[-1]:  # those of the others would lie under it
            left.fill_between(
                shares, low, high, color=style["color"], alpha=0.15, linewidth=0, label=f"{row.curve_name}, 95 %"
            )
        right.plot(shares, [point["seconds"] for point in row.curve], **style)
    draw_alone(left, study, intervals=False)
    for method, colour in ALONE.items():
        if (alone := study.row_of(method)) is not None:
            right.axhline(alone.all["seconds"], color=colour, linestyle="--", linewidth=1, label=alone.name)
    left.set_title("Accuracy")
    left.set_ylabel("accuracy, %")
    right.set_title("Seconds per question, mean")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("questions that the small model answers, %")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    headline(figure, f"Every exit threshold ({study.task}, {counted(study.rows[0].all['n'], 'question')})")
    return figure
