"""Weights in fewer bits, by transformers' own quantizers."""

from collections.abc import Collection
from importlib import import_module
from typing import Any

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_accelerate_available, is_bitsandbytes_available

from stitchvlm.families.dtypes import own_dtype, parse_dtype
from stitchvlm.families.placement import DISK

KINDS = ("int8", "int4")


def check_quantize(kind: str | None) -> None:
    """Raise a ValueError if there is no such way of quantizing, or what it needs is not installed."""
    if kind is None:
        return
    if kind not in KINDS:
        raise ValueError(f"quantize must be one of {', '.join(KINDS)}, not {kind!r}")
    present = {"bitsandbytes": is_bitsandbytes_available(), "accelerate": is_accelerate_available()}
    missing = [package for package, is_there in present.items() if not is_there]
    if missing:
        raise ValueError(
            f"quantize {kind} needs the package {' and '.join(missing)}: install it, or leave quantize out"
        )


def check_places(kind: str, places: Collection[str]) -> None:
    """Raise a ValueError if a model cannot be quantized whose parts are in those places, devices or ``"disk"``.

    Quantized weights are not read from disk, and on a CPU they are only if the installed bitsandbytes quantizes there and all are.
    """
    if DISK in places:
        raise ValueError(
            f"quantize {kind} does not go with parts on disk: give device_map a device for every part, or leave quantize out"
        )
    supported = getattr(import_module("bitsandbytes"), "supported_torch_devices", {"cuda"})
    devices = sorted({torch.device(place).type for place in places})
    if "cpu" in devices and len(devices) > 1:
        raise ValueError(
            f"quantize {kind} does not go with parts on the CPU beside others on {devices[1]}: give device_map GPUs only, or leave "
            "quantize out"
        )
    for device in devices:
        if device not in supported:
            raise ValueError(
                f"quantize {kind} does not work on {device} with the installed bitsandbytes: choose a GPU, or leave quantize out"
            )


def quantizer(kind: str, config: dict[str, Any], dtype: torch.dtype | None, kept: list[str]) -> BitsAndBytesConfig:
    """What transformers is told; products are computed in ``dtype``, or in the type that the checkpoint's config names.

    Args:
        kept: names of modules that keep their type.
    """
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    compute = dtype or parse_dtype(own_dtype(config))
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=kept
    )
