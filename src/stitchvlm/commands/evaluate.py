"""``stitch eval``: a whole task, one JSON line per question."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchvlm.commands import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from stitchvlm.evaluation.results import ResultFile
    from stitchvlm.evaluation.runner import Runner
    from stitchvlm.evaluation.summary import Summary
    from stitchvlm.evaluation.tasks import Sample


def evaluate(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Name of a task, such as scenes.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines; an interrupted run goes on where it stopped.")],
    n: Annotated[int | None, typer.Option("--n", metavar="N", help="Only the first N questions.")] = None,
    small: options.Small = None,
    large: options.Large = None,
    device: options.Device = None,
    small_device: options.SmallDevice = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = "auto",
    keep: options.Keep = "9%",
    layer: options.Layer = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="guided|random|none|small",
            help="Which tokens stay; none is the large model alone, small the small one alone.",
            rich_help_panel=options.REDUCTION,
        ),
    ] = "guided",
    max_tiles: options.MaxTiles = None,
    exit: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE|never|always",
            help="As for ask. Default: that of the embedded pair if guided, else never.",
            rich_help_panel=options.ANSWER,
        ),
    ] = None,
    max_new_tokens: options.MaxNewTokens = 64,
    seed: options.Seed = 0,
    no_both: Annotated[bool, typer.Option("--no-both", help="Do not also ask the model that was spared.")] = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Answer the questions of a task and count the right answers."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.evaluation.results import ResultFile
    from stitchvlm.evaluation.settings import RunSettings
    from stitchvlm.evaluation.summary import as_json as summaries_as_json
    from stitchvlm.evaluation.summary import summarise
    from stitchvlm.evaluation.tasks import load_task

    quieten()
    samples = load_task(task, n)
    settings = RunSettings(
        small, large, keep, layer, method, exit, dtype, max_tiles, max_new_tokens, seed, both=not no_both
    )
    results = ResultFile(out, settings.identity(task))
    asked = {sample.id for sample in samples}
    if not asked <= results.ids():
        _run(settings.load(device, small_device, device_map), samples, results)
    groups = summarise([record for record in results.records if record["id"] in asked])
    if as_json:
        print(json.dumps(summaries_as_json(groups)))
    else:
        from rich.console import Console

        Console(highlight=False).print(_table(groups, f"{task}, {method}: {len(asked)} questions"))


def _run(runner: "Runner", samples: "Sequence[Sample]", results: "ResultFile") -> None:
    """Answer what is left, with a bar on stderr that shows the accuracy so far."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("asking", total=len(samples), completed=len(results.ids() & {s.id for s in samples}))
        for _ in runner.run(samples, results):
            n_correct = sum(record["correct"] for record in results.records)
            progress.update(bar, advance=1, description=f"{n_correct / len(results.records):.1%} right")


def _table(groups: "dict[str, Summary]", title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, header_style="bold", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("kind", no_wrap=True)
    for name in ("n", "right", "95 % interval", "small", "large", "exits", "tokens", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind, group in groups.items():
        table.add_row(
            kind,
            str(group.n),
            _share(group.accuracy),
            f"{group.low:.1%}-{group.high:.1%}",
            _share(group.small_accuracy),
            _share(group.large_accuracy),
            _share(group.exits),
            _share(group.average_retention),
            f"{group.seconds:.3f}",
            style="bold" if kind == "all" else None,
        )
    table.caption = "tokens: share of visual tokens the large model computed, over layers and questions; 0 for an exit"
    table.caption_justify = "left"
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
