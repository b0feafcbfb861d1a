"""A Qwen2-VL model: pictures whole at their own aspect, rotary positions in two and three dimensions, Qwen2 behind the merger."""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import VisionAttention, apply_rotary_pos_emb_vision
from transformers.vision_utils import get_vision_position_ids

from .architecture import HEAD, SHARPNESS, Size, start_language_model, start_tower
from .attention import Listener, additive, plain_attention
from .grid import LEAST_TOKENS, MOST_TOKENS, Whole
from .packing import Batch, Chat
from .tokenizer import QWEN2_VL_TOKENS, save_tokenizer

WHOLE = Whole(MOST_TOKENS)
PATCH, CELL = WHOLE.patch, WHOLE.cell
MERGE, MOMENTS = CELL // PATCH, 2
ROPE_THETA = 1e6
SECTIONS = [1] * (HEAD // 2)
"""Frequencies of a head in turn for time, height and width. The released models give time the fastest quarter and width the
slowest; of so narrow a head's 16 frequencies none of those for width would turn over a picture, and none but fast ones would be
free to match contents.
"""
CHAT = Chat(before="<|vision_start|>", token="<|image_pad|>", after="<|vision_end|>", on_grid=True)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _config(size: Size, tokens: dict[str, int], vocabulary: int) -> Qwen2VLConfig:
    return Qwen2VLConfig(
        vision_config={
            "depth": size.vision_layers,
            "embed_dim": size.vision_width,
            "num_heads": size.vision_width // HEAD,
            "mlp_ratio": 4,
            "hidden_size": size.text_width,
            "hidden_act": "gelu",
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": MOMENTS,
        },
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": size.text_width,
            "intermediate_size": size.text_mlp,
            "num_hidden_layers": size.text_layers,
            "num_attention_heads": size.text_width // HEAD,
            "num_key_value_heads": size.text_kv_heads,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": SECTIONS},
            "bos_token_id": None,
            "eos_token_id": tokens["<|im_end|>"],
            "pad_token_id": tokens["<|endoftext|>"],
        },
        image_token_id=tokens["<|image_pad|>"],
        video_token_id=tokens["<|video_pad|>"],
        vision_start_token_id=tokens["<|vision_start|>"],
        vision_end_token_id=tokens["<|vision_end|>"],
        tie_word_embeddings=False,
    )


@torch.no_grad()
def _start(model: Qwen2VLForConditionalGeneration) -> None:
    """As for all kinds; there are no norms of queries and keys, so their matrices say how sharp attention is."""
    visual = model.model.visual
    start_tower(visual)
    kernel = visual.patch_embed.proj.weight
    nn.init.normal_(kernel, std=kernel[0].numel() ** -0.5)
    start_language_model(model)
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.weight.mul_(SHARPNESS)
        layer.self_attn.k_proj.weight.mul_(SHARPNESS)


def _patches(pixels: torch.Tensor) -> torch.Tensor:
    """`[pictures, 3, height, width]` to `[pictures, patches, values]`, those of one visual token side by side, for one moment."""
    blocks = pixels.unflatten(3, (-1, MERGE, PATCH)).unflatten(2, (-1, MERGE, PATCH))
    return blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(5).flatten(1, 4)


def _attend(
    attention: VisionAttention, hidden: torch.Tensor, places: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """What `attention` computes for pictures of equal grids, `[pictures, patches, width]`, all of them at once.

    `places` holds the cosine and sine of every patch's place.
    """
    query, key, value = attention.qkv(hidden).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    query, key = apply_rotary_pos_emb_vision(query, key, *places)
    seen, _ = plain_attention(attention, query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), None)
    return attention.proj(seen.flatten(2))


class Qwen2VL:
    """What training has to know of Qwen2-VL."""

    picture_tokens = QWEN2_VL_TOKENS
    chat = CHAT

    def build(self, size: Size, tokens: dict[str, int], vocabulary: int, seed: int) -> Qwen2VLForConditionalGeneration:
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(_config(size, tokens, vocabulary)).float()
        _start(model)
        return model

    def vision(self, model: Qwen2VLForConditionalGeneration) -> dict[str, nn.Module]:
        return {"tower": model.model.visual}

    def last_projection(self, model: Qwen2VLForConditionalGeneration) -> nn.Linear:
        return model.model.visual.merger.mlp[-1]

    def places(self, model: Qwen2VLForConditionalGeneration) -> int:
        return 0

    def states(self, model: Qwen2VLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
        visual = model.model.visual
        grid = torch.tensor([[1, pixels.shape[2] // PATCH, pixels.shape[3] // PATCH]], device=pixels.device)
        # Nothing moves: every moment shows the same, so their kernels act as one.
        hidden = F.linear(_patches(pixels), visual.patch_embed.proj.weight.sum(2).flatten(1)).float()
        places = visual.rotary_pos_emb(hidden, get_vision_position_ids(grid, MERGE))
        for block in visual.blocks:
            hidden = hidden + _attend(block.attn, block.norm1(hidden), places)
            hidden = hidden + block.mlp(block.norm2(hidden))
        return hidden.unflatten(0, (len(pixels), -1))

    def joined(self, model: Qwen2VLForConditionalGeneration, states: torch.Tensor) -> torch.Tensor:
        return model.model.visual.merger(states.flatten(0, 1)).unflatten(0, (len(states), -1))

    def answer_states(
        self,
        model: Qwen2VLForConditionalGeneration,
        embedded: torch.Tensor,
        batch: Batch,
        grounding: Listener | None = None,
    ) -> torch.Tensor:
        return model.model.language_model(
            inputs_embeds=embedded,
            position_ids=batch.positions,
            attention_mask=additive(batch.mask),
            use_cache=False,
            grounding=grounding,
        ).last_hidden_state

    def deepen_vision(self, model: Qwen2VLForConditionalGeneration, layers: int) -> None:
        raise ValueError("a Qwen2-VL encoder grows no deeper: give both models as many vision layers")

    def save_processor(self, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
        image = {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2VLProcessor",
            "patch_size": PATCH,
            "merge_size": MERGE,
            "temporal_patch_size": MOMENTS,
            "do_convert_rgb": True,
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "size": {"shortest_edge": LEAST_TOKENS * CELL**2, "longest_edge": MOST_TOKENS * CELL**2},
            "resample": 3,
            "rescale_factor": 1 / 255,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
        }
        video = {"video_processor_type": "Qwen2VLVideoProcessor"} | {
            name: image[name] for name in ("patch_size", "merge_size", "temporal_patch_size", "size")
        }
        files = {
            "preprocessor": image,
            "video_preprocessor": video,
            "processor": {"processor_class": "Qwen2VLProcessor"},
        }
        save_tokenizer(tokenizer, CHAT_TEMPLATE, folder)
        for name, content in files.items():
            (folder / f"{name}_config.json").write_text(json.dumps(content, indent=2) + "\n")
