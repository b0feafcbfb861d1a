"""LLaVA-OneVision: a view of the whole picture, then crops of it whose tokens are stitched to rows that end in newlines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, LlavaOnevisionImageProcessorPil
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_onevision.modeling_llava_onevision import unpad_image

from stitchvlm.families.base import VLM, CutPictures, Family, Inputs, Prompt, assemble_prompt
from stitchvlm.families.chat import chat_ids, chat_pieces
from stitchvlm.families.checkpoint import load_weights, read_json, stop_token_ids, tap_language_model
from stitchvlm.families.tiles import Cut, batch, portions, shrink
from stitchvlm.layout import VisualLayout
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Bool, Float, Int

_NEAR = 1e-3
"""Where tokens are resampled, those that would be in their support if it were so much wider count as well: float32 rounds."""

_UNCUT = 2
"""Any number of pictures but one tells transformers that they were not cut."""


class LlavaOnevision(Family):
    """LLaVA-OneVision in transformers' layout (``llava-hf/llava-onevision-*``): SigLIP and Qwen2.

    One picture is cut into crops; several in one question are not, each is one view padded to a square, as transformers has it.
    ``max_tiles`` bounds the crops, and 1 asks for that one view.
    """

    name = "LLaVA-OneVision"

    def matches(self, config: dict[str, Any]) -> bool:
        return config.get("model_type") == "llava_onevision"

    def load(self, source: str, folder: Path, dtype: torch.dtype | None, device_map: str | dict | None) -> VLM:
        model = tap_language_model(load_weights(LlavaOnevisionForConditionalGeneration, folder, dtype, device_map))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        chat = folder / "chat_template.json"  # older checkpoints keep the template with pictures here
        if chat.is_file():
            tokenizer.chat_template = read_json(chat)["chat_template"]
        image_processor = LlavaOnevisionImageProcessorPil.from_pretrained(folder)
        stops = stop_token_ids(model.generation_config, tokenizer)
        return VLM(source, self, model, tokenizer, image_processor, stops, model.config.image_token_id)

    def prepare(
        self,
        vlm: VLM,
        questions: Sequence[Question],
        max_tiles: int | None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        return batch([_prepare_one(vlm, question, max_tiles, to, {} if cut is None else cut) for question in questions])

    def encode(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> Float[Tensor, "n_present width"]:
        present = present or [torch.arange(layout.n_visual) for layout in inputs.layouts]
        if not inputs.tiles:
            return torch.empty(0, vlm.model.config.text_config.hidden_size, dtype=vlm.model.dtype, device=vlm.device)
        rows = list(zip(map(_anyres, inputs.layouts), present, strict=True))
        seen = torch.cat([layout.made_of[there].any(0) for layout, there in rows]).split(list(map(len, inputs.tiles)))
        encoded = [
            patches for tiles, some in zip(inputs.tiles, seen, strict=True) for patches in _encode(vlm, tiles, some)
        ]
        newline, begin, visual = vlm.model.model.image_newline.to(vlm.device), 0, []
        for layout, there in rows:
            stitched = []
            for cut in layout.cuts:
                stitched.append(cut.stitch(torch.stack(encoded[begin : begin + cut.n_tiles]), newline))
                begin += cut.n_tiles
            visual += [torch.cat(stitched)[there.to(newline.device)]] if stitched else []
        return torch.cat(visual)

    def encoded_with(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        """What is made of the crops that the ``wanted`` tokens are made of and of no other one; newlines come with their rows."""
        made_of, structural = _anyres(layout).made_of, layout.structural_mask
        there = ~(made_of & ~made_of[wanted.cpu()].any(0)).any(1) & ~structural
        there |= layout.closing(there.nonzero().squeeze(1))
        there[wanted.cpu()] = True
        return there.nonzero().squeeze(1)

    def embed(
        self,
        vlm: VLM,
        inputs: Inputs,
        visual: Float[Tensor, "n_present width"],
        present: Sequence[Int[Tensor, " _n_present"]] | None = None,
    ) -> Prompt:
        return assemble_prompt(inputs, visual, vlm, present)

    def forward_inputs(
        self, vlm: VLM, token_ids: Int[Tensor, "batch length"], inputs: Inputs
    ) -> dict[str, Tensor | None]:
        rows = [cuts for cuts in (_anyres(layout).cuts for layout in inputs.layouts) if cuts]
        if not rows:
            return {"input_ids": token_ids}
        cuts, counts = sum(rows, ()), [1 if row[0].columns else max(_UNCUT, len(row)) for row in rows]
        tiles = [tile for tiles in inputs.tiles for tile in tiles]
        pictures = torch.stack(tiles).split([cut.n_tiles for cut in cuts])
        return {
            "input_ids": token_ids,
            "pixel_values": nn.utils.rnn.pad_sequence(list(pictures), batch_first=True).to(vlm.device),
            "image_sizes": torch.tensor([cut.size[::-1] for cut in cuts]),
            "batch_num_images": torch.tensor(counts),
        }


@dataclass(frozen=True)
class Anyres(Cut):
    """How one picture is cut: a view of all of it, and crops; without columns the view alone, of the picture in a square.

    The tokens of all crops are stitched to one grid, those that are only padding are cut off, and grids that are still too large
    are resampled.

    Attributes:
        size: (width, height) of the picture in pixels.
        tile: pixels along a side of a tile that is not shrunk.
        patch: pixels along a side of a visual token; what a tile has beyond whole ones is not seen.
        most: how many tiles' tokens the grid may have, or a little more, before it is resampled to that many.
    """

    size: tuple[int, int]
    tile: int
    patch: int
    most: int

    @property
    def n_tiles(self) -> int:
        return 1 + self.columns * self.rows

    @property
    def pixels(self) -> int:
        """Along a side of a tile, shrunk or not."""
        return self.tile * self.side // (self.tile // self.patch)

    @property
    def detail(self) -> int:
        if not self.columns:
            return self.side**2 * min(self.size) // max(self.size)
        return self.grid[0] * self.grid[1]

    @property
    def n_visual(self) -> int:
        return self.side**2 + (self.detail + self.grid[0] if self.columns else 1)

    @cached_property
    def unpadded(self) -> tuple[int, int]:
        """Rows and columns of the stitched grid without padding."""
        stitched = torch.empty(1, self.rows * self.side, self.columns * self.side, device="meta")
        _, rows, columns = unpad_image(stitched, self.size[::-1]).shape
        return rows, columns

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens that the crops come to, newlines aside."""
        rows, columns = self.unpadded
        ratio = math.sqrt(rows * columns / (self.most * self.side**2))
        return (int(rows // ratio), int(columns // ratio)) if ratio > 1.1 else (rows, columns)

    def stitch(
        self, tiles: Float[Tensor, "n_tiles patches width"], newline: Float[Tensor, " width"]
    ) -> Float[Tensor, "n_visual width"]:
        """The visual tokens of encoded tiles, the view first."""
        if not self.columns:
            return torch.cat([tiles[0], newline[None].to(tiles)])
        crops = tiles[1:].unflatten(0, (self.rows, self.columns)).unflatten(2, (self.side, self.side))
        whole = crops.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        whole = unpad_image(whole, self.size[::-1])
        if self.grid != self.unpadded:
            whole = nn.functional.interpolate(whole[None], list(self.grid), mode="bilinear")[0]
        ended = torch.cat([whole, newline[:, None, None].to(whole).expand(-1, self.grid[0], 1)], dim=2)
        return torch.cat([tiles[0], ended.flatten(1).T])

    def places(self) -> tuple[Int[Tensor, " n_visual"], Float[Tensor, "n_visual 4"], Bool[Tensor, "n_visual n_tiles"]]:
        """Per visual token its tile, the rectangle that it shows, and the tiles that it is made of; newlines of none."""
        n_view, line = self.side**2, torch.arange(self.side)[:, None] * self.patch + torch.tensor([0, self.patch])
        x, y = (_Span(0, self.pixels),) * 2 if self.columns else self._in_square()
        view = _boxes(x.shares(line), y.shares(line))
        tile = torch.zeros(self.n_visual, dtype=torch.long)
        made_of = torch.zeros(self.n_visual, self.n_tiles, dtype=torch.bool)
        made_of[:n_view, 0] = True
        if not self.columns:
            return tile, torch.cat([view, torch.ones(1, 4)]), made_of
        x, y = self._in_crops()
        along, column, mixed_along = self._axis(self.columns, self.unpadded[1], self.grid[1])
        down, row, mixed_down = self._axis(self.rows, self.unpadded[0], self.grid[0])
        box = _boxes(torch.cat([x.shares(along), torch.ones(1, 2)]), y.shares(down))
        column = nn.functional.pad(column, (0, 1), value=self.columns - 1)
        mixed_along = nn.functional.pad(mixed_along, (0, 0, 0, 1))
        tile[n_view:] = (1 + row[:, None] * self.columns + column).flatten()
        made_of[n_view:, 1:] = (mixed_down[:, None, :, None] & mixed_along[:, None]).flatten(2).flatten(0, 1)
        return tile, torch.cat([view, box]), made_of

    def _axis(
        self, n_crops: int, n_left: int, n_out: int
    ) -> tuple[Float[Tensor, "n_out 2"], Int[Tensor, " n_out"], Bool[Tensor, "n_out n_crops"]]:
        """Along one axis of the crops, per token its edges in pixels, its crop, and all crops that it is mixed of."""
        first, scale = (n_crops * self.side - n_left) // 2, n_left / max(1, n_out)
        at = first - 0.5 + (torch.arange(n_out, dtype=torch.double) + 0.5) * scale
        slack = _NEAR if n_left != n_out else 0.0
        before, after = (cell // self.side * self.pixels + cell % self.side * self.patch for cell in (at.floor(), at.ceil()))
        centre = torch.lerp(before, after, at - at.floor())[:, None] + self.patch / 2
        edges = centre + torch.tensor([-0.5, 0.5]) * scale * self.patch
        mixed = torch.zeros(n_out, n_crops, dtype=torch.bool)
        for support in ((at - slack).floor(), (at + slack).ceil()):
            mixed[torch.arange(n_out), support.long().clamp(first, first + n_left - 1) // self.side] = True
        return edges, (at + 0.5).long() // self.side, mixed

    def _in_square(self) -> tuple["_Span", "_Span"]:
        """Where the picture is in a square that is its view."""
        longest, scale = max(self.size), self.pixels / max(self.size)
        x, y = (_Span((longest - length) // 2 * scale, length * scale) for length in self.size)
        return x, y

    def _in_crops(self) -> tuple["_Span", "_Span"]:
        """Where the picture is in the crops, which it touches on two sides."""
        whole = (self.columns * self.pixels, self.rows * self.pixels)
        scale = [side / length for side, length in zip(whole, self.size, strict=True)]
        fitted = [min(side, math.ceil(length * min(scale))) for side, length in zip(whole, self.size, strict=True)]
        x, y = (_Span((side - length) // 2, length) for side, length in zip(whole, fitted, strict=True))
        return x, y


@dataclass(frozen=True)
class _Span:
    """Where a picture begins along an axis, and how long it is there, in pixels."""

    begin: int | float
    length: int | float

    def shares(self, edges: Tensor) -> Float[Tensor, "n 2"]:
        """Places on the axis as shares of the picture's length, what is beyond the picture left out."""
        return ((edges.double() - self.begin) / self.length).clamp(0, 1).float()


@dataclass(frozen=True, eq=False)
class AnyresLayout(VisualLayout):
    """A layout that knows what its tokens are made of.

    Attributes:
        cuts: of every picture.
        made_of: per visual token the tiles, counted over all pictures, whose encodings it is made of.
    """

    cuts: tuple[Anyres, ...]
    made_of: Bool[Tensor, "n_visual n_tiles"]


def _prepare_one(
    vlm: VLM, question: Question, max_tiles: int | None, to: Shrink | None, already: CutPictures
) -> Inputs:
    """One question as a batch of one; several pictures are not cut."""
    tokenizer, images = vlm.tokenizer, question.images
    placeholder = tokenizer.convert_ids_to_tokens(vlm.placeholder_id)
    pieces = chat_pieces(tokenizer, _in_parts(question), placeholder, reserved=(placeholder,))
    most = 1 if len(images) > 1 else max_tiles
    cuts = unshrunk = [_cut(vlm, image.size, most) for image in images]
    if to is not None:
        fewer = [dict.fromkeys(_cut(vlm, cut.size, n) for n in range(1, max(2, cut.n_tiles))) for cut in unshrunk]
        cuts = [shrink(cut, tuple(allowed), to) for cut, allowed in zip(unshrunk, fewer, strict=True)]
    for number, cut in enumerate(cuts):
        pieces[number] += placeholder * cut.n_visual
    ids = chat_ids(tokenizer, "".join(pieces))
    return Inputs(
        token_ids=(ids,),
        tiles=tuple(_tiles(vlm, image, cut, already) for image, cut in zip(images, cuts, strict=True)),
        layouts=(_layout((ids == vlm.placeholder_id).nonzero().squeeze(1), cuts, n_tokens=len(ids)),),
        n_unshrunk=(sum(cut.n_visual for cut in unshrunk),),
    )


def _in_parts(question: Question) -> Question:
    """The same question; its checkpoints' chat template leaves out text that is not in a list of parts."""
    messages = [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in question.as_messages()
    ]
    return replace(question, messages=tuple(messages))


def _cut(vlm: VLM, size: tuple[int, int], most: int | None) -> Anyres:
    """How a picture of (width, height) is cut into at most so many crops; 1 leaves it whole, and so does one pixel of width."""
    config, processor = vlm.model.config, vlm.image_processor
    tile, patch = config.vision_config.image_size, config.vision_config.patch_size
    allowed = [
        (height, width)
        for height, width in processor.image_grid_pinpoints
        if most is None or 1 < most >= (height // tile) * (width // tile)
    ]
    rows, columns = (length // tile for length in select_best_resolution(size[::-1], allowed) or (0, 0))
    most_tokens = int(config.vision_aspect_ratio.removeprefix("anyres_max_"))
    return Anyres(columns, rows, tile // patch, size, tile, patch, most_tokens)


def _tiles(vlm: VLM, image: Image.Image, cut: Anyres, already: CutPictures) -> Float[Tensor, "tiles 3 height width"]:
    """A picture as the vision encoder sees it."""
    processor, pixels = vlm.image_processor, cut.pixels
    key = (id(image), pixels, cut.columns, cut.rows, processor.to_json_string())
    if key not in already:
        # Only where there are several pictures does the processor leave one whole: here the other one is a dot.
        images = [image] if cut.columns else [image, Image.new("RGB", (1, 1))]
        already[key] = processor(
            [images],
            image_grid_pinpoints=[[cut.rows * pixels, cut.columns * pixels]],
            size={"height": pixels, "width": pixels},
            return_tensors="pt",
        )["pixel_values"][0]
    return already[key]


def _layout(index: Int[Tensor, " n_visual"], cuts: Sequence[Anyres], n_tokens: int) -> AnyresLayout:
    """The layout of pictures, each with its own cut."""
    nothing = (torch.empty(0, dtype=torch.long), torch.empty(0, 4), torch.empty(0, 0, dtype=torch.bool))
    tiles, boxes, parts = zip(nothing, *(cut.places() for cut in cuts), strict=True)
    tile, made_of = torch.cat(tiles), torch.block_diag(*parts)
    image = torch.tensor([number for number, cut in enumerate(cuts) for _ in range(cut.n_visual)], dtype=torch.long)
    is_cut = torch.tensor([cut.columns > 0 for cut in cuts], dtype=torch.bool)
    return AnyresLayout(
        n_tokens=n_tokens,
        index=index,
        image=image,
        tile=tile,
        box=torch.cat(boxes),
        coarse_mask=is_cut[image] & (tile == 0),
        structural_mask=~made_of.any(1),
        image_sizes=tuple(cut.size for cut in cuts),
        cuts=tuple(cuts),
        made_of=made_of,
    )


def _boxes(along: Float[Tensor, "n_columns 2"], down: Float[Tensor, "n_rows 2"]) -> Float[Tensor, "n_tokens 4"]:
    """Rectangles (x0, y0, x1, y1) of a grid from the edges of its columns and rows, row by row."""
    x, y = along.repeat(len(down), 1), down.repeat_interleave(len(along), 0)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def _encode(
    vlm: VLM, tiles: Float[Tensor, "tiles 3 pixels pixels"], seen: Bool[Tensor, " tiles"]
) -> Float[Tensor, "tiles patches width"]:
    """The vision encoder and projector over the tiles that are ``seen``; zeros for the others."""
    config = vlm.model.config
    n_patches = (tiles.shape[-1] // config.vision_config.patch_size) ** 2
    encoded = torch.zeros(
        len(tiles), n_patches, config.text_config.hidden_size, dtype=vlm.model.dtype, device=vlm.device
    )
    shown = [_features(vlm, some).to(encoded) for some in portions(tiles[seen], n_patches, vlm.device)]
    if shown:
        encoded[seen.to(vlm.device)] = torch.cat(shown)
    return encoded


def _features(vlm: VLM, tiles: Float[Tensor, "some 3 pixels pixels"]) -> Float[Tensor, "some patches width"]:
    """Every tile by itself, as transformers encodes each of several pictures, without the newline behind it."""
    pixels = tiles.shape[-1]
    whole = pixels == vlm.model.config.vision_config.image_size
    pictures = vlm.model.get_image_features(
        pixel_values=tiles.to(vlm.device),
        image_sizes=torch.tensor([[pixels, pixels]] * len(tiles)),
        batch_num_images=torch.tensor([max(_UNCUT, len(tiles))]),
        return_dict=True,
        **({} if whole else {"interpolate_pos_encoding": True}),
    )
    return torch.stack(list(pictures.pooler_output))[:, :-1]


def _anyres(layout: VisualLayout) -> AnyresLayout:
    assert isinstance(layout, AnyresLayout), "the family made it"
    return layout
