"""When an answer counts as right, or how far: the metrics of the field, each a number from 0 to 1."""

import math
import re
from collections.abc import Callable, Sequence

from stitchvlm.evaluation.vqa import vqa_accuracy

Metric = Callable[[str, Sequence[str]], float]

_CURRENCY = re.compile(r"^(?:[$€£¥₩₹]|rm)\s*(?=\d)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def normalise(answer: str) -> str:
    """An answer without what nobody means by it: extra space, upper case, a currency sign, a full stop at the end."""
    text = " ".join(answer.casefold().split()).removesuffix(".").rstrip()
    return _CURRENCY.sub("", text)


def is_correct(answer: str, gold: str) -> bool:
    """Exact match after :func:`normalise`."""
    return normalise(answer) == normalise(gold)


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 where the answer is one of the right ones after :func:`normalise`."""
    return float(any(is_correct(answer, gold) for gold in golds))


def anls(answer: str, golds: Sequence[str]) -> float:
    """Average normalised Levenshtein similarity to the nearest right answer (Biten et al., 2019), upper case aside.

    One minus the edits per character of the longer text; 0 where half of it or more would have to change.
    """
    return max(_similarity(answer, gold) for gold in golds)


def relaxed_accuracy(answer: str, golds: Sequence[str]) -> float:
    """Numbers may be off by 5 % of the right one; anything else has to match, upper case aside (Masry et al., 2022)."""
    return float(any(_is_near(answer, gold) for gold in golds))


def box_match(answer: str, golds: Sequence[str]) -> float:
    """1 where the answer's rectangle shares at least half of the joint area with a right one (IoU at 0.5).

    A rectangle is the first four numbers of a text, x0 y0 x1 y1, in the same units on both sides.
    """
    return float(any(intersection_over_union(_box(answer), _box(gold)) >= 0.5 for gold in golds))


METRICS: dict[str, Metric] = {
    "exact": exact_match,
    "vqa": vqa_accuracy,
    "anls": anls,
    "relaxed": relaxed_accuracy,
    "iou": box_match,
}
"""Every metric by its name."""


def check_metric(name: str) -> str:
    """The name again.

    Raises:
        ValueError: if there is no metric of that name.
    """
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}: choose one of {', '.join(METRICS)}")
    return name


def edit_distance(first: str, second: str) -> int:
    """The fewest characters to insert, delete or replace to make one text of the other."""
    costs = list(range(len(second) + 1))
    for row, char in enumerate(first, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(second, start=1):
            change = diagonal + (char != other)
            diagonal, costs[column] = costs[column], min(change, costs[column] + 1, costs[column - 1] + 1)
    return costs[-1]


def intersection_over_union(first: Sequence[float], second: Sequence[float]) -> float:
    """The area that two rectangles (x0, y0, x1, y1) share, as a share of the area that they cover together."""
    if len(first) != 4 or len(second) != 4:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    joint = _area(first) + _area(second) - shared
    return shared / joint if joint > 0 else 0.0


def _similarity(answer: str, gold: str) -> float:
    answer, gold = (" ".join(text.lower().split()) for text in (answer, gold))
    longest = max(len(answer), len(gold))
    changed = edit_distance(answer, gold) / longest if longest else 0.0
    return 1 - changed if changed < 0.5 else 0.0


def _is_near(answer: str, gold: str) -> bool:
    given, right = _number(answer), _number(gold)
    if given is not None and right:
        return abs(given - right) <= 0.05 * abs(right) * (1 + 1e-9)  # 1.05 against 1 is within, whatever its last bit
    return answer.strip().lower() == gold.strip().lower()


def _number(text: str) -> float | None:
    """The number that a text is, per cent as hundredths."""
    text = text.strip()
    try:
        number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _box(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)[:4]]


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
