"""Floating types by their names, and the one that a checkpoint's own config names."""

from typing import Any

import torch

_NAMES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_NAMES |= {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def parse_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A floating type by its name; ``auto`` and None leave it to the checkpoint.

    Raises:
        ValueError: if there is no such name.
    """
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return None
    if dtype not in _NAMES:
        raise ValueError(f"dtype must be one of auto, {', '.join(_NAMES)}, not {dtype!r}")
    return _NAMES[dtype]


def own_dtype(config: dict[str, Any]) -> str:
    """The name of the floating type that a checkpoint's config asks for; ``auto`` where it names none."""
    for part in (config, config.get("text_config") or config.get("llm_config") or {}):
        if name := part.get("dtype") or part.get("torch_dtype"):
            return str(name)
    return "auto"
