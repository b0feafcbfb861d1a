"""What other packages register as entry points, with errors that say which package it is and what to do."""

from abc import ABCMeta
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

from stitchvlm.errors import DataError


def package_of(entry: EntryPoint) -> str:
    """The package that registers it."""
    return entry.dist.name if entry.dist is not None else entry.module


def told(kind: str, entry: EntryPoint) -> str:
    """How an error calls it; ``kind`` is the one word for what is registered."""
    return f"the {kind} {entry.name!r} of the package {package_of(entry)}"


def load_class(kind: str, entry: EntryPoint, base: ABCMeta, attributes: Sequence[str]) -> type[Any]:
    """The class that an entry point names.

    Args:
        base: what it has to be a subclass of, with nothing abstract left.
        attributes: what it has to have besides.

    Raises:
        DataError: if it cannot be imported, or is no whole ``kind``.
    """
    named = told(kind, entry)
    try:
        found: Any = entry.load()
    except Exception as error:
        raise DataError(
            f"{named} cannot be loaded ({type(error).__name__}: {error}): mend the package or uninstall it"
        ) from error
    if not isinstance(found, type) or not issubclass(found, base):
        parent = f"{entry.group}.{base.__name__}"
        raise DataError(f"{named} is no {kind}: its entry point {entry.value} must name a subclass of {parent}")
    lacking = [part for part in attributes if not hasattr(found, part)] + sorted(found.__abstractmethods__)
    if lacking:
        raise DataError(f"{named} is no whole {kind}: it lacks {', '.join(lacking)}")
    return found
