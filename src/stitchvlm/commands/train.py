"""``stitch train``: makes the embedded pair anew."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stitchvlm.commands import options


def train(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where pictures, progress and the finished pair go.")],
    recipe: Annotated[str, typer.Option(metavar="NAME", help="Which recipe to follow.")] = "scenes",
    only: Annotated[Literal["small", "large"] | None, typer.Option(help="Train one model of the pair.")] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Stop after that long; run again to go on.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on from the progress in the folder.")] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Seed of the weights.")] = 7,
    fonts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Fonts to draw with. Default: those of the system.")
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Real receipts, for a recipe that reads documents; it does without."),
    ] = None,
    device: options.Device = None,
    threads: Annotated[int | None, typer.Option(metavar="N", min=1, help="CPU threads of torch.")] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that draw pictures.")] = 2,
    init_from: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A saved pair to begin with, where there is no progress in --out yet."),
    ] = None,
    begin: Annotated[
        str | None, typer.Option(metavar="STAGE", help="The stage that begins with it. Default: the last one.")
    ] = None,
    scale: Annotated[int, typer.Option(metavar="N", min=1, help="Multiplies pictures and tiles a step.")] = 1,
    pace: Annotated[float, typer.Option(metavar="F", help="Multiplies the time that every stage gets.")] = 1.0,
    pictures: Annotated[float, typer.Option(metavar="F", help="Multiplies the pictures to learn from.")] = 1.0,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile the layers; a CPU needs a C++ compiler for it.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Draw pictures and train the embedded pair on them."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.families import usable_device
    from stitchvlm.training import train as follow

    quieten()
    finished = follow(
        recipe,
        out,
        minutes,
        seed,
        resume,
        only=only,
        fonts=fonts,
        threads=threads,
        device=usable_device(device),
        workers=workers,
        init_from=init_from,
        begin=begin,
        scale=scale,
        pace=pace,
        pictures=pictures,
        receipts=receipts,
        compiled=compiled,
    )
    print(f"{out}/pair holds the pair" if finished else f"the time is up: the same command goes on in {out}")
