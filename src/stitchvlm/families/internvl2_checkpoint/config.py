"""An `InternVLChatModel` configuration, said in the words of transformers' native `InternVLConfig`."""

from huggingface_hub.errors import StrictDataclassError
from transformers import InternVLConfig, InternVLVisionConfig, LlamaConfig, Phi3Config, PretrainedConfig, Qwen2Config

NATIVE_TEXT_CONFIGS: dict[str, type[PretrainedConfig]] = {
    # InternLM2 is a Llama whose attention weights are stored fused: only the names and the layout differ.
    "InternLM2ForCausalLM": LlamaConfig,
    "LlamaForCausalLM": LlamaConfig,
    "Phi3ForCausalLM": Phi3Config,
    "Qwen2ForCausalLM": Qwen2Config,
}
_SHARED_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "attention_dropout",
)
_TEXT_FIELDS = {
    "InternLM2ForCausalLM": (),
    "LlamaForCausalLM": ("attention_bias", "mlp_bias", "head_dim"),
    "Phi3ForCausalLM": ("original_max_position_embeddings", "sliding_window", "resid_pdrop", "embd_pdrop"),
    "Qwen2ForCausalLM": ("use_sliding_window", "sliding_window", "max_window_layers"),
}
# Dynamic and long RoPE depend on it, so the release's defaults are spelt out.
_DEFAULT_POSITIONS = {
    "InternLM2ForCausalLM": 2048,
    "LlamaForCausalLM": 2048,
    "Phi3ForCausalLM": 4096,
    "Qwen2ForCausalLM": 32768,
}
_VISION_FIELDS = {
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "num_channels": "num_channels",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "hidden_act": "hidden_act",
    "norm_type": "norm_type",
    "layer_norm_eps": "layer_norm_eps",
    "qkv_bias": "attention_bias",
    "qk_normalization": "use_qk_norm",
    "attention_dropout": "attention_dropout",
    "dropout": "projection_dropout",
}
# The release's own defaults, for a config.json that leaves them out (the native classes have other defaults).
_VISION_DEFAULTS = {
    "hidden_size": 3200,
    "intermediate_size": 12800,
    "num_hidden_layers": 48,
    "num_attention_heads": 25,
    "image_size": 224,
    "norm_type": "rms_norm",
    "qkv_bias": False,
    "qk_normalization": True,
}
# The native q/k norms have a fixed epsilon, and the native image tower applies no other.
_NATIVE_QK_NORM_EPS = 1e-6
# No token has this id: a model whose tokenizer is not known refuses images instead of overwriting a real token.
UNKNOWN_TOKEN_ID = -1


def is_internvl2(config: dict) -> bool:
    """True when a raw config.json describes a checkpoint in the release's remote-code layout."""
    named = config.get("model_type") == "internvl_chat" or "InternVLChatModel" in (config.get("architectures") or [])
    return named and isinstance(config.get("llm_config"), dict) and isinstance(config.get("vision_config"), dict)


def language_architecture(config: dict) -> str:
    """The class name of the checkpoint's language model; ValueError when it is not one that can be converted."""
    architecture = (config["llm_config"].get("architectures") or ["none named"])[0]
    if architecture not in NATIVE_TEXT_CONFIGS:
        known = ", ".join(NATIVE_TEXT_CONFIGS)
        raise ValueError(
            f"llm_config.architectures is {architecture!r}; InternVL2 checkpoints with {known} can be read. "
            "For newer models take the repository whose name ends in -hf."
        )
    return architecture


def image_size(config: dict) -> int:
    """Side of a tile in pixels: the size forced for all tiles, else the vision tower's own."""
    return config.get("force_image_size") or config["vision_config"].get("image_size", _VISION_DEFAULTS["image_size"])


def native_config(config: dict) -> InternVLConfig:
    """The native configuration of a release checkpoint.

    `image_token_id` is not part of the release's configuration (its code asks the tokenizer), so it is -1 here;
    `load_model` fills it in from the tokenizer files. Raises ValueError, naming the field, for what the native classes
    cannot express.
    """
    _refuse_unsupported(config)
    architecture = language_architecture(config)
    try:
        vision = _vision_config(config["vision_config"])
        text = _text_config(config["llm_config"], architecture)
        grid = image_size(config) // vision.patch_size[0]
        downsample_ratio = config.get("downsample_ratio", 0.5)
        return InternVLConfig(
            vision_config=vision,
            text_config=text,
            image_token_id=UNKNOWN_TOKEN_ID,
            image_seq_length=int(grid**2 * downsample_ratio**2),
            downsample_ratio=downsample_ratio,
            vision_feature_layer=config.get("select_layer", -1),
            vision_feature_select_strategy="default",
            # The release never ties the output head to the embeddings; every checkpoint stores both.
            tie_word_embeddings=False,
        )
    except (StrictDataclassError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"config.json does not describe an InternVL2 model ({reason}). Download it again.") from error


def _refuse_unsupported(config: dict) -> None:
    """ValueError for settings of InternVL 1.x, whose computation the native classes do not have."""
    wanted = {"ps_version": ("v2", "v1"), "pad2square": (False, False)}
    for field, (supported, default) in wanted.items():
        value = config.get(field, default)
        if value != supported:
            raise ValueError(f"{field} is {value!r}; only InternVL2's {supported!r} has a native counterpart.")


def _vision_config(vision: dict) -> InternVLVisionConfig:
    """InternViT-300M (layer norm, qkv bias) and InternViT-6B (RMS norm, normalised q and k) in native fields."""
    vision = {**_VISION_DEFAULTS, **vision}
    epsilon = vision.get("layer_norm_eps", _NATIVE_QK_NORM_EPS)
    if vision["qk_normalization"] and epsilon != _NATIVE_QK_NORM_EPS:
        raise ValueError(f"vision_config.layer_norm_eps is {epsilon}; with qk_normalization it must be 1e-6.")
    return InternVLVisionConfig(**{native: vision[name] for name, native in _VISION_FIELDS.items() if name in vision})


def _text_config(llm: dict, architecture: str) -> PretrainedConfig:
    """The language model's configuration; only fields that change the computation are carried over."""
    fields = {name: llm[name] for name in _SHARED_TEXT_FIELDS + _TEXT_FIELDS[architecture] if llm.get(name) is not None}
    fields.setdefault("max_position_embeddings", _DEFAULT_POSITIONS[architecture])
    if architecture == "InternLM2ForCausalLM":
        fields["attention_bias"] = llm.get("bias", True)
    if architecture == "Phi3ForCausalLM" and fields.get("sliding_window", 0) >= fields["max_position_embeddings"]:
        # A window longer than the longest sequence hides nothing; without it the plain causal mask is used.
        del fields["sliding_window"]
    return NATIVE_TEXT_CONFIGS[architecture](
        **fields, rope_parameters=_rope_parameters(llm, architecture), tie_word_embeddings=False
    )


def _rope_parameters(llm: dict, architecture: str) -> dict:
    """`rope_theta` and `rope_scaling` of the release in the one dict that transformers 5 reads."""
    scaling = dict(llm.get("rope_scaling") or {})
    kinds = [scaling.pop(name, None) for name in ("type", "rope_type")]
    kind = kinds[0] or kinds[1] or "default"
    if architecture == "Phi3ForCausalLM":
        # "su" is the old name of longrope. The release's "yarn" scales attention unlike the native class's.
        kind = {"su": "longrope"}.get(kind, kind)
        if kind not in ("default", "longrope"):
            raise ValueError(f"llm_config.rope_scaling.type is {kind!r}; Phi-3 with 'su' or 'longrope' can be read.")
    if kind == "longrope":
        original = llm.get("original_max_position_embeddings", 4096)
        scaling["factor"] = llm.get("max_position_embeddings", _DEFAULT_POSITIONS[architecture]) / original
        scaling["original_max_position_embeddings"] = original
    return {"rope_type": kind, "rope_theta": float(llm.get("rope_theta", 10_000.0)), **scaling}
