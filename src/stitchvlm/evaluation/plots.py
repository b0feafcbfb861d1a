"""The figures of a study: accuracy against cost, what exits give, where layers look, and pictures of single questions.

Needs matplotlib, the extra ``plot``. Figures are drawn without pyplot: nothing global is set, and no display is needed.
"""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE
from stitchvlm.evaluation.tables import StudyTable, TableRow
from stitchvlm.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_COLOURS = (
    "#009e73",
    "#d55e00",
    "#0072b2",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f5af0",
    "#8c564b",
    "#6b7a1e",
    "#b0305c",
)
_MARKERS = "os^Dv<>Ph"  # one fewer than colours, so that no pair comes twice among many methods
_INK, _FAINT, _LARGE, _SMALL = "#1c1e24", "#6e727c", "#1c1e24", "#8a8f99"
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e7ea",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "svg.hashsalt": "stitch",
}


def draw_figures(study: StudyTable) -> "dict[str, Figure]":
    """Every figure that the study has figures for, by a name fit for a file.

    Raises:
        ValueError: if matplotlib is missing.
    """
    with _style():
        figures = {
            "accuracy-retention": _accuracy_against_retention(study),
            "accuracy-seconds": _accuracy_against_seconds(study),
        }
        if study.exit_rows:
            figures["exits"] = _exits(study, study.exit_rows)
        if study.agreement:
            figures["agreement"] = _agreement(study.agreement)
        if study.gallery and study.folder is not None:
            figures["gallery"] = _gallery(study.gallery, study.folder)
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
    with _style():
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=160, metadata=metadata)
    return file.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    try:
        import matplotlib
    except ImportError:
        raise ValueError("figures need matplotlib, which is not installed: pip install 'stitchvlm[plot]'") from None
    with matplotlib.rc_context(_STYLE):
        yield


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _accuracy_against_retention(study: StudyTable) -> "Figure":
    figure, ((axes,),) = _figure(8.4, 4.8)
    lines = [line for line in _lines(study) if not line.exits]
    keeps = sorted({row.settings["keep"] for line in lines for row in line.rows})
    for line in lines:
        aside = 1 + 0.018 * (line.number - (len(lines) - 1) / 2)  # or intervals at the same share would hide each other
        line.draw(axes, [100 * row.all["average_retention"] * aside for row in line.rows])
    _alone(axes, study)
    if keeps:
        axes.set_xscale("log")
        axes.set_xlim(80 * keeps[0], 112)
    ticks = sorted({100 * keep for keep in keeps} | {100})
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("visual tokens computed, mean over layers (points moved apart a little)")
    return _finish(figure, axes, "Accuracy against retention", study)


def _accuracy_against_seconds(study: StudyTable) -> "Figure":
    figure, ((axes,),) = _figure(8.4, 4.8)
    for line in _lines(study):
        line.draw(axes, [_seconds(row) for row in line.rows])
    _alone(axes, study)
    for row, colour in ((study.row_of(SMALL_ALONE), _SMALL), (study.row_of(LARGE_ALONE), _LARGE)):
        if row is not None:
            _errorbar(axes, [_seconds(row)], [row], color=colour, marker="*", markersize=11, linestyle="none")
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds per question, median")
    return _finish(figure, axes, "Accuracy against seconds", study)


def _exits(study: StudyTable, rows: Sequence[TableRow]) -> "Figure":
    figure, ((left, right),) = _figure(10.4, 4.4, columns=2)
    for place, row in enumerate(rows):
        shares = [100 * point["exits"] for point in row.curve]
        accuracy, low, high = ([100 * point[name] for point in row.curve] for name in ("accuracy", "low", "high"))
        left.plot(shares, accuracy, color=_COLOURS[place % len(_COLOURS)], marker="o", markersize=3, label=row.name)
        if row is rows[-1]:  # those of the others would lie under it
            left.fill_between(shares, low, high, color=_COLOURS[place % len(_COLOURS)], alpha=0.15, linewidth=0)
        seconds = [point["seconds"] for point in row.curve]
        right.plot(shares, seconds, color=_COLOURS[place % len(_COLOURS)], marker="o", markersize=3, label=row.name)
    _alone(left, study)
    for alone, colour in ((study.row_of(SMALL_ALONE), _SMALL), (study.row_of(LARGE_ALONE), _LARGE)):
        if alone is not None:
            right.axhline(alone.all["seconds"], color=colour, linestyle="--", linewidth=1, label=alone.name)
    left.set_title("Accuracy")
    left.set_ylabel("accuracy, %, with 95 % interval")
    right.set_title("Seconds per question, mean")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("questions that the small model answers, %")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle("Every exit threshold", x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def _agreement(agreement: dict[str, Any]) -> "Figure":
    tops = agreement["top"]
    figure, (all_axes,) = _figure(10.4, 4.2, columns=len(tops))
    for axes, (share, told) in zip(all_axes, tops.items(), strict=True):
        for name, label, colour in (
            ("large_layers", "one layer of the large model", _COLOURS[2]),
            ("small_layers", "one layer of the small model", _COLOURS[4]),
        ):
            means = [100 * layer["mean"] for layer in told[name]]
            half = [100 * layer["half_width"] for layer in told[name]]
            depth = [100 * (number + 0.5) / len(means) for number in range(len(means))]
            axes.errorbar(depth, means, half, color=colour, marker="o", markersize=4, capsize=2, label=label)
        whole = told["small_all"]
        axes.axhline(100 * whole["mean"], color=_COLOURS[0], linewidth=2, label="all layers of the small model")
        low, high = (100 * (whole["mean"] + sign * whole["half_width"]) for sign in (-1, 1))
        axes.axhspan(low, high, color=_COLOURS[0], alpha=0.12, linewidth=0)
        axes.axhline(100 * told["chance"], color=_FAINT, linestyle=":", label="tokens drawn at random")
        axes.set_title(f"Top {float(share):.0%} of the visual tokens")
        axes.set_xlabel("depth of the layer in its model, %")
        axes.set_ylim(0, 100)
    all_axes[0].set_ylabel("top tokens shared with all layers\nof the large model, %")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    title = f"Who looks where the large model looks ({agreement['n']} questions)"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def _gallery(exhibits: Sequence[dict[str, Any]], folder: Path) -> "Figure":
    pictures = [[_open(folder / name) for name in one["pictures"]] for one in exhibits]
    height = sum(3.35 * row[0].height / row[0].width + 0.5 for row in pictures)
    figure, all_axes = _figure(10.4, height, columns=3, rows=len(exhibits))
    for one, row, row_axes in zip(exhibits, pictures, all_axes, strict=True):
        share = f"{one['n_kept']} of {one['n_visual']} visual tokens kept"
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


@dataclass(frozen=True)
class _Line:
    """Rows of one method and its options, from few tokens to many; ``number`` gives colour and marker in every figure."""

    name: str
    number: int
    exits: bool
    rows: list[TableRow]

    def draw(self, axes: "Axes", places: Sequence[float]) -> None:
        guided = self.rows[0].method == "guided"
        colour = _COLOURS[self.number % len(_COLOURS)]
        _errorbar(
            axes,
            places,
            self.rows,
            label=self.name,
            color=colour,
            marker=_MARKERS[self.number % len(_MARKERS)],
            markersize=5,
            markerfacecolor="white" if self.exits else colour,
            linestyle=":" if self.exits else "-" if self.number < len(_COLOURS) else "--",
            linewidth=2.2 if guided else 1.2,
            zorder=4 if guided else 3,
        )


def _lines(study: StudyTable) -> list[_Line]:
    """Every method that reduces something, guided first; what exits has its colour, and a line of its own."""
    found: dict[tuple[str, str], list[TableRow]] = {}
    for row in study.rows:
        if row.method not in (SMALL_ALONE, LARGE_ALONE):
            options = ", ".join(f"{name} {value}" for name, value in row.settings.get("options", {}).items())
            exit = f" + exit {row.settings['exit']}" if row.exits else ""
            found.setdefault((f"{row.method}{f' ({options})' if options else ''}", exit), []).append(row)
    ways = sorted(dict.fromkeys(way for way, _ in found), key=lambda way: not way.startswith("guided"))
    return [
        _Line(way + exit, ways.index(way), bool(exit), sorted(rows, key=lambda row: row.all["average_retention"]))
        for (way, exit), rows in sorted(found.items(), key=lambda line: ways.index(line[0][0]))
    ]


def _errorbar(axes: "Axes", places: Sequence[float], rows: Sequence[TableRow], **style: Any) -> None:
    middle = [100 * row.all["accuracy"] for row in rows]
    below = [100 * (row.all["accuracy"] - row.all["low"]) for row in rows]
    above = [100 * (row.all["high"] - row.all["accuracy"]) for row in rows]
    axes.errorbar(places, middle, [below, above], elinewidth=0.7, capsize=1.5, **style)


def _alone(axes: "Axes", study: StudyTable) -> None:
    """Both models alone as levels across the figure."""
    for method, colour in ((LARGE_ALONE, _LARGE), (SMALL_ALONE, _SMALL)):
        row = study.row_of(method)
        if row is not None:
            axes.axhline(100 * row.all["accuracy"], color=colour, linestyle="--", linewidth=1.2, label=row.name)
            axes.axhspan(100 * row.all["low"], 100 * row.all["high"], color=colour, alpha=0.05, linewidth=0)


def _finish(figure: "Figure", axes: "Axes", title: str, study: StudyTable) -> "Figure":
    axes.set_title(f"{title} ({study.task}, {max(row.all['n'] for row in study.rows)} questions)")
    axes.set_ylabel("accuracy, %, with 95 % interval")
    axes.set_ylim(-2, 102)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _seconds(row: TableRow) -> float:
    return row.all["stages"]["total"]["median"]


def _open(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _wrapped(text: str, width: int = 44) -> str:
    return "\n".join(textwrap.wrap(text, width)[:3])


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
