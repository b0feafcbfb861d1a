"""Families of other packages, which they register under the entry point group ``stitchvlm.families``."""

from importlib.metadata import EntryPoint, entry_points

from stitchvlm.errors import DataError
from stitchvlm.families.base import Family

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
    package = entry.dist.name if entry.dist is not None else entry.module
    named = f"the family {entry.name!r} of the package {package}"
    try:
        found = entry.load()
    except Exception as error:
        raise DataError(
            f"{named} cannot be loaded ({type(error).__name__}: {error}): mend the package or uninstall it"
        ) from error
    if not isinstance(found, type) or not issubclass(found, Family):
        raise DataError(f"{named} is no family: its entry point {entry.value} must name a subclass of {GROUP}.Family")
    lacking = ([] if hasattr(found, "name") else ["name"]) + sorted(found.__abstractmethods__)
    if lacking:
        raise DataError(f"{named} is no whole family: it lacks {', '.join(lacking)}")
    try:
        return found()
    except Exception as error:
        raise DataError(
            f"{named} cannot be made without arguments ({type(error).__name__}: {error}): mend the package or uninstall it"
        ) from error
