"""The model families, one file each: the only place that knows transformers' model classes.

To add one, write a subclass of :class:`Family` and name it in ``_BUILT_IN``. A package outside this one registers through
the entry point group ``stitchvlm.families``.
"""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers.utils.quantization_config import QuantizationConfigMixin

from stitchvlm.errors import DataError, UnsuitableMethodError
from stitchvlm.families import plugins
from stitchvlm.families.base import VLM, Decoder, Family, Inputs, Prompt
from stitchvlm.families.checkpoint import checkpoint_folder, read_json
from stitchvlm.families.internvl import InternVL
from stitchvlm.families.llava_onevision import LlavaOnevision
from stitchvlm.families.placement import check_device_map, check_parts, places, usable_device, whole_map
from stitchvlm.families.quantize import check_places, check_quantize, quantizer
from stitchvlm.families.qwen_vl import QwenVL
from stitchvlm.families.suitable import check_suitable, idle_tile_options
from stitchvlm.methods import Method, TokenReducer

_BUILT_IN: tuple[type[Family], ...] = (InternVL, QwenVL, LlavaOnevision)


def available_families() -> list[Family]:
    """Every family, those of other installed packages included; what cannot be used of theirs is warned of and left out."""
    usable, problems = survey_families()
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return usable


def survey_families() -> tuple[list[Family], list[str]]:
    """Every family that can be used, the built-in ones first, and one sentence on each of another package that cannot."""
    usable, problems = plugins.survey()
    return [*_built_in(), *usable], problems


def _built_in() -> list[Family]:
    return [family() for family in _BUILT_IN]


def load_vlm(
    source: str,
    dtype: torch.dtype | None = None,
    device: str | None = None,
    device_map: str | dict | None = None,
    quantize: str | None = None,
) -> VLM:
    """Load a checkpoint from a folder or a hub id.

    Args:
        dtype: None takes the checkpoint's own.
        device: where the whole model goes; None takes CUDA if there is any, else the CPU.
        device_map: accelerate's placement of parts instead of ``device``: one of its ways of spreading a model, or by module a
            device or ``"disk"``.
        quantize: ``"int8"`` or ``"int4"`` for weights in fewer bits.

    Raises:
        ValueError: if the checkpoint is missing or of no supported family, a device is absent, the map does not fit the model, or
            it cannot be quantized.
        DataError: if the checkpoint is broken or incomplete.
    """
    if device_map is not None:
        check_device_map(device_map)
    folder = checkpoint_folder(source)
    config = read_json(folder / "config.json")
    family = _family_of(source, config)
    hollow = cache(lambda: _loaded(family, source, folder, None, "meta"))
    if isinstance(device_map, dict):
        check_parts(device_map, hollow().model)
    if quantize is not None:
        _check_quantize(quantize, family, source, config, device, device_map)
        kept = family.unquantized(hollow())
        # Quantized weights stay where they were made: there is no moving them afterwards.
        where = {"": usable_device(device)} if device_map is None else device_map
        return _loaded(family, source, folder, dtype, where, quantizer(quantize, config, dtype, kept))
    place = usable_device(device) if device_map is None else None
    vlm = _loaded(family, source, folder, dtype, device_map if place is None else whole_map(place))
    if place is not None:
        vlm.model.to(place)
    return vlm


def load_hollow(source: str) -> VLM:
    """A checkpoint without its weights, which prepares questions as the whole one does; nothing heavy is read or downloaded.

    Raises:
        ValueError: if the checkpoint is missing or of no supported family.
        DataError: if what is read of it is broken or incomplete.
    """
    folder = checkpoint_folder(source, with_weights=False)
    family = _family_of(source, read_json(folder / "config.json"))
    return _loaded(family, source, folder, None, "meta")


def check_quantizable(
    source: str, quantize: str | None, device: str | None = None, device_map: str | dict | None = None
) -> None:
    """Raise a ValueError if a checkpoint cannot be quantized so and there, before anything heavy is read."""
    if quantize is not None:
        config = read_json(checkpoint_folder(source) / "config.json")
        _check_quantize(quantize, _family_of(source, config), source, config, device, device_map)


def check_checkpoint(source: str, method: Method | None = None) -> dict[str, Any]:
    """The config of a checkpoint of a supported family, before anything heavy is read.

    Raises:
        ValueError: if the checkpoint is missing or of no supported family.
        UnsuitableMethodError: if it cannot do what the method asks for.
        DataError: if its config is broken.
    """
    config = read_json(checkpoint_folder(source) / "config.json")
    family = _family_of(source, config)
    if method is not None:
        check_suitable(family, method)
    return config


def check_one_picture(source: str, method: Method, max_tiles: int | None = None) -> None:
    """Raise an UnsuitableMethodError if options of the method do nothing where every question is about one picture."""
    if isinstance(method, TokenReducer) and method.tile_options:
        config = read_json(checkpoint_folder(source) / "config.json")
        if idle := idle_tile_options(_family_of(source, config), method, max_tiles):
            raise UnsuitableMethodError(idle)


def text_layers(config: dict[str, Any]) -> int:
    """Depth of the language model that a checkpoint's config describes."""
    text = config.get("text_config") or config.get("llm_config") or config
    return int(text["num_hidden_layers"])


def _check_quantize(
    kind: str,
    family: Family,
    source: str,
    config: dict[str, Any],
    device: str | None,
    device_map: str | dict | None,
) -> None:
    check_quantize(kind)
    family.check_quantize(source, config)
    named = {usable_device(device)} if device_map is None else places(device_map)
    check_places(kind, named or {usable_device(None)})


def _loaded(
    family: Family,
    source: str,
    folder: Path,
    dtype: torch.dtype | None,
    device_map: str | dict | None,
    quantize: QuantizationConfigMixin | None = None,
) -> VLM:
    told_how = {} if quantize is None else {"quantize": quantize}
    try:
        return family.load(source, folder, dtype, device_map, **told_how)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # libraries raise many kinds for a broken tokenizer file, the bare one among them
        told = str(error)
        where = "" if source in told or str(folder) in told else f"{source} cannot be loaded, fetch it again: "
        raise DataError(where + told) from error


def _family_of(source: str, config: dict[str, Any]) -> Family:
    family = next((family for family in _built_in() if family.matches(config)), None)
    if family is not None:
        return family
    families = (
        available_families()
    )  # those of other packages are imported, and told of, only where no built-in one matches
    family = next((family for family in families if family.matches(config)), None)
    if family is None:
        kind = config.get("model_type") or (config.get("architectures") or ["nameless"])[0]
        names = ", ".join(family.name for family in families)
        raise ValueError(
            f"{source} is a {kind} checkpoint, not a vision-language model of a supported family ({names}): choose one that "
            "stitch models lists"
        )
    return family


__all__ = [
    "VLM",
    "Decoder",
    "Family",
    "Inputs",
    "InternVL",
    "LlavaOnevision",
    "Prompt",
    "QwenVL",
    "available_families",
    "check_checkpoint",
    "check_device_map",
    "check_one_picture",
    "check_quantizable",
    "load_hollow",
    "load_vlm",
    "survey_families",
    "text_layers",
    "usable_device",
]
