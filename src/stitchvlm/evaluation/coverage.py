"""How much of the place where an answer stands the visual tokens show that the large model kept."""

from collections.abc import Sequence
from typing import Any

import torch

from stitchvlm.areas import share_covered
from stitchvlm.evaluation.statistics import mean_interval
from stitchvlm.layout import VisualLayout
from stitchvlm.records import Trace

VIEWS = ("detail", "any")
"""Kept tokens that count: those that are not an overview's (a thumbnail's), or all of them."""
LEAST = (0.5, 0.9)
"""From which share of its area on a place counts as covered."""

Record = dict[str, Any]


def covered(layout: VisualLayout, kept: Sequence[int], boxes: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """The shares of rectangles' areas that the kept tokens of the first picture cover, by view; None where they have no area.

    Args:
        kept: ordinals of the tokens.
        boxes: (x0, y0, x1, y1) in fractions of the picture; what lies beside the picture does not count.
    """
    places = torch.tensor(boxes, dtype=torch.double).view(-1, 4).clamp(0, 1)
    areas = (places[:, 2:] - places[:, :2]).clamp(min=0).prod(1)
    if not bool(areas.any()):
        return None
    there = torch.zeros(layout.n_visual, dtype=torch.bool)
    there[list(kept)] = True
    there &= (layout.image == 0) & layout.shows_mask
    views = {"detail": there & ~layout.coarse_mask, "any": there}

    def share(view: torch.Tensor) -> float:
        shown = torch.tensor([share_covered(place, layout.box[view]) for place in places], dtype=torch.double)
        return float((areas * shown).sum() / areas.sum())

    return {view: share(views[view]) for view in VIEWS}


def covered_by(trace: Trace, boxes: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """The same of the large model's answer; None where nobody marked the place or the large model was not asked."""
    if not boxes or trace.layout is None or trace.kept is None:
        return None
    return covered(trace.layout, trace.kept, boxes)


def coverage(records: Sequence[Record]) -> dict[str, Any] | None:
    """What the records of a row say of it, over those whose answer has a known place; None where none has.

    Returns:
        the number of these records and, by view, the mean share of the area and, by least share, the share of questions that
        are covered so far, with its 95 % interval.
    """
    known = [record for record in records if record.get("covered")]
    if not known:
        return None
    groups = [record["group"] for record in known]

    def of_view(view: str) -> dict[str, Any]:
        shares = [record["covered"][view] for record in known]
        questions = {f"{least:.0%}": _share([float(share >= least) for share in shares], groups) for least in LEAST}
        return {"mean_share": sum(shares) / len(shares), "questions": questions}

    return {"n": len(known)} | {view: of_view(view) for view in VIEWS}


def _share(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    low, high = mean_interval(values, groups)
    return {"mean": sum(values) / len(values), "low": low, "high": high}
