"""The release's weights, converted while transformers loads them: no second copy of the model is ever in memory.

Three things differ from the native layout: names, the vision tower's fused `qkv` (three blocks), and InternLM2's fused
`wqkv`, whose rows are interleaved per key/value group.
"""

import weakref
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError, safe_open
from transformers import InternVLConfig, InternVLForConditionalGeneration
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import Chunk, ConversionOps, WeightConverter, WeightRenaming, WeightTransform
from transformers.utils import logging

from stitchvlm.errors import DataError
from stitchvlm.families.checkpoint import hollow, read_json
from stitchvlm.families.internvl2_checkpoint.config import native_config
from stitchvlm.families.internvl2_checkpoint.template import IMAGE_CONTEXT
from stitchvlm.families.internvl2_checkpoint.tokenizer_files import added_tokens, read_optional
from stitchvlm.families.placement import may_use_disk

_SINGLE_FILE, _INDEX_FILE = "model.safetensors", "model.safetensors.index.json"

_RENAMINGS = {
    r"^mlp1\.0\.": "model.multi_modal_projector.layer_norm.",
    r"^mlp1\.1\.": "model.multi_modal_projector.linear_1.",
    r"^mlp1\.3\.": "model.multi_modal_projector.linear_2.",
    r"^vision_model\.": "model.vision_tower.",
    r"\.class_embedding$": ".cls_token",
    r"\.patch_embedding\.": ".patch_embeddings.projection.",
    r"\.position_embedding$": ".position_embeddings",
    r"\.encoder\.layers\.": ".encoder.layer.",
    r"\.attn\.proj\.": ".attention.projection_layer.",
    r"\.attn\.q_norm\.": ".attention.q_norm.",
    r"\.attn\.k_norm\.": ".attention.k_norm.",
    r"\.norm1\.": ".layernorm_before.",
    r"\.norm2\.": ".layernorm_after.",
    r"\.ls1$": ".lambda_1",
    r"\.ls2$": ".lambda_2",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^language_model\.output\.": "lm_head.",
    r"^language_model\.model\.": "model.language_model.",
    r"\.tok_embeddings\.": ".embed_tokens.",
    r"\.attention_norm\.": ".input_layernorm.",
    r"\.ffn_norm\.": ".post_attention_layernorm.",
    r"\.attention\.wo\.": ".self_attn.o_proj.",
    r"\.feed_forward\.w1\.": ".mlp.gate_proj.",
    r"\.feed_forward\.w3\.": ".mlp.up_proj.",
    r"\.feed_forward\.w2\.": ".mlp.down_proj.",
}


class SplitInterleavedQKV(ConversionOps):
    """Takes InternLM2's `wqkv` apart: each key/value group holds its query heads, then its key, then its value head.

    Rows `[groups · (queries per group + 2) · head_dim, …]` become q `[heads · head_dim, …]`, k and v
    `[groups · head_dim, …]`.
    """

    @torch.no_grad()
    def convert(
        self,
        input_dict: dict[str, list[torch.Tensor]],
        source_patterns: list[str],
        target_patterns: list[str],
        **kwargs,
    ) -> dict[str, torch.Tensor]:
        (fused,) = next(iter(input_dict.values()))
        text = kwargs["config"].get_text_config()
        groups = text.num_key_value_heads
        queries = text.num_attention_heads // groups
        head_dim = text.hidden_size // text.num_attention_heads
        if fused.shape[0] != groups * (queries + 2) * head_dim:
            # An error here would be reported without the weight's name; a q of the wrong shape is reported with it.
            return {target_patterns[0]: fused}
        grouped = fused.unflatten(0, (groups, queries + 2, head_dim))
        parts = grouped[:, :queries].flatten(0, 2), grouped[:, -2].flatten(0, 1), grouped[:, -1].flatten(0, 1)
        return {name: part.contiguous() for name, part in zip(target_patterns, parts, strict=True)}


class _ReleaseLayout(InternVLForConditionalGeneration):
    """The native model under another class name, by which transformers finds the conversion below."""

    # Buffers that some exports of the Llama-based sizes still carry; the native model computes them.
    _keys_to_ignore_on_load_unexpected = (r"rotary_emb\.inv_freq$",)


def conversion_mapping() -> list[WeightTransform]:
    """Every renaming and splitting from the release's weight names to the native ones, for all its language models."""
    transforms: list[WeightTransform] = [WeightRenaming(source, target) for source, target in _RENAMINGS.items()]
    for kind in ("weight", "bias"):
        native = [f"{name}_proj.{kind}" for name in "qkv"]
        vision_targets = [f"attention.{name}" for name in native]
        text_targets = [f"self_attn.{name}" for name in native]
        transforms.append(WeightConverter(f"attn.qkv.{kind}", vision_targets, [Chunk(dim=0)]))
        transforms.append(WeightConverter(f"attention.wqkv.{kind}", text_targets, [SplitInterleavedQKV()]))
    return transforms


def release_class() -> type[InternVLForConditionalGeneration]:
    """The class whose `from_pretrained` reads the release's weights.

    The conversion is registered on use, not on import; under a class name of its own it leaves native checkpoints be.
    """
    register_checkpoint_conversion_mapping(_ReleaseLayout.__name__, conversion_mapping(), overwrite=True)
    return _ReleaseLayout


def load_model(
    folder: Path, *, dtype: torch.dtype, device_map: str | dict | None = None
) -> InternVLForConditionalGeneration:
    """The checkpoint in `folder` as an ordinary native model: SDPA attention, evaluation mode, `dtype` throughout.

    Weights are read from `model.safetensors` or its shards straight onto the devices of `device_map` (CPU without one); on
    `"meta"` there are none. Those that go to disk are not there in the native layout: they are written to a temporary
    folder, which goes with the model.
    Raises ValueError for weights that are damaged, missing, superfluous or of the wrong shape, and OSError for absent
    files; both name the file or the weight.
    """
    folder = Path(folder)
    config = native_config(read_json(folder / "config.json"))
    for index, token in added_tokens(folder).items():
        if token.content == IMAGE_CONTEXT:
            config.image_token_id = index
    if device_map == "meta":
        return hollow(InternVLForConditionalGeneration, config)
    _check_files(folder)
    model, report = _from_pretrained(folder, config, dtype, device_map)
    _check_names(folder, report)
    # From here on nothing is special about this model: saving it, say, must write the native layout.
    model.__class__ = InternVLForConditionalGeneration
    model._weight_conversions = []
    return model.eval()


def _from_pretrained(
    folder: Path, config: InternVLConfig, dtype: torch.dtype, device_map: str | dict | None
) -> tuple[InternVLForConditionalGeneration, dict]:
    """transformers' own loading with the conversion in place: the model, and what it reports about the weight names."""
    verbosity = logging.get_verbosity()
    # transformers logs a table of the faults that are raised here as one error.
    logging.set_verbosity_error()
    try:
        with ExitStack() as stack:
            model, report = release_class().from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                device_map=device_map,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                # Reported with their names like the other faults, instead of an error without one.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                offload_folder=stack.enter_context(TemporaryDirectory()) if may_use_disk(device_map) else None,
            )
            weakref.finalize(model, stack.pop_all().close)
            return model, report
    finally:
        logging.set_verbosity(verbosity)


def _check_files(folder: Path) -> None:
    """Fail before anything is loaded when a weight file is absent, of the wrong format or cut short."""
    index = read_optional(folder / _INDEX_FILE)
    if (folder / _SINGLE_FILE).is_file():
        names = [_SINGLE_FILE]
    elif index:
        if not isinstance(index.get("weight_map"), dict):
            raise ValueError(f"{folder / _INDEX_FILE} has no weight_map. Download it again.")
        names = sorted(set(index["weight_map"].values()))
    elif any(folder.glob("*.bin")):
        raise ValueError(f"{folder} has its weights as .bin only. Convert them to {_SINGLE_FILE} first.")
    else:
        raise DataError(f"{folder} has neither {_SINGLE_FILE} nor {_INDEX_FILE}. Download the weights.")
    for name in names:
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing, but {_INDEX_FILE} lists it. Download the shard.")
        try:
            # Opening checks the header against the length of the file.
            with safe_open(folder / name, framework="pt"):
                pass
        except SafetensorError as error:
            raise ValueError(f"{folder / name} is damaged ({error}). Download it again.") from error


def _check_names(folder: Path, report: dict) -> None:
    """ValueError when a weight was left over or left out: such a model would answer nonsense without complaint."""
    for kind in ("mismatched", "missing", "unexpected"):
        names = sorted(str(name) for name in report[f"{kind}_keys"])
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(
                f"The weights in {folder} do not fit its config.json: {kind} {names[0]}{more}. Download both again."
            )
