"""``stitch golden`` and ``stitch verify``: does this installation compute what it should, on weights that you own?"""

from pathlib import Path
from typing import Annotated

import typer

from stitchvlm.commands import options


def golden(
    pair: Annotated[Path, typer.Argument(metavar="PAIR_DIR", help="Folder of a recorded pair.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Safetensors file to write.")],
    debug: options.Debug = False,
) -> None:
    """Recompute the tensors of a recorded pair, to be compared with what the official release gave."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.golden import run_golden

    quieten()
    if not pair.is_dir():
        raise ValueError(f"there is no folder {pair}: give the folder of a recorded pair")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} to: make it first")
    print(f"{out}: {run_golden(pair, out)} tensors")


def verify(
    small: Annotated[str, typer.Option(metavar="MODEL", help="Hub id or folder of the guide.")],
    large: Annotated[str, typer.Option(metavar="MODEL", help="Hub id or folder of the model that is guided.")],
    device: options.Device = None,
    small_device: options.SmallDevice = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = "auto",
    debug: options.Debug = False,
) -> None:
    """Check a pair of checkpoints: results as in transformers, a true guide map, sound pruning, a short timing."""
    from rich.console import Console
    from rich.table import Table

    from stitchvlm.commands.account import printable
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.families.dtypes import parse_dtype
    from stitchvlm.verify import run_checks

    quieten()
    results = run_checks(
        small, large, device=device, small_device=small_device, device_map=device_map, dtype=parse_dtype(dtype)
    )
    table = Table("check", "result", "detail", box=None, header_style="bold", pad_edge=False)
    table.add_column("seconds", justify="right")
    failed = 0
    progress = Console(stderr=True)
    with progress.status("loading") as status:
        for result in results:
            status.update(f"{result.name}: {'passed' if result.passed else 'FAILED'}")
            verdict = "[green]passed[/]" if result.passed else "[bold red]FAILED[/]"
            table.add_row(result.name, verdict, printable(result.detail), f"{result.seconds:.1f}")
            failed += not result.passed
    Console(highlight=False).print(table)
    if failed:
        raise typer.Exit(1)
