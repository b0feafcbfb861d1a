"""The options that several commands share."""

from typing import Annotated, Literal

import typer

MODELS, REDUCTION, ANSWER = "Models", "What the large model sees", "Answer"

Small = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        rich_help_panel=MODELS,
        help="Hub id or folder of the guide. Default, if neither model is named: the embedded pair.",
    ),
]
Large = Annotated[
    str | None,
    typer.Option(metavar="MODEL", rich_help_panel=MODELS, help="Hub id or folder of the model that is guided."),
]
Device = Annotated[
    str | None,
    typer.Option(rich_help_panel=MODELS, metavar="DEVICE", help="Such as cpu or cuda:1. Default: CUDA if present."),
]
SmallDevice = Annotated[
    str | None,
    typer.Option(rich_help_panel=MODELS, metavar="DEVICE", help="Where the small model runs. Default: --device."),
]
DeviceMap = Annotated[
    Literal["auto", "balanced", "balanced_low_0", "sequential"] | None,
    typer.Option(rich_help_panel=MODELS, help="Spread the large model over all devices, as accelerate does."),
]
Dtype = Annotated[
    str,
    typer.Option(rich_help_panel=MODELS, help="float32, float16, bfloat16, or auto for the checkpoints' own."),
]
Quantize = Annotated[
    Literal["int8", "int4"] | None,
    typer.Option(
        rich_help_panel=MODELS,
        help="Hold the large model's decoder in 8 or 4 bits, with bitsandbytes; the rest and the small model stay as they are.",
    ),
]
LazyLarge = Annotated[
    bool,
    typer.Option("--lazy-large", rich_help_panel=MODELS, help="Load the large model only when it is first needed."),
]
Keep = Annotated[
    str,
    typer.Option(
        rich_help_panel=REDUCTION,
        metavar="SHARE",
        help="Share of visual tokens that stays, averaged over the layers; with --layer, the share from there on.",
    ),
]
Layer = Annotated[
    int | None,
    typer.Option(rich_help_panel=REDUCTION, metavar="K", help="Decoder layer, from 0, before which tokens leave."),
]
Method = Annotated[
    str,
    typer.Option(rich_help_panel=REDUCTION, metavar="NAME", help="Which tokens stay; `stitch methods` lists them all."),
]
MethodOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", rich_help_panel=REDUCTION, metavar="NAME=VALUE", help="An option of the method; may be repeated."
    ),
]
Exit = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=ANSWER,
        metavar="SCORE|never|always|FILE",
        help="The small model's answer stands from this score on, or as a file of stitch calibrate says. "
        "Default: the embedded pair's own with the settings that it was fitted for, else never.",
    ),
]
ReuseDrafts = Annotated[
    bool,
    typer.Option(
        "--reuse-drafts/--no-reuse-drafts",
        rich_help_panel=ANSWER,
        help="The large model verifies the draft in its prefill: the same greedy answer, sooner.",
    ),
]
CudaGraphs = Annotated[
    bool,
    typer.Option(
        "--cuda-graphs/--no-cuda-graphs",
        rich_help_panel=MODELS,
        help="On a GPU, replay the small model's decoding steps as CUDA graphs: the same draft, sooner.",
    ),
]
MaxNewTokens = Annotated[int, typer.Option(rich_help_panel=ANSWER, metavar="N", help="Most tokens of an answer.")]
MaxTiles = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=REDUCTION,
        metavar="N",
        help="Most tiles per picture (Qwen-VL: 256 tokens each). Default: the checkpoint's.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        rich_help_panel=ANSWER, metavar="N", min=0, max=2**32 - 1, help="Seed of sampling and of random methods."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
"""Read by the shell, whatever the command."""
