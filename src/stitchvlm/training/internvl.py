"""The InternVL models of the pair: square tiles with learned positions, a projector, Qwen3 behind it."""

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from stitchvlm.margins import CUTS_MARGINS

from .architecture import HEAD, SHARPNESS, Size, start_language_model, start_tower
from .attention import Listener
from .blocks import answer_states
from .grid import TILES, Tiles
from .neighbours import HEADS, is_local, local_states, start_local
from .packing import INTERNVL_CHAT, Batch, Chat
from .tokenizer import INTERNVL_TOKENS, save_tokenizer

ROPE_THETA = 1e7
"""So large that most of a head's 32 dimensions hardly turn over a picture's length: they are free to match contents."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif content['type'] == 'video' %}<video>\n"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _vision_config(size: Size, tiles: Tiles, local: bool) -> InternVLVisionConfig:
    """`local` for an encoder that begins as a convolution."""
    return InternVLVisionConfig(
        hidden_size=size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=HEADS if local else size.vision_width // HEAD,
        use_qk_norm=local,
        norm_type="rms_norm" if local else "layer_norm",
        intermediate_size=4 * size.vision_width,
        image_size=(tiles.side, tiles.side),
        patch_size=(tiles.patch, tiles.patch),
        layer_scale_init_value=1.0,
        use_absolute_position_embeddings=True,
    )


def _text_config(size: Size, tokens: dict[str, int], vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=size.text_width,
        intermediate_size=size.text_mlp,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_width // HEAD,
        num_key_value_heads=size.text_kv_heads,
        head_dim=HEAD,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokens["<|im_end|>"],
        pad_token_id=tokens["<|endoftext|>"],
    )


def _plane_waves(side: int, width: int) -> torch.Tensor:
    """`[side * side, width]`: sines and cosines of row and column, from one patch to the whole tile in wavelength."""
    waves = math.pi / torch.logspace(0, math.log2(side), width // 4, base=2.0)
    angles = torch.arange(side)[:, None] * waves
    line = torch.cat([angles.sin(), angles.cos()], -1)
    return torch.cat([line.repeat_interleave(side, 0), line.repeat(side, 1)], -1)


def _side(model: InternVLForConditionalGeneration) -> int:
    """Patches along one side of a tile."""
    config = model.config.vision_config
    return config.image_size[0] // config.patch_size[0]


@torch.no_grad()
def _start(model: InternVLForConditionalGeneration) -> None:
    """As for all kinds; positions are smooth, and the norms of queries and keys say how sharp attention is."""
    start_tower(model.model.vision_tower)
    if is_local(model.config.vision_config):
        start_local(model)
    else:
        positions = model.model.vision_tower.embeddings.position_embeddings
        positions[:, 1:] = 0.7 * _plane_waves(_side(model), positions.shape[-1])
    start_language_model(model)
    for layer in model.model.language_model.layers:
        nn.init.constant_(layer.self_attn.q_norm.weight, SHARPNESS)
        nn.init.constant_(layer.self_attn.k_norm.weight, SHARPNESS)


@dataclass(frozen=True)
class InternVL:
    """What training has to know of InternVL, and the tiles that its image processor cuts.

    Attributes:
        local: whether the vision encoder begins as a convolution (`neighbours`).
        pages: whether the model is shown scanned pages without their blank margins (`margins`).
    """

    tiles: Tiles = TILES
    local: bool = False
    pages: bool = False
    picture_tokens: ClassVar[dict[str, str]] = INTERNVL_TOKENS
    chat: ClassVar[Chat] = INTERNVL_CHAT

    def build(self, size: Size, tokens: dict[str, int], vocabulary: int, seed: int) -> InternVLForConditionalGeneration:
        torch.manual_seed(seed)
        text = _text_config(size, tokens, vocabulary)
        config = InternVLConfig(
            vision_config=_vision_config(size, self.tiles, self.local),
            text_config=text,
            image_token_id=tokens[INTERNVL_CHAT.token],
            image_seq_length=self.tiles.tokens,
            downsample_ratio=0.5,
            tie_word_embeddings=False,
        )
        model = InternVLForConditionalGeneration(config).float()
        _start(model)
        return model

    def vision(self, model: InternVLForConditionalGeneration) -> dict[str, nn.Module]:
        return {"tower": model.model.vision_tower, "projector": model.model.multi_modal_projector}

    def last_projection(self, model: InternVLForConditionalGeneration) -> nn.Linear:
        return model.model.multi_modal_projector.linear_2

    def places(self, model: InternVLForConditionalGeneration) -> int:
        return _side(model) // 2

    def states(self, model: InternVLForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
        tower = model.model.vision_tower
        if is_local(tower.config):
            return local_states(model, pixels)
        side = _side(model)
        return tower(pixel_values=pixels).last_hidden_state[:, 1:].unflatten(1, (side, side))

    def joined(self, model: InternVLForConditionalGeneration, states: torch.Tensor) -> torch.Tensor:
        shuffled = model.model.pixel_shuffle(states, scale_factor=0.5)
        return model.model.multi_modal_projector(shuffled.flatten(1, 2))

    def answer_states(
        self,
        model: InternVLForConditionalGeneration,
        embedded: torch.Tensor,
        batch: Batch,
        grounding: Listener | None = None,
    ) -> torch.Tensor:
        return answer_states(model.model.language_model, embedded, batch, grounding)

    @torch.no_grad()
    def deepen_vision(self, model: InternVLForConditionalGeneration, layers: int) -> None:
        own = model.model.vision_tower.encoder.layer
        while len(own) < layers:
            twin = copy.deepcopy(own[-1])
            for outer in (twin.attention.projection_layer, twin.mlp.fc2):
                nn.init.zeros_(outer.weight)
                nn.init.zeros_(outer.bias)
            own.append(twin)
        model.config.vision_config.num_hidden_layers = layers

    def save_processor(self, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
        image = {
            "image_processor_type": "GotOcr2ImageProcessor",
            "processor_class": "InternVLProcessor",
            "crop_to_patches": True,
            "min_patches": self.tiles.least,
            "max_patches": self.tiles.most,
            "do_convert_rgb": True,
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "size": {"height": self.tiles.side, "width": self.tiles.side},
            "resample": 3,
            "rescale_factor": 1 / 255,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
        } | ({CUTS_MARGINS: True} if self.pages else {})
        processor = {"processor_class": "InternVLProcessor", "image_seq_length": self.tiles.tokens}
        save_tokenizer(tokenizer, CHAT_TEMPLATE, folder)
        for name, content in (("preprocessor_config", image), ("processor_config", processor)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
