"""``stitch bench``: one question against the lower bound of this machine."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from stitchvlm.commands import options
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from rich.table import Table

    from stitchvlm.evaluation.bench import BenchResult
    from stitchvlm.evaluation.roofline import Machine, Stage
    from stitchvlm.records import Question


def bench(
    image: Annotated[str | None, typer.Option(metavar="IMAGE", help="A picture file. Default: a drawn one.")] = None,
    question: Annotated[
        str | None, typer.Option(metavar="QUESTION", help="What to ask about it. Default: the drawn picture's.")
    ] = None,
    small: options.Small = None,
    large: options.Large = None,
    device: options.Device = None,
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    cuda_graphs: options.CudaGraphs = True,
    keep: options.Keep = "9%",
    layer: options.Layer = None,
    method: options.Method = "guided",
    option: options.MethodOptions = None,
    max_tiles: options.MaxTiles = None,
    reuse_drafts: options.ReuseDrafts = True,
    max_new_tokens: options.MaxNewTokens = 64,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="How often to ask; medians are told.")] = 5,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Operations, bytes, the least time of this machine and the measured one of every stage, no question exiting early."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.commands.way import read_way
    from stitchvlm.evaluation.bench import Bench
    from stitchvlm.sampling import Sampling
    from stitchvlm.stitch import Stitch

    quieten()
    way = read_way(method, option, layer, large, max_tiles)
    asked = _asked(image, question)
    vlm = Stitch.from_pretrained(
        small,
        large,
        keep=keep,
        layer=layer,
        method=way,
        exit="never",
        device=device,
        dtype=dtype,
        quantize=quantize,
        lazy_large=True,
        max_tiles=max_tiles,
        sampling=Sampling(max_new_tokens),
        reuse_drafts=reuse_drafts,
        cuda_graphs=cuda_graphs,
    )
    result = Bench(vlm, asked).run(rounds)
    if as_json:
        print(json.dumps({"question": asked.text, **result.as_dict()}, ensure_ascii=False))
    else:
        _show(result, asked)


def _asked(image: str | None, question: str | None) -> "Question":
    from stitchvlm.evaluation.examples import drawn_examples
    from stitchvlm.stitch import make_question

    if image is not None and question is None:
        raise typer.BadParameter(f"--image {image} needs a --question about it")
    (example,) = drawn_examples((1,))
    return make_question(question or example.question, image or example.picture)


def _show(result: "BenchResult", asked: "Question") -> None:
    from rich.console import Console

    from stitchvlm.commands.account import answer_panel
    from stitchvlm.commands.tables import print_table

    console = Console(highlight=False)
    console.print(answer_panel(result.answer, asked.text))
    print_table(_table(result))
    for machine in dict.fromkeys(result.machines.values()):
        models = " and ".join(model for model, other in result.machines.items() if other == machine)
        console.print(f"{models} on {_best(machine)}")
    console.print(
        f"measured: median of {counted(result.rounds, 'round')} after a warm-up; bytes: the least that must be moved"
    )
    console.print(result.limit)


def _table(result: "BenchResult") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("stage", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("GFLOP", "MB", "least, ms", "bound by", "measured, ms", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in (*result.stages, result.total):
        table.add_row(*_cells(stage), style="bold" if stage.bound is None else None)
    return table


def _cells(stage: "Stage") -> list[str]:
    return [
        stage.name.replace("_", " "),
        f"{stage.work.flops / 1e9:.3f}",
        f"{stage.work.bytes / 1e6:.2f}",
        f"{stage.roofline * 1e3:.3f}",
        (stage.bound or "") if stage.roofline else "-",
        f"{stage.seconds * 1e3:.2f}",
        "-" if stage.ratio is None else f"{stage.ratio:.1f}",
    ]


def _best(machine: "Machine") -> str:
    did = f"{machine.flops / 1e9:.0f} GFLOP/s in a matrix product and {machine.bytes / 1e9:.1f} GB/s in a copy"
    return f"{machine.device} in {machine.dtype} did {did}"
