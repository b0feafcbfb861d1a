"""LLaVA-OneVision: a view of the whole picture, then crops of it whose tokens are stitched to rows that end in newlines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionImageProcessorPil
from transformers.image_processing_utils import select_best_resolution
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.families.anyres import Anyres, AnyresLayout, anyres_layout
from stitchvlm.families.base import VLM, CutPictures, Family, Inputs, Prompt, assemble_prompt, no_embeddings
from stitchvlm.families.chat import chat_ids, chat_pieces, load_tokenizer
from stitchvlm.families.checkpoint import load_weights, stop_token_ids, tap_language_model
from stitchvlm.families.placement import own_weights
from stitchvlm.families.tiles import batch, portions, shrink
from stitchvlm.layout import VisualLayout
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Bool, Float, Int

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

    def load(
        self,
        source: str,
        folder: Path,
        dtype: torch.dtype | None,
        device_map: str | dict | None,
        quantize: QuantizationConfigMixin | None = None,
    ) -> VLM:
        model = tap_language_model(
            load_weights(LlavaOnevisionForConditionalGeneration, folder, dtype, device_map, quantize)
        )
        tokenizer = load_tokenizer(folder)
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
            return no_embeddings(vlm)
        seen = inputs.tiles_seen(present)
        with own_weights(vlm.model.model):  # transformers, too, reads the newline without calling the module
            encoded = [
                patches for tiles, some in zip(inputs.tiles, seen, strict=True) for patches in _encode(vlm, tiles, some)
            ]
            newline = vlm.model.model.image_newline.to(vlm.device)
        begin, visual = 0, []
        for layout, there in zip(map(_anyres, inputs.layouts), present, strict=True):
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


def _prepare_one(
    vlm: VLM, question: Question, max_tiles: int | None, to: Shrink | None, already: CutPictures
) -> Inputs:
    """One question as a batch of one; several pictures are not cut."""
    tokenizer, images = vlm.tokenizer, question.images
    placeholder = tokenizer.convert_ids_to_tokens(vlm.placeholder_id)
    pieces = chat_pieces(tokenizer, _in_parts(question), placeholder, reserved=(placeholder,))
    most = 1 if len(images) > 1 else max_tiles
    cuts = unshrunk = [anyres_cut(vlm, image.size, most) for image in images]
    if to is not None:
        fewer = [dict.fromkeys(anyres_cut(vlm, cut.size, n) for n in range(1, max(2, cut.n_tiles))) for cut in unshrunk]
        cuts = [shrink(cut, tuple(allowed), to) for cut, allowed in zip(unshrunk, fewer, strict=True)]
    for number, cut in enumerate(cuts):
        pieces[number] += placeholder * cut.n_visual
    ids = chat_ids(tokenizer, "".join(pieces))
    return Inputs(
        token_ids=(ids,),
        tiles=tuple(_tiles(vlm, image, cut, already) for image, cut in zip(images, cuts, strict=True)),
        layouts=(anyres_layout((ids == vlm.placeholder_id).nonzero().squeeze(1), cuts, n_tokens=len(ids)),),
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


def anyres_cut(vlm: VLM, size: tuple[int, int], most: int | None) -> Anyres:
    """How a picture of (width, height) is cut into at most so many crops; 1 leaves it whole.

    So does a shape that fits no grid because the picture would have no width in it.
    """
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
