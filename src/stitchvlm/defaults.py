"""What a request leaves open: which pair it means, and which exit."""

from collections.abc import Callable, Mapping
from typing import Any, overload

from stitchvlm.embedded import EMBEDDED_PAIR
from stitchvlm.exits import CalibratedExit, ExitPolicy, SmallEarlyExit
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


def fill_pair(small: str | None, large: str | None, method: Method, exit: ExitPolicy) -> tuple[str, str]:
    """Both checkpoints; one that nobody asks may be left out, and the other one's name fills its place.

    Raises:
        ValueError: if a model is missing.
    """
    if small is None and large is None:
        return EMBEDDED_PAIR
    if small is None and large is not None and not exit.needs_draft and Evidence.GUIDE_MAP not in method.needs:
        small = large
    if large is None and not method.asks_large:
        large = small
    if small is None or large is None:
        raise ValueError("give both --small and --large, or neither for the embedded pair")
    return small, large
