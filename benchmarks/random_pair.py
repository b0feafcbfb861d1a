"""Pairs of models of real shapes with random weights, built where they run, that can be asked about random pictures.

Their large embeddings and an output head that is the embedding moved by one make them count: after token n they say n + 1, whatever
they see. So an answer is known before it is given, and it does not hang on near-ties between random logits.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from transformers import InternVLForConditionalGeneration

from stitchvlm.evaluation.shared import SharedEngine
from stitchvlm.families.base import VLM, CutPictures, Inputs
from stitchvlm.families.internvl import InternVL, tap_language_model
from stitchvlm.families.internvl2_checkpoint.config import native_config
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink

N_BEFORE, N_AFTER = 8, 56  # text tokens around the picture
PLACEHOLDER, LOWEST, HIGHEST = 5, 10, 1000  # text tokens lie between the last two


def _release(architecture: str, text: Sequence[int], vision: Sequence[int], qk_norm: bool = False) -> dict[str, Any]:
    """A release's config.json: (width, inner width, layers, heads, key-value heads, vocabulary) and the encoder's first four."""
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    normalised = (
        {"norm_type": "rms_norm", "qkv_bias": False} if qk_norm else {"norm_type": "layer_norm", "qkv_bias": True}
    )
    return {
        "ps_version": "v2",
        "llm_config": {
            "architectures": [architecture],
            **dict(zip((*names, "num_key_value_heads", "vocab_size"), text, strict=True)),
            "max_position_embeddings": 32_768,
            "bias": False,
        },
        "vision_config": {
            **dict(zip(names, vision, strict=True)),
            **normalised,
            "image_size": 448,
            "patch_size": 14,
            "qk_normalization": qk_norm,
        },
    }


_VIT_300M, _VIT_6B = (1024, 4096, 24, 16), (3200, 12_800, 45, 25)
_INTERNLM2_1_8B = (2048, 8192, 24, 16, 8, 92_553)
_INTERNVL2_2B = _release("InternLM2ForCausalLM", _INTERNLM2_1_8B, _VIT_300M)

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "small": _release("Qwen2ForCausalLM", (512, 1408, 12, 8, 2, 32_000), (384, 1536, 12, 6)),
        "large": _release("Qwen2ForCausalLM", (1536, 8960, 22, 12, 2, 32_000), _VIT_300M),
    },
    "internvl2-26b": {
        "small": _INTERNVL2_2B,
        "large": _release("InternLM2ForCausalLM", (6144, 16_384, 48, 48, 8, 92_553), _VIT_6B, qk_norm=True),
    },
    "internvl2-40b": {
        "small": _INTERNVL2_2B,
        "large": _release("LlamaForCausalLM", (7168, 20_480, 60, 56, 8, 64_000), _VIT_6B, qk_norm=True),
    },
}
"""Small and large model of each, as their releases would write it."""


class RandomPictures(InternVL):
    """Takes a question's text, ``"<tiles> <seed>"``, for a picture of so many tiles between the tokens of a random prompt."""

    def prepare(
        self,
        vlm: VLM,
        questions: Sequence[Question],
        max_tiles: int | None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        rows = [_random_inputs(vlm, *map(int, question.text.split())) for question in questions]
        return Inputs(
            token_ids=tuple(row.token_ids[0] for row in rows),
            tiles=(torch.cat([row.tiles[0] for row in rows]),),
            layouts=tuple(row.layouts[0] for row in rows),
            n_unshrunk=tuple(row.n_unshrunk[0] for row in rows),
        )


@cache
def _random_inputs(vlm: VLM, n_tiles: int, seed: int) -> Inputs:
    """One question; several tiles are followed by a thumbnail, which is one of them."""
    generator, config = torch.Generator().manual_seed(seed), vlm.model.config
    side, pixels = int(config.image_seq_length**0.5), config.vision_config.image_size[0]
    columns, n_visual = max(1, n_tiles - 1), n_tiles * side**2
    index = torch.arange(N_BEFORE, N_BEFORE + n_visual)
    sizes = [(pixels * columns, pixels)]
    layout = tiled_layout(index, [(columns, 1)], side, sizes, n_tokens=N_BEFORE + n_visual + N_AFTER)
    ids = torch.randint(LOWEST, HIGHEST, (layout.n_tokens,), generator=generator)
    ids[index] = PLACEHOLDER
    tiles = torch.randn(n_tiles, 3, pixels, pixels, generator=generator)
    return Inputs((ids,), (tiles,), (layout,), (n_visual,))


def counted_on(prompt: Sequence[int], n_tokens: int) -> list[int]:
    """What a model of this file answers."""
    last = int(prompt[-1])
    return list(range(last + 1, last + 1 + n_tokens))


def counting_engine(release: dict[str, Any], device: str, dtype: torch.dtype = torch.bfloat16) -> SharedEngine:
    """A model of that shape, its weights drawn on the device."""
    config = native_config(release)
    with torch.device("meta"):
        model = InternVLForConditionalGeneration(config)
    model = model.to(dtype).to_empty(device=device)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.02)
            else:
                parameter.fill_(0 if name.endswith("bias") else 1)
        _let_it_count(model)
    text = model.model.language_model
    text.rotary_emb = type(text.rotary_emb)(config.text_config).to(device)
    model.generation_config.eos_token_id = None
    return SharedEngine(VLM("random weights", RandomPictures(), tap_language_model(model), None, None, (), PLACEHOLDER))


def _let_it_count(model: Any) -> None:
    """Embeddings that outweigh what the layers add, each the output row of the token after it."""
    embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
    embedding.normal_(0, 16)
    head[1:].copy_(embedding[:-1])
    head[0].copy_(embedding[-1])
    head.mul_(0.02 / 16)
