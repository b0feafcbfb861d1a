"""What a checkpoint makes of a picture, and what a setting would keep of that: told from its small files, without weights."""

import re
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from stitchvlm.adaptive import MassKeep
from stitchvlm.families import load_hollow
from stitchvlm.images import MAX_PIXELS
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Guided
from stitchvlm.records import Question
from stitchvlm.schedule import parse_keep
from stitchvlm.shapes import Bool


@dataclass(frozen=True)
class View:
    """One way in which a picture is shown: in detail, or as an overview.

    Attributes:
        columns, rows: of visual tokens over the whole picture.
        tile_columns, tile_rows: of the tiles that these lie in.
    """

    n_tokens: int
    columns: int
    rows: int
    tile_columns: int
    tile_rows: int

    @classmethod
    def of(cls, layout: VisualLayout, mask: Bool[Tensor, " n_visual"]) -> "View | None":
        """The view that the tokens of the mask make up; None where there are none."""
        if not mask.any():
            return None
        corners, number = layout.box[mask, :2], layout.tile_number[mask]
        tiles = torch.stack([corners[number == tile].amin(0) for tile in number.unique()])
        return cls(len(corners), *_n_different(corners), *_n_different(tiles))


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint makes of one picture.

    Attributes:
        n_layers: depth of the language model.
        n_structural: visual tokens that separate rows and show nothing.
        n_tiles: what the vision encoder sees, the overview included.
        cuts_margins: whether blank margins of scanned pages are cut off before; what is told is of a page without any.
        detail: None where a picture is so thin that none of its crops shows anything of it.
        overview: None where the picture is seen in one view only.
        layer: before which layer tokens leave; None where all stay.
        kept_per_layer: visual tokens that each layer computes.
    """

    checkpoint: str
    family: str
    n_layers: int
    image_size: tuple[int, int]
    n_visual: int
    n_tiles: int
    cuts_margins: bool
    detail: View | None
    overview: View | None
    n_structural: int
    layer: int | None
    kept_per_layer: tuple[int, ...]

    @property
    def n_kept(self) -> int:
        return self.kept_per_layer[-1]

    @property
    def average_retention(self) -> float:
        return sum(self.kept_per_layer) / (self.n_layers * self.n_visual)


def inspect_checkpoint(
    source: str,
    size: tuple[int, int],
    keep: float | str = 0.09,
    layer: int | None = None,
    max_tiles: int | None = None,
) -> Inspection:
    """What the checkpoint makes of a picture of (width, height) ``size``, and what guided pruning keeps of it.

    Newlines that stay with their rows under a guide of another layout are not counted.

    Raises:
        ValueError: if the checkpoint is of no supported family, or a setting cannot be used.
        DataError: if the checkpoint's small files are broken or incomplete.
    """
    if max_tiles is not None and max_tiles < 1:
        raise ValueError(f"max_tiles must be at least 1, not {max_tiles}")
    share = parse_keep(keep)
    if isinstance(share, MassKeep):
        raise ValueError(f"how much --keep {keep} keeps depends on the question: give a share, such as 9%")
    schedule_of = Guided().scheduler(share, layer)
    vlm = load_hollow(source)
    n_layers = len(vlm.family.decoder(vlm).layers)
    question = Question("What is this?", (Image.new("RGB", size),))
    layout = vlm.family.prepare(vlm, [question], max_tiles).layouts[0]
    steps = schedule_of(n_layers).resolve(n_layers, layout.n_visual)
    kept = [layout.n_visual] * n_layers
    for start, n_keep in steps:
        kept[start:] = [n_keep] * (n_layers - start)
    shows = ~layout.structural_mask & layout.shows_mask
    detail, overview = (View.of(layout, shows & view) for view in (~layout.coarse_mask, layout.coarse_mask))
    return Inspection(
        checkpoint=source,
        family=vlm.family.name,
        n_layers=n_layers,
        image_size=size,
        n_visual=layout.n_visual,
        cuts_margins=vlm.family.cuts_margins(vlm),
        n_tiles=layout.n_tiles_shown(torch.arange(layout.n_visual)),
        detail=detail,
        overview=overview,
        n_structural=int(layout.structural_mask.sum()),
        layer=steps[0][0] if steps else None,
        kept_per_layer=tuple(kept),
    )


def parse_size(text: str) -> tuple[int, int]:
    """Read a picture's width and height written as ``1344x896``.

    Raises:
        ValueError: if it is not written so, or no picture can be of that size.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*", text, re.IGNORECASE)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not width or not height:
        raise ValueError(f"an image size is written as width x height in pixels, such as 1344x896, not {text!r}")
    if width * height > MAX_PIXELS:
        raise ValueError(f"{text} is more than the {MAX_PIXELS // 10**6} million pixels that a picture may have")
    return width, height


def _n_different(corners: Tensor) -> tuple[int, int]:
    """How many different places there are along both sides; nearer than a millionth of the side is the same."""
    columns, rows = (int((axis.sort().values.diff() > 1e-6).sum()) + 1 for axis in corners.T)
    return columns, rows
