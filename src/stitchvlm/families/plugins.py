"""Families of other packages, which they register under the entry point group ``stitchvlm.families``."""

from importlib.metadata import EntryPoint, entry_points

from stitchvlm.errors import DataError
from stitchvlm.families.base import Family
from stitchvlm.plugins import load_class, told

GROUP = "stitchvlm.families"


def survey() -> tuple[list[Family], list[str]]:
    """The families of other packages that can be used, and one sentence on each that cannot."""
    usable, problems = [], []
    for entry in entry_points(group=GROUP):
        try:
            usable.append(load(entry))
        except DataError as error:
            problems.append(str(error))
    return usable, problems


def load(entry: EntryPoint) -> Family:
    """The family that a package registers.

    Raises:
        DataError: if it cannot be imported or made, or is no whole family.
    """
    found: type[Family] = load_class("family", entry, Family, ["name"])
    try:
        return found()
    except Exception as error:
        raise DataError(
            f"{told('family', entry)} cannot be made without arguments ({type(error).__name__}: {error}): mend the package or "
            "uninstall it"
        ) from error
