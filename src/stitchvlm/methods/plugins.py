"""Methods of other packages, which they register under the entry point group ``stitchvlm.methods``."""

from collections.abc import Collection, Sequence
from importlib.metadata import EntryPoint, entry_points

from stitchvlm.errors import DataError
from stitchvlm.methods.base import Method
from stitchvlm.plugins import load_class, package_of, told

GROUP = "stitchvlm.methods"


def registered() -> dict[str, list[EntryPoint]]:
    """What other packages register, by name; nothing of theirs is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load(name: str, entries: Sequence[EntryPoint]) -> type[Method]:
    """The method of that name.

    Raises:
        DataError: if it cannot be imported, is no whole method or goes by another name, or several packages register it.
    """
    if len(entries) > 1:
        packages = " and ".join(map(package_of, entries))
        raise DataError(f"the packages {packages} register the same method {name!r}: leave one of them installed")
    (entry,) = entries
    found: type[Method] = load_class("method", entry, Method, ["name", "paper"])
    if found.name != name:
        raise DataError(f"{told('method', entry)} calls itself {found.name!r}: its entry point must have the same name")
    return found


def hidden(name: str, entries: Sequence[EntryPoint]) -> str:
    """What is to be said of methods that bear a name of this package."""
    packages = " and ".join(map(package_of, entries))
    return f"the method {name!r} of the package {packages} is hidden by the one of stitchvlm: it needs another name"


def survey(taken: Collection[str]) -> tuple[dict[str, type[Method]], list[str]]:
    """The methods of other packages that can be used, and one sentence on each that cannot.

    Args:
        taken: names that have a meaning in this package.
    """
    usable: dict[str, type[Method]] = {}
    problems = []
    for name, entries in registered().items():
        if name in taken:
            problems.append(hidden(name, entries))
            continue
        try:
            usable[name] = load(name, entries)
        except DataError as error:
            problems.append(str(error))
    return usable, problems
