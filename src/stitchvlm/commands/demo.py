"""``stitch demo``: a few questions about a few pictures, with overlays to look at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchvlm.commands import options

if TYPE_CHECKING:
    from rich.table import Table

    from stitchvlm.records import Answer


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the overlays go.")] = Path("demo-output"),
    small: options.Small = None,
    large: options.Large = None,
    keep: options.Keep = "9%",
    exit: options.Exit = None,
    device: options.Device = None,
    debug: options.Debug = False,
) -> None:
    """Ask about checked-in and freshly drawn pictures, and write what was looked at."""
    from rich.console import Console

    from stitchvlm.commands.quiet import quieten
    from stitchvlm.evaluation.examples import demo_examples
    from stitchvlm.overlay import draw_overlay, save_picture
    from stitchvlm.stitch import Stitch

    quieten()
    out.mkdir(parents=True, exist_ok=True)
    vlm = Stitch.from_pretrained(small, large, keep=keep, exit=exit, device=device)
    table = _empty_table()
    console = Console(highlight=False)
    with Console(stderr=True).status("looking") as status:
        for example in demo_examples():
            status.update(f"looking at {example.name}")
            answer = vlm(example.question, image=example.picture)
            save_picture(draw_overlay(answer, example.picture, example.question), out / f"{example.name}.png")
            _add_row(table, example.question, example.gold, answer)
    console.print(table)
    console.print(f"The pictures {out}/*.png show what the large model kept and where the small one looked.")


def _empty_table() -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("question", "answer", "right", "answered by", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("tokens kept", justify="right")
    table.add_column("seconds", justify="right")
    return table


def _add_row(table: "Table", question: str, gold: str, answer: "Answer") -> None:
    from stitchvlm.commands.account import printable
    from stitchvlm.evaluation.metrics import is_correct

    text = printable(answer.text)
    text.stylize("green" if is_correct(answer.text, gold) else "red")
    trace = answer.trace
    tokens = f"{trace.n_kept} of {trace.n_visual}"
    table.add_row(question, text, gold, answer.answered_by, tokens, f"{trace.seconds['total']:.2f}")
