"""Where a model goes: to one device, or its parts to several and to disk, as accelerate places them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate spreads a model by itself."""
DISK = "disk"


def usable_device(device: str | None) -> str:
    """``device`` if it is there; None picks CUDA where there is any.

    Raises:
        ValueError: if the device is unknown or absent.
    """
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"there is no kind of device called {device!r}: use cpu, cuda or cuda:1, for instance"
        ) from None
    if not _is_here(kind):
        raise ValueError(f"device {device} is not here: {torch.cuda.device_count()} CUDA devices are; use --device cpu")
    return device


def whole_map(device: str) -> dict[str, str] | None:
    """A map by which weights go straight to an accelerator where accelerate is installed; otherwise they are moved there later."""
    return {"": device} if device != "cpu" and find_spec("accelerate") else None


def check_device_map(device_map: str | Mapping[str, Any]) -> None:
    """Raise a ValueError if a device map is of no known form, or places a part on a device that is not here.

    Args:
        device_map: one of :data:`SPREAD`, a device for all of the model, or by part a device or ``"disk"``. A number is that CUDA
            device.
    """
    if device_map in SPREAD:
        return
    by_part = {"": device_map} if isinstance(device_map, str) else device_map
    for part, place in by_part.items():
        name = _name(place)
        try:
            here = name == DISK or _is_here(torch.device(name))
        except RuntimeError:
            here = False
        if not here:
            raise ValueError(
                f"device_map puts {part or 'the model'} on {name!r}, which is not here: name cpu, disk or one of the "
                f"{torch.cuda.device_count()} CUDA devices, or give one of {', '.join(SPREAD)}"
            )


def check_parts(device_map: Mapping[str, Any], model: nn.Module) -> None:
    """Raise a ValueError if a device map does not fit a model, whose weights may be on ``"meta"``.

    It has to name parts of the model and to cover all weights, and what goes to disk must be whole modules with no part elsewhere:
    accelerate reads a module from disk when it is called.
    """
    weights, modules = list(model.state_dict()), dict(model.named_modules())
    for part, place in device_map.items():
        if part not in modules and part not in weights:
            raise ValueError(
                f"device_map names {part!r}, which the model does not have: name modules, such as {_example(modules)}"
            )
        if place == DISK and part not in modules:
            raise ValueError(
                f"device_map puts {part} on disk, from where only whole modules are read: put it on a device"
            )
        for other in device_map:
            if place != device_map[other] and DISK in (place, device_map[other]) and _within(part, other):
                raise ValueError(
                    f"device_map puts {part} on {place}, and {other or 'the whole model'}, of which it is a part, on "
                    f"{device_map[other]}: name the other parts one by one"
                )
    placeless = [weight for weight in weights if not any(_within(weight, part) for part in device_map)]
    if placeless:
        raise ValueError(
            f"device_map has no place for {placeless[0]}"
            f"{f' and {len(placeless) - 1} more weights' if len(placeless) > 1 else ''}: name that too"
        )


def places(device_map: str | Mapping[str, Any]) -> set[str]:
    """The devices that a map names, and ``"disk"`` if that is among them; none where accelerate is to choose."""
    if device_map in SPREAD:
        return set()
    return {_name(place) for place in ([device_map] if isinstance(device_map, str) else device_map.values())}


def may_use_disk(device_map: str | Mapping[str, Any] | None) -> bool:
    """Whether some parts of a model go to disk, or will where memory does not suffice."""
    return device_map in SPREAD or (isinstance(device_map, Mapping) and DISK in device_map.values())


def own_weights(module: nn.Module) -> AbstractContextManager[None]:
    """Within the block a module's own weights can be read, without those of its parts, as if it were being called.

    Weights that accelerate keeps elsewhere come when a module is called, and only then.
    """
    if not hasattr(module, "_hf_hook"):
        return nullcontext()
    from accelerate.utils import align_module_device

    return align_module_device(module)


def _name(place: Any) -> str:
    return f"cuda:{place}" if isinstance(place, int) else str(place)


def _within(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}.")


def _example(modules: Mapping[str, nn.Module]) -> str:
    """A layer of the language model, which comes last, or else whatever does."""
    names = list(modules)[::-1]
    return next((name for name in names if name.endswith(".layers.0")), names[0])


def _is_here(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or _works(device)


def _works(device: torch.device) -> bool:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, NotImplementedError):
        return False
    return device.type != "meta"
