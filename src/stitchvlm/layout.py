"""Where the visual tokens of one prompt sit, in the token sequence and in the picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stitchvlm.shapes import Bool, Float, Int


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
        box: rectangle (x0, y0, x1, y1) that it covers in the source picture, as fractions of width and height.
        coarse_mask: True where the token belongs to an overview (thumbnail, base image) that other tiles show in detail.
        structural_mask: True for tokens that separate rows and show no part of the picture; their box is empty.
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
        return torch.stack([self.image, self.tile]).unique_consecutive(dim=1, return_inverse=True)[1]

    @property
    def n_tiles(self) -> int:
        """Tiles of all pictures together."""
        return int(self.tile_number[-1]) + 1 if self.n_visual else 0

    def whole_tiles(self, wanted: Int[Tensor, " n_wanted"]) -> Int[Tensor, " n_there"]:
        """Ordinals of all visual tokens of the tiles that hold the ``wanted`` ones; ascending."""
        tile = self.tile_number
        return torch.isin(tile, tile[wanted.cpu()]).nonzero().squeeze(1)

    @property
    def first_text_after_visual(self) -> int:
        """Place of the first text token after the last visual token; 0 where the prompt has no picture."""
        return int(self.index[-1]) + 1 if self.n_visual else 0

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

        Raises:
            ValueError: if the two models cut the picture differently.
        """
        if self.matches(onto):
            return scores
        raise ValueError(
            f"the guide sees {self.n_visual} visual tokens and the large model {onto.n_visual}, on different grids: "
            "these two models cannot guide each other yet; choose a pair with the same tile size and the same tokens "
            "per tile, or give both the same --max-tiles"
        )
