"""Qwen-VL: pictures at about their own size, one grid of visual tokens each, and positions in time, height and width."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.families.base import VLM, CutPictures, Family, Inputs, Prompt, assemble_prompt, no_embeddings
from stitchvlm.families.chat import chat_ids, chat_pieces, load_tokenizer
from stitchvlm.families.checkpoint import load_weights, read_json, stop_token_ids, tap_language_model
from stitchvlm.families.tiles import grid_layout, shrink_grid
from stitchvlm.layout import VisualLayout
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Float, Int

TOKENS_PER_TILE = 256
"""What ``max_tiles`` counts as one tile of a picture that is not cut: as much as a tile of InternVL gives."""

LONGEST_ASPECT = 200
"""Pictures that are more times as long as wide than this are refused by transformers too."""

_MODELS = {
    "qwen2_vl": Qwen2VLForConditionalGeneration,
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
}


class QwenVL(Family):
    """Qwen2-VL, Qwen2.5-VL and the dense models of Qwen3-VL."""

    name = "Qwen-VL"
    cuts_pictures = False

    def matches(self, config: dict[str, Any]) -> bool:
        return config.get("model_type") in _MODELS

    def load(
        self,
        source: str,
        folder: Path,
        dtype: torch.dtype | None,
        device_map: str | dict | None,
        quantize: QuantizationConfigMixin | None = None,
    ) -> VLM:
        kind = _MODELS[read_json(folder / "config.json")["model_type"]]
        model = tap_language_model(load_weights(kind, folder, dtype, device_map, quantize))
        tokenizer = load_tokenizer(folder)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
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
        rows = [_prepare_one(vlm, question, max_tiles, to, {} if cut is None else cut) for question in questions]
        return Inputs(
            token_ids=tuple(row.token_ids[0] for row in rows),
            tiles=tuple(picture for row in rows for picture in row.tiles),
            layouts=tuple(row.layouts[0] for row in rows),
            n_unshrunk=tuple(row.n_unshrunk[0] for row in rows),
        )

    def encode(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> Float[Tensor, "n_present width"]:
        pictures = self.encoded_tiles(vlm, inputs, present)
        if not pictures:
            return no_embeddings(vlm)
        patches = torch.cat([_patches(vlm, picture) for picture in pictures]).to(vlm.device, vlm.model.dtype)
        encoded = vlm.model.model.visual(patches, grid_thw=_grids(vlm, pictures).to(vlm.device), return_dict=True)
        parts = encoded.pooler_output, *getattr(encoded, "deepstack_features", ())
        return torch.cat([part.to(vlm.device) for part in parts], dim=1)

    def encoded_with(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        return layout.whole_tiles(wanted)

    def encoded_around(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        return layout.around(wanted)

    def encoded_tiles(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> tuple[Float[Tensor, "1 3 _height _width"], ...]:
        """Of every picture the rectangle that its ``present`` tokens make, if any."""
        if present is None:
            return inputs.tiles
        pictures, side, seen = iter(inputs.tiles), _token_side(vlm), []
        for layout, there in zip(inputs.layouts, present, strict=True):
            for number in range(len(layout.image_sizes)):
                picture, first = next(pictures), int((layout.image < number).sum())
                own = there[layout.image[there] == number] - first
                if len(own):
                    columns = picture.shape[3] // side
                    rectangle = ((at.min() * side, (at.max() + 1) * side) for at in (own // columns, own % columns))
                    (top, bottom), (left, right) = rectangle
                    seen.append(picture[:, :, top:bottom, left:right])
        return tuple(seen)

    def embed(
        self,
        vlm: VLM,
        inputs: Inputs,
        visual: Float[Tensor, "n_present width"],
        present: Sequence[Int[Tensor, " _n_present"]] | None = None,
    ) -> Prompt:
        embeddings, *deep = visual.split(vlm.model.config.text_config.hidden_size, dim=1)
        prompt = assemble_prompt(inputs, embeddings, vlm, present)
        stream, shown = prompt.stream, (prompt.stream.ordinal >= 0)[..., None]
        positions = _positions(vlm, inputs).to(vlm.device)
        stream = replace(
            stream,
            positions=positions.gather(-1, stream.index.clamp(min=0).expand(3, -1, -1)),
            deepstack=torch.stack(
                [torch.zeros_like(stream.hidden).masked_scatter(shown, states.to(stream.hidden)) for states in deep]
            )
            if deep
            else None,
        )
        return replace(prompt, stream=stream, next_position=positions.amax((0, 2)) + 1)

    def forward_inputs(
        self, vlm: VLM, token_ids: Int[Tensor, "batch length"], inputs: Inputs
    ) -> dict[str, Tensor | None]:
        pictures: dict[str, Tensor | None] = {}
        if inputs.tiles:
            patches = torch.cat([_patches(vlm, picture) for picture in inputs.tiles])
            pictures = {
                "pixel_values": patches.to(vlm.device),
                "image_grid_thw": _grids(vlm, inputs.tiles).to(vlm.device),
            }
        return {"input_ids": token_ids, "mm_token_type_ids": (token_ids == vlm.placeholder_id).int(), **pictures}


def _prepare_one(
    vlm: VLM, question: Question, max_tiles: int | None, to: Shrink | None, already: CutPictures
) -> Inputs:
    """One question as a batch of one."""
    config, names = vlm.model.config, vlm.tokenizer.convert_ids_to_tokens
    placeholder = names(vlm.placeholder_id)
    others = (config.video_token_id, config.vision_start_token_id, config.vision_end_token_id)
    pieces = chat_pieces(vlm.tokenizer, question, placeholder, reserved=(placeholder, *names(list(others))))
    grids = unshrunk = [_grid(vlm, image.size, max_tiles) for image in question.images]
    if to is not None:
        grids = [shrink_grid(grid, to) for grid in unshrunk]
    for number, (rows, columns) in enumerate(grids):
        pieces[number] += placeholder * (rows * columns)
    ids = chat_ids(vlm.tokenizer, "".join(pieces))
    index = (ids == vlm.placeholder_id).nonzero().squeeze(1)
    return Inputs(
        token_ids=(ids,),
        tiles=tuple(_picture(vlm, image, grid, already) for image, grid in zip(question.images, grids, strict=True)),
        layouts=(grid_layout(index, grids, tuple(image.size for image in question.images), len(ids)),),
        n_unshrunk=(sum(rows * columns for rows, columns in unshrunk),),
    )


def _grid(vlm: VLM, size: tuple[int, int], max_tiles: int | None) -> tuple[int, int]:
    """Rows and columns of visual tokens that the processor makes of a picture of (width, height)."""
    width, height = size
    if max(size) > LONGEST_ASPECT * min(size):
        raise ValueError(
            f"the picture is {width}x{height} pixels, more than {LONGEST_ASPECT} times as long as wide, which {vlm.source} "
            "cannot see: cut it into pieces or pad it"
        )
    side, bounds = _token_side(vlm), vlm.image_processor.size
    most = bounds["longest_edge"] if max_tiles is None else max_tiles * TOKENS_PER_TILE * side**2
    resized = smart_resize(height, width, side, min_pixels=min(bounds["shortest_edge"], most), max_pixels=most)
    return resized[0] // side, resized[1] // side


def _picture(vlm: VLM, image: Image, grid: tuple[int, int], already: CutPictures) -> Float[Tensor, "1 3 height width"]:
    """A picture as the vision encoder sees it, not yet in patches."""
    processor, (height, width) = vlm.image_processor, (side * _token_side(vlm) for side in grid)
    key = (id(image), height, width, processor.to_json_string())
    if key not in already:
        pixels = processor(
            [image.resize((width, height), processor.resample)],
            do_resize=False,
            patch_size=1,
            merge_size=1,
            temporal_patch_size=1,
            return_tensors="pt",
        )["pixel_values"]
        already[key] = pixels.view(1, height, width, 3).permute(0, 3, 1, 2).contiguous()
    return already[key]


def _patches(vlm: VLM, picture: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "n_patches n_values"]:
    """A picture in patches: those of one visual token side by side, each as often as the encoder sees moments at once."""
    processor = vlm.image_processor
    patch, merge, moments = processor.patch_size, processor.merge_size, processor.temporal_patch_size
    blocks = picture[0].unflatten(2, (-1, merge, patch)).unflatten(1, (-1, merge, patch))
    # Rows and columns of tokens, those of patches in each, colours, and pixels in each patch.
    ordered = blocks.permute(1, 4, 2, 5, 0, 3, 6)
    return ordered.unsqueeze(5).expand(-1, -1, -1, -1, -1, moments, -1, -1).flatten(4).flatten(0, 3)


def _grids(vlm: VLM, pictures: Sequence[Float[Tensor, "1 3 _height _width"]]) -> Int[Tensor, "n_pictures 3"]:
    """Moments, rows and columns of patches of every picture."""
    patch = vlm.image_processor.patch_size
    sizes = [(1, picture.shape[2] // patch, picture.shape[3] // patch) for picture in pictures]
    return torch.tensor(sizes, dtype=torch.long).view(-1, 3)


def _positions(vlm: VLM, inputs: Inputs) -> Int[Tensor, "3 batch longest"]:
    """Every token's position in time, height and width, as the model itself counts them; shorter rows end in zeros."""
    counts = [len(layout.image_sizes) for layout in inputs.layouts]
    rows = [
        vlm.model.model.get_rope_index(ids[None], (ids == vlm.placeholder_id).int()[None], image_grid_thw=grids)[0][
            :, 0
        ]
        for ids, grids in zip(inputs.token_ids, _grids(vlm, inputs.tiles).split(counts), strict=True)
    ]
    longest = max(row.shape[1] for row in rows)
    return torch.stack([nn.functional.pad(row, (0, longest - row.shape[1])) for row in rows], dim=1)


def _token_side(vlm: VLM) -> int:
    """Pixels along one side of what a visual token shows."""
    return vlm.image_processor.patch_size * vlm.image_processor.merge_size
