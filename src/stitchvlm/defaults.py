"""What a request leaves open: which pair it means, and which exit."""

from collections.abc import Callable, Mapping
from typing import Any, overload

from stitchvlm.embedded import EMBEDDED_PAIR
from stitchvlm.exits import CalibratedExit, ExitPolicy, SmallEarlyExit
from stitchvlm.families.known import large_for, small_for
from stitchvlm.methods import Evidence, Method
from stitchvlm.models import recommended_exit


def default_exit(embedded: bool) -> SmallEarlyExit:
    """The exit of somebody who asks for none: the embedded pair's own, within what it was fitted for, else never."""
    return recommended_exit() if embedded else SmallEarlyExit("never")


@overload
def within(policy: SmallEarlyExit, in_use: Callable[[], Mapping[str, Any]]) -> SmallEarlyExit: ...
@overload
def within(policy: ExitPolicy, in_use: Callable[[], Mapping[str, Any]]) -> ExitPolicy: ...
def within(policy: ExitPolicy, in_use: Callable[[], Mapping[str, Any]]) -> ExitPolicy:
    """The policy for these settings: a fitted one only where it was fitted for them, any other as it is.

    Raises:
        ValueError: if somebody asked for an exit that was fitted for other settings.
    """
    return policy.within(in_use()) if isinstance(policy, CalibratedExit) else policy


def fill_pair(
    small: str | None, large: str | None, method: Method, exit: ExitPolicy, spare: str = ""
) -> tuple[str, str]:
    """Both checkpoints; one that nobody asks may be left out, and the other one's name fills its place.

    Args:
        spare: how to spare the small model where it is asked for another reason than method and exit; empty where it is not.

    Raises:
        ValueError: if a model is missing.
    """
    if small is None and large is None:
        return EMBEDDED_PAIR
    if small is None:
        assert large is not None, "one of them is named"
        if way_out := _without_small(method, exit, spare):
            raise ValueError(
                f"--large {large} needs a small model beside it: {_add('--small', small_for(large))}{way_out}"
            )
        return large, large
    if large is None and method.asks_large:
        alone = ", or use the small one alone with --method small-alone"
        raise ValueError(f"--small {small} needs a large model beside it: {_add('--large', large_for(small))}{alone}")
    return small, small if large is None else large


def _without_small(method: Method, exit: ExitPolicy, spare: str) -> str:
    """What else to do about a missing small model that somebody asks; empty if nobody does."""
    besides = f" and {spare}" if spare else ""
    if Evidence.GUIDE_MAP in method.needs or not method.asks_large:
        return f", or ask the large one alone with --method large-alone{besides}"
    if exit.needs_draft:
        return f", or let no answer exit with --exit never{besides}"
    return f", or ask without it with {spare}" if spare else ""


def _add(option: str, known: str | None) -> str:
    """What to add, by name where a partner is known."""
    return (
        f"add {option} MODEL (stitch models lists pairs)"
        if known is None
        else f"add {option} {known}, which goes with it"
    )
