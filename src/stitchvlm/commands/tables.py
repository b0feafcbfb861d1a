"""Tables and bars of the measuring commands."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stitchvlm.evaluation.summary import Summary, asked_about
from stitchvlm.evaluation.tables import StudyTable
from stitchvlm.plural import counted


def progress_bar(console: Console) -> Progress:
    """A bar with what was said last, how many are done and the time that is left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def print_table(table: Table) -> None:
    """Print a table as wide as its figures are: a narrow terminal wraps lines rather than losing digits."""
    width = Console(width=1000).measure(table).maximum
    console = Console(highlight=False)
    Console(highlight=False, width=max(width, console.width)).print(table)


def kinds_table(groups: Mapping[str, Summary], title: str, reduced: bool) -> Table:
    """Kinds of question down, what one way of answering made of them across.

    Args:
        reduced: whether the large model's own answers were given to fewer visual tokens than the picture has.
    """
    large = "reduced large" if reduced else "large"
    names = ("n", "right", "95 % interval", "small", large, "exits", "tokens", "seconds")
    table = _table("kind", names, title)
    for kind, group in groups.items():
        table.add_row(
            kind,
            str(group.n),
            _share(group.accuracy),
            "-" if group.low is None or group.high is None else f"{group.low:.1%}-{group.high:.1%}",
            _share(group.small_accuracy),
            _share(group.large_accuracy),
            _share(group.exits),
            _share(group.average_retention),
            f"{group.seconds:.3f}",
            style="bold" if kind == "all" else None,
        )
    lines = ["tokens: share of visual tokens the large model computed, over layers and questions; 0 for an exit"]
    lines.append("seconds: mean, put together from the stages")
    if reduced:
        lines.append("reduced large: its own answers with its tokens reduced in this way; alone: --method large-alone")
    if groups["all"].accuracy is None and (agreement := groups["all"].agreement) is not None:
        lines.append(f"nobody said what is right; small and large agree on {agreement:.1%}")
    if (difference := groups["all"].difference) is not None:
        shared = (
            ""
            if difference.n == groups["all"].n
            else f", on the {counted(difference.n, 'question')} that it was asked too"
        )
        told = _signed(difference.mean, difference.low, difference.high)
        lines.append(f"against the large model alone: {told}{shared}")
    table.caption = "\n".join(lines)
    table.caption_justify = "left"
    return table


def rows_table(study: StudyTable) -> Table:
    """Ways of answering down, their figures over all questions across, narrow enough for 80 columns."""
    asked = asked_about(study.rows[0].all["n"], study.rows[0].all.get("pictures"))
    names = ("right", "95 %", "against large", "tokens", "exits", "seconds")
    table = _table("way of answering", names, f"{study.task}, {asked}: {study.small} and {study.large}")
    for row in study.rows:
        told: dict[str, Any] = row.all
        difference = told["difference"]
        table.add_row(
            row.name,
            _share(told["accuracy"]),
            f"{told['low'] * 100:.1f}-{told['high'] * 100:.1f}",
            "-" if difference is None else _signed(difference["mean"], difference["low"], difference["high"]),
            _share(told["average_retention"]),
            f"{told['exits']:.0%}",
            f"{told['stages']['total']['median']:.3f}",
        )
    lines = ["against large: difference from the large model alone, in points"]
    lines += ["seconds: median, put together from the stages of each way"]
    lines += ["live latency, memory and operations: stitch report"]
    table.caption = "\n".join([*lines, *study.warnings, *(f"not compared: {one}" for one in study.left_out)])
    table.caption_justify = "left"
    return table


def _table(first: str, names: tuple[str, ...], title: str) -> Table:
    table = Table(title=title, header_style="bold", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean * 100:+.1f} ({low * 100:+.1f} to {high * 100:+.1f})"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
