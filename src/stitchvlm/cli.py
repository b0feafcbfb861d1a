"""The command ``stitch``: a thin shell. Commands import what is heavy when they run, so that ``--help`` is quick."""

from typing import Annotated

import typer

from stitchvlm import __version__
from stitchvlm.commands.ask import ask
from stitchvlm.commands.bench import bench
from stitchvlm.commands.calibrate import calibrate
from stitchvlm.commands.checks import golden, verify
from stitchvlm.commands.compare import compare
from stitchvlm.commands.demo import demo
from stitchvlm.commands.evaluate import evaluate
from stitchvlm.commands.inspect import inspect
from stitchvlm.commands.methods import methods
from stitchvlm.commands.models import models
from stitchvlm.commands.report import report
from stitchvlm.commands.shell import Shell
from stitchvlm.commands.train import train

app = typer.Typer(
    cls=Shell,
    name="stitch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask")(ask)
app.command("demo")(demo)
app.command("eval")(evaluate)
app.command("compare")(compare)
app.command("report")(report)
app.command("bench")(bench)
app.command("calibrate")(calibrate)
app.command("methods")(methods)
app.command("models")(models)
app.command("inspect")(inspect)
app.command("golden")(golden)
app.command("verify")(verify)
app.command("train")(train)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"stitch {__version__}")
        raise typer.Exit


@app.callback()
def _stitch(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A small vision-language model guides a large one, and spares it where it is sure."""


def main() -> None:
    """Run the command line."""
    app()
