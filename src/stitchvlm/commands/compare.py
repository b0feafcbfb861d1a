"""``stitch compare``: many ways of answering on the same questions, in one run and one folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchvlm.commands import options
from stitchvlm.commands.evaluate import FirstN, Live, Metric, Strict, Task, tell_problems

if TYPE_CHECKING:
    from stitchvlm.evaluation.compare import Comparison
    from stitchvlm.evaluation.tables import StudyTable


def compare(
    task: Task,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; an interrupted run goes on where it stopped.")
    ],
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAME[:OPTION=VALUE],…",
            help="Methods to compare, such as guided,fastv:layer=1. Both models alone are always there.",
            rich_help_panel=options.REDUCTION,
        ),
    ] = "guided,random",
    keep: Annotated[
        str,
        typer.Option(
            metavar="SHARE,…",
            help="Shares of visual tokens that stay, averaged over the layers.",
            rich_help_panel=options.REDUCTION,
        ),
    ] = "35%,9%",
    exit: Annotated[
        str,
        typer.Option(
            metavar="SCORE|never,…",
            help="Exits to compare; what every threshold would have given is told anyway.",
            rich_help_panel=options.ANSWER,
        ),
    ] = "never",
    n: FirstN = None,
    metric: Metric = None,
    strict: Strict = False,
    small: options.Small = None,
    large: options.Large = None,
    device: options.Device = None,
    small_device: options.SmallDevice = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    cuda_graphs: options.CudaGraphs = True,
    max_tiles: options.MaxTiles = None,
    max_new_tokens: options.MaxNewTokens = 64,
    seed: options.Seed = 0,
    live: Live = 20,
    no_memory: Annotated[bool, typer.Option("--no-memory", help="Do not measure peak memory.")] = False,
    agreement: Annotated[
        int, typer.Option(metavar="N", min=0, help="On how many questions to compare the models' attention by layer.")
    ] = 50,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Answer the questions of a task in several ways and put the figures side by side."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.evaluation.compare import Comparison, Extras, make_rows, within_reach
    from stitchvlm.evaluation.settings import RunSettings
    from stitchvlm.evaluation.tables import STUDY
    from stitchvlm.evaluation.tasks import open_task

    quieten()
    base = RunSettings(
        small,
        large,
        dtype=dtype,
        quantize=quantize,
        max_tiles=max_tiles,
        max_new_tokens=max_new_tokens,
        seed=seed,
        exit="never",
    )
    rows, left_out = within_reach(make_rows(base, _listed(methods), _listed(keep), _listed(exit)))
    devices: dict[str, Any] = {
        "device": device,
        "small_device": small_device,
        "device_map": device_map,
        "cuda_graphs": cuda_graphs,
    }
    opened = open_task(task, n, metric, strict)
    extras = Extras(live, not no_memory, agreement)
    table = run_with_bar(Comparison(task, opened, rows, devices, strict, extras, left_out), out)
    if as_json:
        print((out / STUDY).read_text(encoding="utf-8"), end="")
    else:
        from stitchvlm.commands.tables import print_table, rows_table

        print_table(rows_table(table))


def run_with_bar(comparison: "Comparison", out: Path) -> "StudyTable":
    """Run it with a bar on stderr over all answers of all rows, and tell there what was left out."""
    from rich.console import Console

    from stitchvlm.commands.tables import progress_bar

    progress = progress_bar(Console(stderr=True))
    bar = progress.add_task("asking", total=len(comparison.task.samples) * len(comparison.rows))

    def notice(row: str, what: str, record: dict) -> None:
        progress.start()  # only now: what is wrong with the request is told without a bar before it
        progress.update(bar, advance=1 if record else None, description=row if record else f"{what}: {row}")

    try:
        table, problems = comparison.run(out, notice)
    finally:
        if progress.live.is_started:
            progress.stop()
    tell_problems(problems)
    return table


def _listed(text: str) -> list[str]:
    """The parts between commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"a list is written with commas between its parts, such as 35%,9%, not {text!r}")
    return parts
