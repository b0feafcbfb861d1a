"""``stitch calibrate``: an exit threshold that keeps a promise, from recorded answers."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchvlm.commands import options
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from rich.table import Table

    from stitchvlm.calibration.split import Draw


def calibrate(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA…",
            help="Results of stitch eval or compare; of several, as of several shares, the best is chosen.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Option(metavar="KIND=VALUE", help="exit=0.4, accuracy-loss=0.01 or seconds=0.5 per question."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="JSON file to write, for --exit.")],
    risk: Annotated[
        float | None, typer.Option(help="Probability that the promise of an accuracy loss is wrong. Default: 0.05.")
    ] = None,
    score: Annotated[
        str,
        typer.Option(metavar="SCORE", help="confidence, mean (the paper's), consistency, or the last two per token."),
    ] = "confidence",
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Results of large-alone; counts what reduction costs as well.")
    ] = None,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="The large model's answers stand in for the right ones.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="The part of an id that is shared by questions that depend on each other; one of them is drawn. Default: of "
            "the questions about one picture.",
        ),
    ] = None,
    report: Annotated[float, typer.Option(metavar="SHARE", help="Share of the pictures set aside to report.")] = 0.2,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Of the draw, the split and the rounding; not to be chosen by its results."
        ),
    ] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Reliability diagram, PNG or SVG.")] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fit the exit threshold to a target; a loss of accuracy is promised for new questions, not just met on these."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.evaluation.calibrate import as_json as told
    from stitchvlm.evaluation.calibrate import calibrate as fit
    from stitchvlm.evaluation.recorded import Recorded
    from stitchvlm.evaluation.reliability import check_plot, draw_reliability
    from stitchvlm.evaluation.target import Target

    quieten()
    wanted = Target.parse(target)
    if risk is not None and wanted.kind != "accuracy-loss":
        raise ValueError(f"--risk {risk:g} goes with accuracy-loss, and {target} promises no bound: leave it out")
    if out.suffix != ".json":
        raise ValueError(f"--exit takes files that end in .json, not {out.name}: choose another name")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} to: make it first")
    if plot is not None:
        check_plot(plot)
    found = fit(
        [Recorded.read(path) for path in data],
        wanted,
        risk=0.05 if risk is None else risk,
        score=score,  # type: ignore[arg-type]
        report=report,
        seed=seed,
        group=group,
        reference=None if reference is None else Recorded.read(reference),
        agreement=agreement,
    )
    found.calibration.write(out)
    if plot is not None:
        aside, threshold = found.aside, found.calibration.threshold
        title = (
            f"{Path(found.source).name}: {counted(len(aside.score), 'question')} that the fit never saw, score {score}"
        )
        draw_reliability(aside.score, aside.small, aside.large, threshold, title, plot)
    if found.warning:
        print(f"stitch: warning: {found.warning}", file=sys.stderr)
    if as_json:
        print(json.dumps(told(found)))
    else:
        from rich.console import Console

        Console(highlight=False).print(_table(told(found), found.draw, len(data), out, plot))


def _table(found: dict[str, Any], draw: "Draw", n_ways: int, out: Path, plot: Path | None) -> "Table":
    from rich.table import Table

    from stitchvlm.evaluation.tables import label_of

    fitted, report = found["fitted"], found["report"]
    right = "right" if found["labels"] == "gold" else "as the large model"
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    if n_ways > 1:
        table.add_row("chosen", f"{label_of(found['settings'])}, of {n_ways} ways: {found['source']}")
    table.add_row("exits", f"where the score ({found['score']}) is at least {found['threshold']:.6g}")
    table.add_row("promise", found["promise"])
    table.add_row("why", found["theorem"] or "a figure of these questions, not a bound")
    table.add_row("fitted on", f"{draw.count(fitted['n'])}, of which {fitted['exits']:.1%} exit")
    if found["target"].startswith("seconds"):
        table.add_row("seconds", f"{fitted['value']:.3g} on average on these, as they were recorded")
    table.add_row(
        "set aside",
        f"{draw.count(report['n'])}: {report['exits']:.1%} exit ({_range(report['exits_interval'])}), "
        f"{report['accuracy']:.1%} {right} against {report['reference_accuracy']:.1%}, "
        f"a loss of {100 * report['loss']:.1f} points ({_points(report['loss_interval'])})",
    )
    table.add_row("written", f"{out}: use it with --exit {out}")
    if plot is not None:
        table.add_row("plot", str(plot))
    return table


def _range(ends: list[float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _points(ends: list[float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
