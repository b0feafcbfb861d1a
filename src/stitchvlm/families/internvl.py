"""InternVL: tiles of equal size and a thumbnail, each encoded on its own, in one row of visual tokens per picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, GotOcr2ImageProcessorPil, InternVLForConditionalGeneration
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from stitchvlm.attention import TAPPED_SDPA, register_tapped_attention
from stitchvlm.families import internvl2_checkpoint as internvl2
from stitchvlm.families.base import VLM, Decoder, Family, Inputs, Prompt, assemble_prompt, decoder_windows
from stitchvlm.families.checkpoint import load_weights, read_json, stop_token_ids
from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import VisionEvidence
from stitchvlm.records import Question
from stitchvlm.shapes import Float


class InternVL(Family):
    """InternVL3 and 3.5 (``-hf`` checkpoints), the embedded pair, and InternVL2 in its remote-code layout."""

    name = "InternVL"

    def matches(self, config: dict[str, Any]) -> bool:
        return config.get("model_type") == "internvl" or internvl2.is_internvl2(config)

    def load(self, source: str, folder: Path, dtype: torch.dtype | None, device_map: str | dict | None) -> VLM:
        config = read_json(folder / "config.json")
        if internvl2.is_internvl2(config):
            dtype = dtype or getattr(torch, str(config.get("torch_dtype", "bfloat16")))
            model = internvl2.load_model(folder, dtype=dtype, device_map=device_map)
            tokenizer = internvl2.load_tokenizer(folder, config)
            image_processor = internvl2.load_image_processor(config)
            stops = tuple(internvl2.stop_token_ids(tokenizer, config))
        else:
            model = load_weights(InternVLForConditionalGeneration, folder, dtype, device_map)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            image_processor = GotOcr2ImageProcessorPil.from_pretrained(folder)
            stops = ()
        stops = tuple(dict.fromkeys((*stops, *stop_token_ids(model.generation_config, tokenizer))))
        placeholder_id = tokenizer.convert_tokens_to_ids(tokenizer.context_image_token)
        return VLM(source, self, tap_language_model(model), tokenizer, image_processor, stops, placeholder_id)

    def prepare(self, vlm: VLM, questions: Sequence[Question], max_tiles: int | None) -> Inputs:
        rows = [self._prepare_one(vlm, question, max_tiles) for question in questions]
        pixels = [row_pixels for _, row_pixels, _ in rows if row_pixels is not None]
        return Inputs(
            token_ids=tuple(ids for ids, _, _ in rows),
            pixels=torch.cat(pixels) if pixels else None,
            layouts=tuple(layout for _, _, layout in rows),
        )

    def encode(self, vlm: VLM, inputs: Inputs) -> Float[Tensor, "n_visual width"]:
        if inputs.pixels is None:
            return torch.empty(0, vlm.model.config.text_config.hidden_size, dtype=vlm.model.dtype, device=vlm.device)
        features = vlm.model.get_image_features(pixel_values=inputs.pixels.to(vlm.device), return_dict=True)
        return features.pooler_output.flatten(0, 1)

    def encode_and_show(
        self, vlm: VLM, inputs: Inputs
    ) -> tuple[Float[Tensor, "n_visual width"], tuple[VisionEvidence, ...]]:
        if inputs.pixels is None:
            empty = VisionEvidence(torch.empty(0), torch.empty(0, 1))
            return self.encode(vlm, inputs), tuple(empty for _ in inputs.layouts)
        pixels = inputs.pixels.to(vlm.device)
        features = vlm.model.get_image_features(pixel_values=pixels, return_dict=True, output_hidden_states=True)
        layer = vlm.model.model.vision_tower.encoder.layer[-2]
        received, keys = _summary_attention(layer, features.hidden_states[-3])
        n_patches = received.shape[1] // vlm.model.config.image_seq_length
        received, keys = (_by_token(vlm, values, n_patches).flatten(0, 1) for values in (received[..., None], keys))
        counts = [layout.n_visual for layout in inputs.layouts]
        shown = zip(received[:, 0].split(counts), keys.split(counts), strict=True)
        return features.pooler_output.flatten(0, 1), tuple(VisionEvidence(*row) for row in shown)

    def embed(self, vlm: VLM, inputs: Inputs, visual: Float[Tensor, "n_visual width"]) -> Prompt:
        return assemble_prompt(inputs, visual, vlm)

    def decoder(self, vlm: VLM) -> Decoder:
        text, config = vlm.model.model.language_model, vlm.model.config.text_config
        return Decoder(
            layers=text.layers,
            embedding=text.embed_tokens,
            rotary=text.rotary_emb,
            norm=text.norm,
            head=vlm.model.lm_head,
            windows=decoder_windows(config),
            max_positions=config.max_position_embeddings,
        )

    def _prepare_one(self, vlm: VLM, question: Question, max_tiles: int | None):
        """Token ids, pixels and layout of one question."""
        tokenizer, per_tile = vlm.tokenizer, vlm.model.config.image_seq_length
        messages = question.as_messages()
        image_tokens = (tokenizer.start_image_token, tokenizer.context_image_token, tokenizer.end_image_token)
        _reject_image_tokens(messages, image_tokens)
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        start, context, end = image_tokens
        pieces = text.split(context)
        if len(pieces) != len(question.images) + 1:
            raise ValueError(
                f"the chat has {len(pieces) - 1} picture places but {len(question.images)} pictures were given"
            )
        grids = [self._grid(vlm, image.size, max_tiles) for image in question.images]
        for number, (columns, rows) in enumerate(grids):
            n_tiles = columns * rows + (columns * rows > 1)
            pieces[number] += f"{start}{context * per_tile * n_tiles}{end}"
        prompt = "".join(pieces)
        has_start = bool(tokenizer.bos_token) and prompt.startswith(tokenizer.bos_token)
        ids = tokenizer(prompt, add_special_tokens=not has_start, return_tensors="pt").input_ids[0]
        pixels = None
        if question.images:
            tiles = vlm.image_processor(
                list(question.images),
                crop_to_patches=True,
                max_patches=max_tiles or vlm.image_processor.max_patches,
                return_tensors="pt",
            )
            pixels = tiles["pixel_values"]
        index = (ids == vlm.placeholder_id).nonzero().squeeze(1)
        sizes = tuple(image.size for image in question.images)
        return ids, pixels, tiled_layout(index, grids, int(per_tile**0.5), sizes, n_tokens=len(ids))

    def _grid(self, vlm: VLM, size: tuple[int, int], max_tiles: int | None) -> tuple[int, int]:
        """Columns and rows of tiles for a picture of (width, height); the processor does not tell."""
        processor, (width, height) = vlm.image_processor, size
        most = max_tiles or processor.max_patches
        if most == 1:
            return 1, 1
        tile = (processor.size["height"], processor.size["width"])
        return get_optimal_tiled_canvas((height, width), tile, processor.min_patches, most)


def _summary_attention(layer: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Attention that each patch receives from the summary token, and each patch's key; means over heads.

    The one row is worked out beside the encoder's fused attention; ``hidden`` is what entered the layer.
    """
    attention, states = layer.attention, layer.layernorm_before(hidden)
    shape = (*states.shape[:2], attention.num_heads, attention.head_dim)
    query = attention.q_norm(attention.q_proj(states[:, :1])).view(shape[0], 1, *shape[2:]).transpose(1, 2)
    key = attention.k_norm(attention.k_proj(states)).view(shape).transpose(1, 2)
    received = ((query * attention.scale) @ key.transpose(2, 3)).float().softmax(-1).mean(1)[:, 0, 1:]
    return received, key.float().mean(1)[:, 1:]


def _by_token(vlm: VLM, values: Tensor, n_patches: int) -> Tensor:
    """Means over the patches that make up each visual token, in the order of the visual tokens."""
    tiles, count, width = values.shape
    side = int(count**0.5)
    ratio = vlm.model.config.downsample_ratio
    channels = [
        vlm.model.model.pixel_shuffle(values[..., k].reshape(tiles, side, side, 1), scale_factor=ratio)
        .reshape(tiles, -1, n_patches)
        .mean(-1)
        for k in range(width)
    ]
    return torch.stack(channels, -1)


def tap_language_model(model: InternVLForConditionalGeneration) -> InternVLForConditionalGeneration:
    """The model with SDPA everywhere, its language model's being the kind that can be listened to."""
    register_tapped_attention()
    model.set_attn_implementation({"": "sdpa", "text_config": TAPPED_SDPA, "vision_config": "sdpa"})
    return model.eval()


def tiled_layout(
    index: Tensor, grids: Sequence[tuple[int, int]], side: int, sizes: Sequence[tuple[int, int]], n_tokens: int
) -> VisualLayout:
    """The layout of pictures cut into ``grids`` of (columns, rows) tiles with ``side`` x ``side`` tokens each.

    A picture of more than one tile is followed by a thumbnail that shows all of it at the size of one tile.
    """
    image, tile, boxes, coarse = [], [], [], []
    for number, (columns, rows) in enumerate(grids):
        views = [(c / columns, r / rows, 1 / columns, 1 / rows) for r in range(rows) for c in range(columns)]
        views += [(0.0, 0.0, 1.0, 1.0)] if len(views) > 1 else []
        for view, (x, y, width, height) in enumerate(views):
            row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
            left, top = x + column.flatten() * width / side, y + row.flatten() * height / side
            boxes.append(torch.stack([left, top, left + width / side, top + height / side], dim=1))
            image += [number] * side**2
            tile += [view] * side**2
            coarse += [view == columns * rows] * side**2
    return VisualLayout(
        n_tokens=n_tokens,
        index=index,
        image=torch.tensor(image, dtype=torch.long),
        tile=torch.tensor(tile, dtype=torch.long),
        box=torch.cat(boxes) if boxes else torch.empty(0, 4),
        coarse_mask=torch.tensor(coarse, dtype=torch.bool),
        structural_mask=torch.zeros(len(tile), dtype=torch.bool),
        image_sizes=tuple(sizes),
    )


def _reject_image_tokens(messages: Sequence[dict[str, Any]], tokens: Sequence[str]) -> None:
    """A placeholder written in the text would be taken for a picture: say so rather than count wrong."""
    for message in messages:
        content = message["content"]
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        for token in tokens:
            if any(token in part for part in parts):
                raise ValueError(f"the text contains {token!r}, which stands for a picture in this model: remove it")
