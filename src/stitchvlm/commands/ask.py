"""``stitch ask``: one question about one picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchvlm.commands import options

if TYPE_CHECKING:
    from stitchvlm.exits import SmallEarlyExit
    from stitchvlm.records import Answer, Question
    from stitchvlm.stitch import Stitch


def ask(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture file.", show_default=False)],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it.", show_default=False)],
    small: options.Small = None,
    large: options.Large = None,
    device: options.Device = None,
    small_device: options.SmallDevice = None,
    device_map: options.DeviceMap = None,
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    cuda_graphs: options.CudaGraphs = True,
    lazy_large: options.LazyLarge = False,
    keep: options.Keep = "9%",
    layer: options.Layer = None,
    method: options.Method = "guided",
    option: options.MethodOptions = None,
    max_tiles: options.MaxTiles = None,
    exit: options.Exit = None,
    guide_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most tokens of the draft, for long answers.", rich_help_panel=options.ANSWER),
    ] = None,
    reuse_drafts: options.ReuseDrafts = True,
    speculate: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            rich_help_panel=options.ANSWER,
            help="Tokens that the small model guesses after each round of the large one, for long answers.",
        ),
    ] = 0,
    max_new_tokens: options.MaxNewTokens = 64,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="System message.", rich_help_panel=options.ANSWER)
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest token.", rich_help_panel=options.ANSWER)
    ] = 0.0,
    seed: options.Seed = 0,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer while it is made.")] = False,
    as_json: options.Json = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture of what was kept and of the guide map.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Ask about a picture: the small model looks first, the large one answers if need be."""
    if stream and as_json:
        raise typer.BadParameter("--stream and --json exclude each other")
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.commands.way import read_way
    from stitchvlm.exits import SmallEarlyExit
    from stitchvlm.overlay import check_output, draw_overlay, save_picture
    from stitchvlm.sampling import Sampling
    from stitchvlm.stitch import Stitch, make_question

    quieten()
    if overlay is not None:
        check_output(overlay)
    way = read_way(method, option, layer, large, max_tiles)
    asked = make_question(question, image, system)
    vlm = Stitch.from_pretrained(
        small,
        large,
        keep=keep,
        layer=layer,
        method=way,
        exit=exit,
        device=device,
        small_device=small_device,
        device_map=device_map,
        dtype=dtype,
        quantize=quantize,
        lazy_large=lazy_large,
        guide_tokens=guide_tokens,
        max_tiles=max_tiles,
        sampling=Sampling(max_new_tokens, temperature=temperature, seed=seed),
        score_drafts=True,
        reuse_drafts=reuse_drafts,
        cuda_graphs=cuda_graphs,
        speculate=speculate,
        trace=True,
    )
    answer = _streamed(vlm, asked) if stream else vlm.answer([asked])[0]
    policy = vlm.exit
    assert isinstance(policy, SmallEarlyExit), "what is read from text is one"
    if as_json:
        from stitchvlm.commands.account import exit_account

        print(json.dumps(answer.as_dict() | {"exit": exit_account(policy)}, ensure_ascii=False))
    else:
        _show(answer, asked, policy, with_text=not stream)
    if overlay is not None:
        save_picture(draw_overlay(answer, asked.images[0], question), overlay)
        if not as_json:
            print(f"overlay: {overlay}")


def _streamed(vlm: "Stitch", asked: "Question") -> "Answer":
    """The answer, printed while the large model makes it; a draft that stands is printed whole."""
    from stitchvlm.commands.stream import AnswerPrinter

    return vlm.answer([asked], streamer=AnswerPrinter(vlm))[0]


def _show(answer: "Answer", asked: "Question", policy: "SmallEarlyExit", with_text: bool) -> None:
    from rich.console import Console

    from stitchvlm.commands.account import answer_account, answer_panel

    console = Console(highlight=False)
    if with_text:
        console.print(answer_panel(answer, asked.text))
    console.print(answer_account(answer, policy))
