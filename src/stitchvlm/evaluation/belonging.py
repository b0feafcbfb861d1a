"""Which files of results can be calibrated together: what must agree among them, and which questions are one group."""

import re
from collections.abc import Sequence
from typing import Any

from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.target import Target
from stitchvlm.exits.bound import dtype_name
from stitchvlm.methods import LargeAlone

CONDITIONS = ("task", "max_tiles", "max_new_tokens", "dtype", "quantize")
"""What no way of answering chooses: with others it was another measurement."""


def check_ways(ways: Sequence[Recorded], target: Target, reference: Recorded | None) -> None:
    """Raise a ValueError if the files were not recorded under the same conditions, or cannot be chosen among.

    Ways may differ in what is chosen among them: method, options, keep and layer.
    """
    if len(ways) > 1 and target.kind == "exit":
        raise ValueError(f"{target} does not say which of {len(ways)} files is better: give one, or another target")
    if len(ways) > 1 and target.kind == "accuracy-loss" and reference is None:
        raise ValueError(
            f"{len(ways)} files lose against as many large answers: name those of large-alone as --reference"
        )
    for other in ways[1:]:
        _check_same(ways[0], other, ("small", "large", *CONDITIONS))
    if reference is not None:
        if (method := reference.settings.get("method")) != LargeAlone.name:
            raise ValueError(
                f"the reference {reference.name} was recorded with method {method!r}, not {LargeAlone.name!r}: "
                f"name results of stitch eval --method {LargeAlone.name}"
            )
        _check_same(ways[0], reference, ("large", *CONDITIONS))


def matched_groups(ids: Sequence[str], pattern: str) -> Sequence[str]:
    """The part of every id that the pattern matches.

    Raises:
        ValueError: if it is no pattern, or does not match every id.
    """
    try:
        found = [re.search(pattern, name) for name in ids]
    except re.error as error:
        raise ValueError(f"the group {pattern!r} is no regular expression ({error})") from None
    unmatched = [name for name, match in zip(ids, found, strict=True) if match is None]
    if unmatched:
        raise ValueError(f"the group {pattern!r} does not match the id {unmatched[0]}: give one that matches every id")
    return [match.group() for match in found if match is not None]


def _check_same(one: Recorded, other: Recorded, names: Sequence[str]) -> None:
    for name in names:
        ours, theirs = one.settings.get(name), other.settings.get(name)
        if _value(name, ours) != _value(name, theirs):
            raise ValueError(
                f"{other.name} was recorded with {name} {theirs!r} and {one.name} with {ours!r}: "
                f"give files of the same {name}, or record one of them anew"
            )


def _value(name: str, setting: Any) -> Any:
    """What is compared; a floating type has several spellings."""
    return dtype_name(setting) if name == "dtype" else setting
