"""InternVL: tiles of equal size and a thumbnail, each encoded on its own, in one row of visual tokens per picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import GotOcr2ImageProcessorPil, InternVLForConditionalGeneration
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.families import internvl2_checkpoint as internvl2
from stitchvlm.families.base import VLM, CutPictures, Family, Inputs, Prompt, assemble_prompt, no_embeddings
from stitchvlm.families.chat import chat_ids, chat_pieces, load_tokenizer
from stitchvlm.families.checkpoint import load_weights, read_json, stop_token_ids, tap_language_model
from stitchvlm.families.tiles import Cut, batch, cut_layout, portions, shrink
from stitchvlm.layout import VisualLayout
from stitchvlm.margins import CUTS_MARGINS, Window, page_window, show_window
from stitchvlm.methods.base import VisionEvidence
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Float, Int


class InternVL(Family):
    """InternVL3 and 3.5 (``-hf`` checkpoints), the embedded pair, and InternVL2 in its remote-code layout."""

    name = "InternVL"
    shows_vision = True

    def matches(self, config: dict[str, Any]) -> bool:
        return config.get("model_type") == "internvl" or internvl2.is_internvl2(config)

    def load(
        self,
        source: str,
        folder: Path,
        dtype: torch.dtype | None,
        device_map: str | dict | None,
        quantize: QuantizationConfigMixin | None = None,
    ) -> VLM:
        config = read_json(folder / "config.json")
        if internvl2.is_internvl2(config):
            dtype = dtype or getattr(torch, str(config.get("torch_dtype", "bfloat16")))
            model = internvl2.load_model(folder, dtype=dtype, device_map=device_map)
            tokenizer = internvl2.load_tokenizer(folder, config)
            image_processor = internvl2.load_image_processor(config)
            stops = tuple(internvl2.stop_token_ids(tokenizer, config))
        else:
            model = load_weights(InternVLForConditionalGeneration, folder, dtype, device_map, quantize)
            tokenizer = load_tokenizer(folder)
            image_processor = GotOcr2ImageProcessorPil.from_pretrained(folder)
            stops = ()
        stops = tuple(dict.fromkeys((*stops, *stop_token_ids(model.generation_config, tokenizer))))
        placeholder_id = tokenizer.convert_tokens_to_ids(tokenizer.context_image_token)
        return VLM(source, self, tap_language_model(model), tokenizer, image_processor, stops, placeholder_id)

    def check_quantize(self, source: str, config: dict[str, Any]) -> None:
        if internvl2.is_internvl2(config):
            raise ValueError(
                f"the weights of {source} are converted while they are loaded and cannot be quantized on the way: choose a native "
                "checkpoint such as OpenGVLab/InternVL3-8B-hf, or leave quantize out"
            )

    def cuts_margins(self, vlm: VLM) -> bool:
        return getattr(vlm.image_processor, CUTS_MARGINS, False)

    def prepare(
        self,
        vlm: VLM,
        questions: Sequence[Question],
        max_tiles: int | None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        return batch(
            [self._prepare_one(vlm, question, max_tiles, to, {} if cut is None else cut) for question in questions]
        )

    def encode(
        self, vlm: VLM, inputs: Inputs, present: Sequence[Int[Tensor, " _n_present"]] | None = None
    ) -> Float[Tensor, "n_present width"]:
        encoded = [
            _features(vlm, piece).pooler_output.flatten(0, 1)
            for tiles, seen in zip(inputs.tiles, inputs.tiles_seen(present), strict=True)
            for piece in portions(tiles[seen], _patches_of_a_tile(vlm, tiles), vlm.device)
        ]
        return torch.cat(encoded) if encoded else no_embeddings(vlm)

    def encoded_with(self, layout: VisualLayout, wanted: Int[Tensor, " _n_wanted"]) -> Int[Tensor, " _n_present"]:
        return layout.whole_tiles(wanted)

    def encode_and_show(
        self, vlm: VLM, inputs: Inputs
    ) -> tuple[Float[Tensor, "n_visual width"], tuple[VisionEvidence, ...]]:
        counts = [layout.n_visual for layout in inputs.layouts]
        if not inputs.tiles:
            return self.encode(vlm, inputs), tuple(VisionEvidence(torch.empty(0), torch.empty(0, 1)) for _ in counts)
        visual, received, keys = zip(*(_encode_and_show(vlm, tiles) for tiles in inputs.tiles), strict=True)
        shown = zip(torch.cat(received).split(counts), torch.cat(keys).split(counts), strict=True)
        return torch.cat(visual), tuple(VisionEvidence(*row) for row in shown)

    def embed(
        self,
        vlm: VLM,
        inputs: Inputs,
        visual: Float[Tensor, "n_present width"],
        present: Sequence[Int[Tensor, " _n_present"]] | None = None,
    ) -> Prompt:
        return assemble_prompt(inputs, visual, vlm, present)

    def _prepare_one(
        self, vlm: VLM, question: Question, max_tiles: int | None, to: Shrink | None, already: CutPictures
    ) -> Inputs:
        """One question as a batch of one; its pictures' tiles may be of different sizes."""
        tokenizer = vlm.tokenizer
        start, context, end = tokenizer.start_image_token, tokenizer.context_image_token, tokenizer.end_image_token
        pieces = chat_pieces(tokenizer, question, context, reserved=(start, context, end))
        most = max_tiles or vlm.image_processor.max_patches
        windows = [_window(vlm, image, most) for image in question.images]
        shown = [(right - left, bottom - top) for left, top, right, bottom in windows]
        cuts = unshrunk = [_cut(vlm, size, most) for size in shown]
        if to is not None:
            allowed = [[_cut(vlm, size, n) for n in range(1, most + 1)] for size in shown]
            cuts = [shrink(cut, cuts_of_it, to) for cut, cuts_of_it in zip(unshrunk, allowed, strict=True)]
        for number, cut in enumerate(cuts):
            pieces[number] += f"{start}{context * cut.n_visual}{end}"
        ids = chat_ids(tokenizer, "".join(pieces))
        index = (ids == vlm.placeholder_id).nonzero().squeeze(1)
        sizes = tuple(image.size for image in question.images)
        pictures = zip(question.images, windows, cuts, strict=True)
        return Inputs(
            token_ids=(ids,),
            tiles=tuple(_tiles(vlm, image, window, cut, already) for image, window, cut in pictures),
            layouts=(cut_layout(index, cuts, sizes, n_tokens=len(ids)).seen_through(windows),),
            n_unshrunk=(sum(cut.n_visual for cut in unshrunk),),
        )


def _cut(vlm: VLM, size: tuple[int, int], most: int) -> Cut:
    """How the processor cuts a picture of (width, height) into at most so many tiles; it does not tell."""
    processor, (width, height) = vlm.image_processor, size
    if most == 1:
        return Cut(1, 1, _tokens_along_a_tile(vlm))
    tile = (processor.size["height"], processor.size["width"])
    columns, rows = get_optimal_tiled_canvas((height, width), tile, processor.min_patches, most)
    return Cut(columns, rows, _tokens_along_a_tile(vlm))


def _window(vlm: VLM, image: Image, most: int) -> Window:
    """What is shown of a picture: all of it, unless the checkpoint's processor wants scanned pages without their blank margins."""
    if not vlm.family.cuts_margins(vlm):
        return 0, 0, *image.size
    return page_window(image, lambda width, height: _cut(vlm, (width, height), most).columns)


def _tiles(
    vlm: VLM, image: Image, window: Window, cut: Cut, already: CutPictures
) -> Float[Tensor, "tiles 3 height width"]:
    """A picture as the vision encoder sees it. Both bounds are the same, so that the grid does not depend on the tiles' size."""
    pixels = vlm.image_processor.size["height"] * cut.side // _tokens_along_a_tile(vlm)
    key = (id(image), window, pixels, cut.columns, cut.rows, vlm.image_processor.to_json_string())
    if key not in already:
        already[key] = vlm.image_processor(
            [image if window == (0, 0, *image.size) else show_window(image, window)],
            crop_to_patches=True,
            min_patches=cut.columns * cut.rows,
            max_patches=cut.columns * cut.rows,
            size={"height": pixels, "width": pixels},
            return_tensors="pt",
        )["pixel_values"]
    return already[key]


def _tokens_along_a_tile(vlm: VLM) -> int:
    return int(vlm.model.config.image_seq_length**0.5)


def _patches_of_a_tile(vlm: VLM, tiles: Tensor) -> int:
    return (tiles.shape[-1] // vlm.model.config.vision_config.patch_size[0]) ** 2


def _features(vlm: VLM, tiles: Tensor, states: bool = False) -> Any:
    return vlm.model.get_image_features(
        pixel_values=tiles.to(vlm.device), return_dict=True, output_hidden_states=states
    )


def _encode_and_show(vlm: VLM, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per visual token its embedding, and attention and key averaged over its patches."""
    features = _features(vlm, tiles, states=True)
    layers = vlm.model.model.vision_tower.encoder.layer
    shown = _summary_attention(layers[-2], features.hidden_states[-3])
    received, keys = (_by_token(vlm, values).flatten(0, 1) for values in shown)
    return features.pooler_output.flatten(0, 1), received[:, 0], keys


def _summary_attention(layer: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Attention that each patch receives from the summary token (in one column), and each patch's key; means over heads.

    The one row is worked out beside the encoder's fused attention; ``hidden`` is what entered the layer.
    """
    attention, states = layer.attention, layer.layernorm_before(hidden)
    shape = (*states.shape[:2], attention.num_heads, attention.head_dim)
    query = attention.q_norm(attention.q_proj(states[:, :1])).view(shape[0], 1, *shape[2:]).transpose(1, 2)
    key = attention.k_norm(attention.k_proj(states)).view(shape).transpose(1, 2)
    received = ((query * attention.scale) @ key.transpose(2, 3)).float().softmax(-1).mean(1)[:, 0, 1:]
    return received[..., None], key.float().mean(1)[:, 1:]


def _by_token(vlm: VLM, values: Float[Tensor, "tiles patches dim"]) -> Float[Tensor, "tiles tokens dim"]:
    """Means over the patches that make up each visual token, in the order of the visual tokens.

    The model's own pixel shuffle puts the values of a token's patches side by side.
    """
    tiles, count, width = values.shape
    side, ratio = int(count**0.5), vlm.model.config.downsample_ratio
    shuffled = vlm.model.model.pixel_shuffle(values.reshape(tiles, side, side, width), scale_factor=ratio)
    return shuffled.flatten(1, 2).unflatten(-1, (-1, width)).mean(-2)
