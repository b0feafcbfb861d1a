"""What a fitted exit is bound to: the settings that decide what is answered, gathered and compared."""

from collections.abc import Mapping
from typing import Any

import torch

from stitchvlm.families import check_checkpoint
from stitchvlm.families.dtypes import own_dtype, parse_dtype
from stitchvlm.families.fingerprint import fingerprint
from stitchvlm.guide import FirstQuery
from stitchvlm.methods import Method, make_method
from stitchvlm.methods.options import options_of
from stitchvlm.sampling import Sampling

_WAY = (
    "small",
    "large",
    "method",
    "options",
    "keep",
    "layer",
    "max_tiles",
    "guide_tokens",
    "first_query",
    "dtype",
    "quantize",
)
BOUND = (*_WAY, "max_new_tokens", "min_new_tokens", "temperature")
"""With another value of one of these a fitted threshold promises nothing."""

_UNNAMED = {"guide_tokens": None, "first_query": "text", "min_new_tokens": None, "temperature": 0.0, "quantize": None}
"""What a recorded run answers with where its settings do not name it."""


def way_in_use(
    small: str,
    large: str,
    method: Method,
    keep: float | str,
    layer: int | None,
    max_tiles: int | None,
    dtype: torch.dtype | str | None,
    guide_tokens: int | None = None,
    first_query: FirstQuery = "text",
    quantize: str | None = None,
) -> dict[str, Any]:
    """The settings of a pair of checkpoints in use, as :func:`difference` compares them; models by their marks (`fingerprint`)."""
    return {
        "small": fingerprint(small),
        "large": fingerprint(large),
        "method": method.name,
        "options": options_of(method),
        "keep": keep,
        "layer": layer,
        "max_tiles": max_tiles,
        "guide_tokens": guide_tokens,
        "first_query": first_query,
        "dtype": dtype_name(dtype),
        "quantize": quantize,
        "own_dtypes": tuple(own_dtype(check_checkpoint(source)) for source in (small, large)),
    }


def sampling_in_use(sampling: Sampling) -> dict[str, Any]:
    """What decides an answer apart from a seed; the promises are about greedy answers."""
    return {name: getattr(sampling, name) for name in ("max_new_tokens", "min_new_tokens", "temperature")}


def difference(fitted: Mapping[str, Any], used: Mapping[str, Any]) -> str | None:
    """The first setting in which two ways of answering differ, in words; None where all that both name agree.

    Models are told by the mark of their weights, whatever their folders are called. ``auto`` is the floating type of the
    checkpoints in use, which are those of the fit or differ already.

    Args:
        fitted: settings of a recorded run; options that it does not name have their defaults.
        used: from :func:`way_in_use`, :func:`sampling_in_use`, or both.
    """
    fitted = _UNNAMED | ({"options": {}} if "method" in fitted else {}) | dict(fitted)
    for name in BOUND:
        if name not in fitted or name not in used:
            continue
        ours, theirs = fitted[name], used[name]
        if name == "options":
            changed = _changed_option(fitted, theirs)
        elif name == "dtype":
            own = used.get("own_dtypes", ())
            changed = None if _types(ours, own) == _types(theirs, own) else (name, ours, theirs)
        else:
            changed = None if _mark(ours) == _mark(theirs) else (name, ours, theirs)
        if changed is not None:
            return "{} {!r}, not {!r}".format(*changed)
    return None


def dtype_name(dtype: torch.dtype | str | None) -> str:
    """One name for each of its spellings."""
    return str(parse_dtype(dtype) or "auto").removeprefix("torch.")


def _changed_option(fitted: Mapping[str, Any], used: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first option of the method that differs, with both values."""
    ours = options_of(make_method(fitted["method"], **fitted["options"]))
    names = [name for name in {**ours, **used} if ours.get(name) != used.get(name)]
    return (f"option {names[0]}", ours.get(names[0]), used.get(names[0])) if names else None


def _types(dtype: str, own: tuple[str, ...]) -> set[str]:
    """The floating types that the models have with this setting."""
    name = dtype_name(dtype)
    return set(own) if name == "auto" and own else {name}


def _mark(setting: Any) -> Any:
    """The weights' mark of a model's fingerprint, which follows its name; other settings are what they are."""
    return setting.rpartition(" ")[2] if isinstance(setting, str) else setting
