"""``stitch inspect``: what a checkpoint makes of a picture, without its weights."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchvlm.commands import options
from stitchvlm.plural import counted

if TYPE_CHECKING:
    from stitchvlm.inspection import Inspection, View


def inspect(
    checkpoint: Annotated[
        str | None,
        typer.Argument(metavar="CHECKPOINT", help="Hub id or folder. Default: the embedded pair's large model."),
    ] = None,
    image_size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the picture in pixels.")
    ] = "1344x896",
    keep: options.Keep = "9%",
    layer: options.Layer = None,
    max_tiles: options.MaxTiles = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tell a checkpoint's family, the visual tokens of a picture and what a setting keeps; no weights are loaded."""
    from stitchvlm.commands.quiet import quieten
    from stitchvlm.embedded import EMBEDDED_PAIR
    from stitchvlm.inspection import inspect_checkpoint, parse_size

    quieten()
    told = inspect_checkpoint(checkpoint or EMBEDDED_PAIR[1], parse_size(image_size), keep, layer, max_tiles)
    if as_json:
        print(json.dumps(_as_dict(told)))
    else:
        _show(told)


def _as_dict(told: "Inspection") -> dict[str, Any]:
    return {
        "checkpoint": told.checkpoint,
        "family": told.family,
        "layers": told.n_layers,
        "image_size": told.image_size,
        "visual_tokens": told.n_visual,
        "tiles": told.n_tiles,
        "cuts_margins": told.cuts_margins,
        "detail": None if told.detail is None else vars(told.detail),
        "overview": None if told.overview is None else vars(told.overview),
        "structural_tokens": told.n_structural,
        "pruned_before_layer": told.layer,
        "kept": told.n_kept,
        "kept_per_layer": told.kept_per_layer,
        "average_retention": told.average_retention,
    }


def _show(told: "Inspection") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    width, height = told.image_size
    table.add_row("checkpoint", told.checkpoint)
    table.add_row("family", f"{told.family}, {counted(told.n_layers, 'layer')} in the language model")
    seen = f"{counted(told.n_visual, 'visual token')} in {counted(told.n_tiles, 'tile')}"
    table.add_row("picture", f"{width} x {height} pixels: {seen}")
    if told.cuts_margins:
        table.add_row("margins", "blank ones of a scanned page are cut off before: this is told of one without any")
    table.add_row("in detail", "nothing, the picture is too thin" if told.detail is None else _view(told.detail))
    if told.overview is not None:
        table.add_row("overview", _view(told.overview))
    if told.n_structural:
        table.add_row("newlines", f"{counted(told.n_structural, 'token')} to tell rows apart")
    before = "all stay in every layer" if told.layer is None else f"from layer {told.layer} on {told.n_kept} stay"
    table.add_row("kept", f"{before}, {told.average_retention:.1%} of the work averaged over the layers")
    Console(highlight=False).print(table)


def _view(view: "View") -> str:
    return f"{view.columns} x {view.rows} tokens in {view.tile_columns} x {view.tile_rows} tiles"
