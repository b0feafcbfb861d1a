"""Reading checkpoints: where they are, what family they are of, and their weights, with errors that say the way out."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.attention import TAPPED_SDPA, register_tapped_attention
from stitchvlm.embedded import embedded_folder
from stitchvlm.errors import DataError

_SMALL_FILES = ["*.json", "*.jinja", "*.model", "*.txt"]


def checkpoint_folder(source: str, with_weights: bool = True) -> Path:
    """The local folder of a checkpoint; a hub id is downloaded (safetensors only) unless it is cached already.

    Args:
        with_weights: False for who only wants to know what it is, and downloads no weights for that.

    Raises:
        ValueError: if there is no such folder, hub id or embedded checkpoint.
    """
    folder = embedded_folder(source) or Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ValueError(f"{source} has no config.json: give the folder of a checkpoint")
        return folder
    if folder.exists() or source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise ValueError(
            f"{source} is neither a folder with a checkpoint nor a hub id such as OpenGVLab/InternVL3-8B-hf"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        wanted = [*_SMALL_FILES, "*.safetensors"] if with_weights else _SMALL_FILES
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"there is no folder {source}, and the hub does not give it ({reason}): check the name and the connection"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: if the file is missing or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: the checkpoint is incomplete") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}): fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} does not hold a JSON object: fetch the checkpoint again")
    return content


def load_weights(
    kind: type[PreTrainedModel],
    folder: Path,
    dtype: torch.dtype | None,
    device_map: str | dict | None,
    quantize: QuantizationConfigMixin | None = None,
) -> PreTrainedModel:
    """A native model from a folder of safetensors, every weight accounted for; on the device ``"meta"`` a hollow one.

    Raises:
        ValueError: if a weight file is missing or corrupt, or does not fit the model.
    """
    if device_map == "meta":
        return hollow(kind, kind.config_class.from_pretrained(folder))
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} has no *.safetensors: only that format is loaded; convert the checkpoint first")
    try:
        model, report = kind.from_pretrained(
            folder,
            dtype=dtype or "auto",
            device_map=device_map,
            use_safetensors=True,
            output_loading_info=True,
            **({} if quantize is None else {"quantization_config": quantize}),
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        again = "fetch the checkpoint again"
        fits = again if quantize is None else f"leave quantize out, give it devices with room for all of it, or {again}"
        way_out = "install what is missing" if isinstance(error, ImportError) else fits
        raise DataError(f"the weights in {folder} cannot be loaded ({reason}): {way_out}") from error
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    problems = {key: sorted(map(str, report[key])) for key in kinds if report.get(key)}
    if problems:
        kind_of, names = next(iter(problems.items()))
        raise DataError(
            f"the weights in {folder} do not fit its config: {len(names)} {kind_of.replace('_', ' ')}, such as {names[0]}: "
            "fetch the checkpoint again"
        )
    return model


def hollow(kind: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    """A model with the shapes of its config and no weights, which knows how pictures become tokens and takes no memory."""
    with torch.device("meta"):
        return kind(config)


def stop_token_ids(config: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids that end an answer: the generation config's, else the tokenizer's end token."""
    ids = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    return tuple(ids) if isinstance(ids, list | tuple) else () if ids is None else (ids,)


def tap_language_model(model: PreTrainedModel) -> PreTrainedModel:
    """The model with SDPA everywhere, its language model's being the kind that can be listened to."""
    register_tapped_attention()
    model.set_attn_implementation({"": "sdpa", "text_config": TAPPED_SDPA, "vision_config": "sdpa"})
    return model.eval()
