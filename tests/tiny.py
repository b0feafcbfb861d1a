"""Tiny random checkpoints with real tokenizer and image-processor files, built where a test needs them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GotOcr2ImageProcessorPil,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    Phi3Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3Config,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

IMAGE_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT_CONFIGS = {"qwen2": Qwen2Config, "llama": LlamaConfig, "phi3": Phi3Config, "qwen3": Qwen3Config}


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, plus the special tokens of InternVL."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        extra_special_tokens=IMAGE_TOKENS,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
    )


def save_tiny_internvl(
    folder: Path,
    text: str = "qwen2",
    n_layers: int = 4,
    width: int = 32,
    tile: int = 28,
    patch: int = 7,
    seed: int = 0,
    max_patches: int = 4,
    **text_options,
) -> Path:
    """A random InternVL checkpoint; 28-pixel tiles of 7-pixel patches give 4 visual tokens per tile."""
    tokenizer = byte_tokenizer()
    config = InternVLConfig(
        vision_config={
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": tile,
            "patch_size": patch,
        },
        text_config=TEXT_CONFIGS[text](
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=n_layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            **text_options,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(tile // patch // 2) ** 2,
    )
    processor = GotOcr2ImageProcessorPil(size={"height": tile, "width": tile}, max_patches=max_patches)
    return _save(folder, InternVLForConditionalGeneration, config, tokenizer, processor, seed)


def _save(folder: Path, kind: type[PreTrainedModel], config, tokenizer, processor, seed: int) -> Path:
    """A checkpoint with random weights, larger than at the start of training so that tokens differ."""
    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1.5 / parameter.shape[-1] ** 0.5)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    for part in (model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


QWEN_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nBe helpful.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_VL = {
    "qwen2_vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration),
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Qwen2's own kind of tokenizer over bytes, with the special tokens of its vision models."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={char: i for i, char in enumerate(alphabet)},
        merges=[],
        eos_token="<|im_end|>",
        extra_special_tokens=["<|im_start|>", *QWEN_TOKENS],
    )
    tokenizer.chat_template = QWEN_TEMPLATE
    return tokenizer


def save_tiny_qwen_vl(
    folder: Path, kind: str, n_layers: int = 4, width: int = 32, patch: int = 7, seed: int = 0, **text_options
) -> Path:
    """A random Qwen-VL checkpoint; 7-pixel patches give a visual token for 14 x 14 pixels, 4 to 64 for a picture."""
    tokenizer, (config_class, model_class) = qwen_tokenizer(), QWEN_VL[kind]
    vision = {"depth": 4, "num_heads": 2, "patch_size": patch, "spatial_merge_size": 2, "temporal_patch_size": 2}
    own = {"hidden_size": 16, "intermediate_size": 24, "out_hidden_size": width}
    vision |= {
        "qwen2_vl": {"embed_dim": 16, "hidden_size": width, "mlp_ratio": 2},
        "qwen2_5_vl": own | {"window_size": 4 * patch, "fullatt_block_indexes": [1, 3]},
        "qwen3_vl": own | {"num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1, 2]},
    }[kind]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
    }
    if kind == "qwen3_vl":
        text["head_dim"] = width // 2
        text["rope_parameters"]["mrope_interleaved"] = True
    ids = dict(zip(("vision_start", "vision_end", "image", "video"), (0, 1, 3, 4), strict=True))
    config = config_class(
        vision_config=vision,
        text_config=text | text_options,
        **{f"{name}_token_id": tokenizer.convert_tokens_to_ids(QWEN_TOKENS[at]) for name, at in ids.items()},
    )
    side = 2 * patch
    size = {"shortest_edge": 4 * side**2, "longest_edge": 64 * side**2}
    processor = Qwen2VLImageProcessorPil(size=size, patch_size=patch, merge_size=2, temporal_patch_size=2)
    return _save(folder, model_class, config, tokenizer, processor, seed)


def save_tiny(folder: Path, kind: str, n_layers: int = 4) -> Path:
    """A random checkpoint of a Qwen-VL model, or of InternVL around the language model of that name."""
    return (save_tiny_qwen_vl if kind in QWEN_VL else save_tiny_internvl)(folder, kind, n_layers=n_layers)
