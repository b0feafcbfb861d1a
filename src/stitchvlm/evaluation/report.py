"""One page that tells a study: tables, figures and pictures in a single HTML file that needs nothing from anywhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stitchvlm.evaluation.curve import at_shares
from stitchvlm.evaluation.plots import draw_figures, render, save_figures
from stitchvlm.evaluation.settings import LARGE_ALONE, SMALL_ALONE
from stitchvlm.evaluation.summary import asked_about
from stitchvlm.evaluation.tables import StudyTable, slug
from stitchvlm.files import replace_file
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CAPTIONS = {
    "accuracy-retention": "Accuracy against the share of visual tokens that the large model computed, averaged over its layers. "
    "Bars are 95 % intervals; lines of one panel are moved apart a little.",
    "accuracy-seconds": "Accuracy against the median seconds of a question, better up and to the left. Stars: one model alone.",
    "exits": "What every exit threshold would have given, from one run: both models' answers are on file.",
    "agreement": "How many of the large model's top tokens, over all its layers, a single layer finds, and the whole small model.",
    "gallery": "Questions that the small model had wrong, and the large one right on what the small one's attention kept.",
}
_STAGES = ("small_prepare", "small_encode", "small_prefill", "small_decode", "exit_check")
_LARGE_STAGES = ("large_prepare", "large_encode", "large_own_map", "large_prefill", "large_decode")


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it: a picture inside the page itself."""

    name: str
    caption: str
    source: str


def write_report(studies: Sequence[StudyTable], path: Path, plots: Path | None = None) -> list[Path]:
    """Write the page, and with ``plots`` every figure as PNG and SVG into that folder; gives what was written.

    Raises:
        ValueError: if matplotlib or jinja2 is missing, or there is no folder to write to.
        OSError: if a file cannot be written.
    """
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to: make it first")
    drawn = [draw_figures(study) for study in studies]
    page = render_page(studies, drawn)
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    written = [path]
    for title, figures in zip(titles(studies), drawn, strict=True):
        if plots is not None:
            written += save_figures(figures, plots if len(studies) == 1 else plots / slug(title))
    return written


def render_page(studies: Sequence[StudyTable], drawn: "Sequence[dict[str, Figure]]") -> str:
    """The page as HTML.

    Raises:
        ValueError: if jinja2 is missing.
    """
    try:
        import jinja2
    except ImportError:
        raise ValueError("a report needs jinja2, which is not installed: pip install 'stitchvlm[plot]'") from None
    text = files("stitchvlm.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": _percent,
        "points": _points,
        "interval": _interval,
        "short": _short,
        "counted": counted,
    }
    environment.filters["at_shares"] = at_shares
    parts = [
        {
            "study": study,
            "title": title,
            "asked": asked_about(study.rows[0].all["n"], study.rows[0].all.get("pictures")),
            "settings": study.rows[0].settings,
            "drawings": [_drawing(name, figure) for name, figure in figures.items()],
            "rows": rows_with_both_alone(study),
            "kinds": sorted({kind for row in study.rows for kind in row.groups} - {"all"}),
            "stages": _stages(study),
            "runs": _runs(study),
            "id": slug(title),
        }
        for title, study, figures in zip(titles(studies), studies, drawn, strict=True)
    ]
    return environment.from_string(text).render(parts=parts)


def titles(studies: Sequence[StudyTable]) -> list[str]:
    """Each study by its task; several of one task with the names of their folders, or numbers where those are alike too."""
    tasks = [study.task for study in studies]
    named = [
        f"{task} ({study.folder.name})" if tasks.count(task) > 1 and study.folder else task
        for task, study in zip(tasks, studies, strict=True)
    ]
    return [
        f"{name}, {named[:place].count(name) + 1}" if named.count(name) > 1 else name
        for place, name in enumerate(named)
    ]


def rows_with_both_alone(study: StudyTable) -> list[dict[str, Any]]:
    """Every row for the table; a model alone that was not asked has a row that says how to ask it, or what is known of it.

    The small model's answers are on file with every row that asked both, so its accuracy is known all the same.
    """
    rows = [{"name": row.name, "row": row, "all": row.all, "note": ""} for row in study.rows]
    missing = []
    for method in (SMALL_ALONE, LARGE_ALONE):
        if study.row_of(method) is None:
            note = f"not measured: stitch eval TASK --method {method}"
            known = next((row.all for row in study.rows if row.all["small_accuracy"] is not None), None)
            if method == SMALL_ALONE and known is not None:
                note = f"{_percent(known['small_accuracy'])} from the answers on file; its seconds were not measured"
            missing.append({"name": method, "row": None, "all": None, "note": note})
    return missing + rows


def _drawing(name: str, figure: "Figure") -> Drawing:
    kind, mime = ("png", "image/png") if name == "gallery" else ("svg", "image/svg+xml")
    encoded = base64.b64encode(render(figure, kind)).decode("ascii")
    return Drawing(name, _CAPTIONS[name], f"data:{mime};base64,{encoded}")


def _stages(study: StudyTable) -> list[str]:
    """The stages that any row has, in the order of the path."""
    found = {stage for row in study.rows for stage in row.all["stages"]}
    return [stage for stage in (*_STAGES, *_LARGE_STAGES) if stage in found]


def _runs(study: StudyTable) -> list[dict[str, Any]]:
    """Where the figures come from, each place once."""
    places: list[dict[str, Any]] = []
    for row in study.rows:
        places += [run for run in row.runs if run not in places]
    return places


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _points(difference: dict[str, float] | None) -> str:
    if difference is None:
        return "–"
    mean, low, high = (100 * difference[name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _interval(group: dict[str, float]) -> str:
    return f"{100 * group['low']:.1f} – {100 * group['high']:.1f}"


def _short(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
