"""Rectangles over one picture: what they share, and values that are handed over by it."""

import torch
from torch import Tensor

from stitchvlm.shapes import Float, Int

_SAME_EDGE = 1e-6
"""Edges of a picture's rectangles that are nearer to each other than this share of its side are one edge, rounded otherwise."""


def hand_over(
    values: Float[Tensor, " n_from"], boxes: Float[Tensor, "n_from 4"], onto: Float[Tensor, "n_onto 4"]
) -> Float[Tensor, " n_onto"]:
    """What each rectangle of ``onto`` gets when every one of ``boxes`` deals its value out by shared area; the sum stays.

    A rectangle that shares nothing with any other gives all to the one whose centre is nearest. Rectangles are (x0, y0, x1, y1).
    They mostly lie on grids, so areas are products of lengths between the few intervals that both axes are cut into.
    """
    values, boxes, onto = values.double(), boxes.double(), onto.double()
    across, column, onto_column = _shared_lengths(boxes[:, 0::2], onto[:, 0::2])
    along, row, onto_row = _shared_lengths(boxes[:, 1::2], onto[:, 1::2])
    receivers = _table(torch.ones_like(onto[:, 0]), onto_row, onto_column, along.shape[1], across.shape[1])
    shared = (along @ receivers @ across.T)[row, column]
    alone = shared == 0
    per_area = torch.where(alone, 0.0, values / shared)
    givers = _table(per_area, row, column, along.shape[0], across.shape[0])
    received = (along.T @ givers @ across)[onto_row, onto_column]
    if bool(alone.any()):
        nearest = torch.cdist(_centres(boxes[alone]), _centres(onto)).argmin(1)
        received = received.index_add(0, nearest, values[alone])
    return received


def share_covered(part: Float[Tensor, "4"], boxes: Float[Tensor, "n 4"]) -> float:
    """How much of the area of ``part`` the rectangles cover together, from 0 to 1; what several of them cover counts once.

    Of a part without area it is 0.
    """
    part, boxes = part.double(), boxes.double()
    low, high = torch.maximum(boxes[:, :2], part[:2]), torch.minimum(boxes[:, 2:], part[2:])
    inside = (high > low).all(1)
    low, high, whole = low[inside], high[inside], float((part[2:] - part[:2]).clamp(min=0).prod())
    if not len(low) or not whole:
        return 0.0
    edges = [torch.cat([low[:, axis], high[:, axis]]).unique() for axis in (0, 1)]
    across, along = (
        ((low[:, axis, None] <= edge[:-1]) & (high[:, axis, None] >= edge[1:])).double()
        for axis, edge in enumerate(edges)
    )
    covered = (along.T @ across > 0).double()
    return float(edges[1].diff() @ covered @ edges[0].diff()) / whole


def _shared_lengths(
    first: Float[Tensor, "n_first 2"], second: Float[Tensor, "n_second 2"]
) -> tuple[Float[Tensor, "k_first k_second"], Int[Tensor, " n_first"], Int[Tensor, " n_second"]]:
    """What the different intervals of both have in common, and which of these each one is."""
    places, number = _edges(torch.cat([first, second]))
    ends, kinds = [], []
    for numbers in number.split([len(first), len(second)]):
        key, kind = (numbers[:, 0] * len(places) + numbers[:, 1]).unique(return_inverse=True)
        ends.append((places[key // len(places)], places[key % len(places)]))
        kinds.append(kind)
    (low, high), (other_low, other_high) = ends
    shared = torch.minimum(high[:, None], other_high) - torch.maximum(low[:, None], other_low)
    return shared.clamp(min=0), kinds[0], kinds[1]


def _edges(intervals: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " n_edges"], Int[Tensor, "n 2"]]:
    """Where the different edges are, and which of them each end of an interval is."""
    ends, order = intervals.flatten().sort()
    begins = torch.cat([ends.new_ones(1), ends.diff()]) > _SAME_EDGE
    number = torch.empty_like(order)
    number[order] = begins.cumsum(0) - 1
    return ends[begins], number.view_as(intervals)


def _table(
    values: Float[Tensor, " n"], row: Int[Tensor, " n"], column: Int[Tensor, " n"], n_rows: int, n_columns: int
) -> Float[Tensor, "_rows _columns"]:
    """Sums of values by row and column."""
    return values.new_zeros(n_rows, n_columns).index_put((row, column), values, accumulate=True)


def _centres(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 2"]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
