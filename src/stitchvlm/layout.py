"""Where the visual tokens of one prompt sit, in the token sequence and in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchvlm.areas import hand_over
from stitchvlm.margins import Window
from stitchvlm.plural import counted
from stitchvlm.shapes import Bool, Float, Int

_EDGE = 1e-3
"""Share of a picture's side within which a token reaches its edge."""


@dataclass(frozen=True, eq=False)
class VisualLayout:
    """The place of every visual token of one prompt: which token of the sequence it is and which part of which picture it shows.

    Visual tokens are numbered 0..n_visual-1 in sequence order; that number (its *ordinal*) is how guide maps and
    reductions speak of a token, so that nothing depends on one contiguous span of image tokens.

    Attributes:
        n_tokens: length of the prompt in tokens, padding excluded.
        index: place of each visual token in the unpadded prompt, ascending.
        image: number of the picture it belongs to, counted over the prompt.
        tile: number of the tile (or crop, or frame) within that picture.
        box: rectangle (x0, y0, x1, y1) that it covers in the source picture, as fractions of width and height. Those at the
            picture's edges may be smaller than others, and where margins are not shown boxes do not cover the picture.
        coarse_mask: True where the token belongs to an overview (thumbnail, base image) that other tiles show in detail.
        structural_mask: True for tokens that separate rows and show no part of the picture; their box is empty. Tokens of a
            picture's padding have an empty box too.
        image_sizes: (width, height) of every source picture in pixels.
    """

    n_tokens: int
    index: Int[Tensor, " n_visual"]
    image: Int[Tensor, " n_visual"]
    tile: Int[Tensor, " n_visual"]
    box: Float[Tensor, "n_visual 4"]
    coarse_mask: Bool[Tensor, " n_visual"]
    structural_mask: Bool[Tensor, " n_visual"]
    image_sizes: tuple[tuple[int, int], ...]

    def __post_init__(self):
        if len(self.index) != len(self.tile):
            raise ValueError(
                f"the prompt has {len(self.index)} places for visual tokens and its pictures give {len(self.tile)}"
            )

    @property
    def n_visual(self) -> int:
        return self.index.shape[0]

    @property
    def tile_number(self) -> Int[Tensor, " n_visual"]:
        """Per visual token the number of its tile, counted over all pictures of the prompt."""
        if not self.n_visual:
            return torch.empty(0, dtype=torch.long)
        return torch.stack([self.image, self.tile]).unique(dim=1, return_inverse=True)[1]

    @property
    def n_tiles(self) -> int:
        """Tiles of all pictures together."""
        return int(self.tile_number.max()) + 1 if self.n_visual else 0

    def whole_tiles(self, wanted: Int[Tensor, " n_wanted"]) -> Int[Tensor, " n_there"]:
        """Ordinals of all visual tokens of the tiles that hold the ``wanted`` ones; ascending."""
        tile = self.tile_number
        return torch.isin(tile, tile[wanted.cpu()]).nonzero().squeeze(1)

    @property
    def shows_mask(self) -> Bool[Tensor, " n_visual"]:
        """True for tokens that show a part of a picture: neither structural nor all padding."""
        return (self.box[:, 2:] > self.box[:, :2]).all(1)

    def leaves_margins(self, number: int) -> bool:
        """Whether some edge of that picture is shown by no token."""
        box = self.box[(self.image == number) & self.shows_mask]
        return bool(len(box)) and bool((box[:, :2].amin(0) > _EDGE).any() or (box[:, 2:].amax(0) < 1 - _EDGE).any())

    @property
    def sources(self) -> Bool[Tensor, "n_visual n_tiles"]:
        """Per visual token the tiles that have to be encoded for it: its own; none where it is structural."""
        return (self.tile_number[:, None] == torch.arange(self.n_tiles)) & ~self.structural_mask[:, None]

    def tiles_shown(self, ordinals: Int[Tensor, " _n_some"]) -> Bool[Tensor, " n_tiles"]:
        """Which tiles have to be encoded for some visual tokens."""
        return self.sources[ordinals.cpu()].any(0)

    def n_tiles_shown(self, ordinals: Int[Tensor, " _n_some"]) -> int:
        """How many those are."""
        return int(self.tiles_shown(ordinals).sum())

    def around(self, wanted: Int[Tensor, " n_wanted"]) -> Int[Tensor, " n_there"]:
        """Ordinals of all visual tokens in the smallest rectangle of each picture that holds its ``wanted`` ones; ascending."""
        centre, there = (self.box[:, :2] + self.box[:, 2:]) / 2, torch.zeros(self.n_visual, dtype=torch.bool)
        image, box = self.image[wanted.cpu()], self.box[wanted.cpu()]
        for number in image.unique():
            some = box[image == number]
            inside = (centre > some[:, :2].amin(0)) & (centre < some[:, 2:].amax(0))
            there |= (self.image == number) & inside.all(1)
        return there.nonzero().squeeze(1)

    @property
    def first_text_after_visual(self) -> int:
        """Place of the first text token after the last visual token; 0 where the prompt has no picture."""
        return int(self.index[-1]) + 1 if self.n_visual else 0

    def closing(self, kept: Int[Tensor, " _n_kept"]) -> Bool[Tensor, " n_visual"]:
        """Which structural tokens end a row of tokens that has one of the ``kept`` in it."""
        rows = torch.stack(
            [self.image, self.coarse_mask.long(), self.structural_mask.cumsum(0) - self.structural_mask.long()]
        )
        row = rows.unique(dim=1, return_inverse=True)[1]
        return self.structural_mask & torch.isin(row, row[kept])

    def seen_through(self, windows: Sequence[Window]) -> "VisualLayout":
        """The layout of the whole pictures, where this one is of what the ``windows`` show of each.

        What a window shows beyond its picture's edges is padding, so boxes end there.
        """
        sizes = torch.tensor(self.image_sizes, dtype=torch.double).reshape(-1, 2)
        edges = torch.tensor(windows, dtype=torch.double).reshape(-1, 4)
        corner, extent = edges[:, :2] / sizes, (edges[:, 2:] - edges[:, :2]) / sizes
        low, high = (corner[self.image] + part * extent[self.image] for part in self.box.split(2, dim=1))
        box = torch.cat([low, high], dim=1).clamp(0, 1)
        return replace(self, box=box.to(self.box.dtype))

    def matches(self, other: "VisualLayout") -> bool:
        """Whether both layouts cut the same pictures in the same way (their prompts may differ in text)."""
        return (
            self.n_visual == other.n_visual
            and torch.equal(self.image, other.image)
            and torch.equal(self.tile, other.tile)
            and torch.equal(self.structural_mask, other.structural_mask)
            and torch.allclose(self.box, other.box, atol=1e-6)
        )

    def resample(self, scores: Float[Tensor, " n_visual"], onto: "VisualLayout") -> Float[Tensor, " n_target"]:
        """Carry one score per visual token from this layout onto another one; the identity where the layouts match.

        Otherwise each token deals its score out to the tokens of the other layout by the area of the picture that they share.
        Detail goes to detail and an overview to the overview, whose sums stay as they are. Where only one of the layouts has an
        overview, its single view takes what both views of the other one have, and gives all it has to each of them. Tokens
        that show no part of the picture neither give nor get.

        Raises:
            ValueError: if the layouts are of different numbers of pictures.
        """
        if self.matches(onto):
            return scores
        if len(self.image_sizes) != len(onto.image_sizes):
            raise ValueError(
                f"the guide looked at {counted(len(self.image_sizes), 'picture')} and the large model at {len(onto.image_sizes)}: "
                "show both the same ones"
            )
        given = scores.double().cpu()
        received = torch.zeros(onto.n_visual, dtype=torch.double)
        for number in range(len(self.image_sizes)):
            ours, theirs = self._views(number), onto._views(number)
            both = all(map(len, theirs))
            for view, receivers in enumerate(theirs):
                givers = ours[view] if both and len(ours[view]) else torch.cat(ours)
                if len(givers) and len(receivers):
                    received[receivers] = hand_over(given[givers], self.box[givers], onto.box[receivers])
        return received.to(scores)

    def _views(self, number: int) -> tuple[Int[Tensor, " _n_fine"], Int[Tensor, " _n_coarse"]]:
        """Ordinals of one picture's tokens that show a part of it: those in detail, and those of the overview."""
        shows = (self.image == number) & ~self.structural_mask & self.shows_mask
        fine, coarse = ((shows & of).nonzero().squeeze(1) for of in (~self.coarse_mask, self.coarse_mask))
        return fine, coarse
