"""Views for methods on made-up evidence, each row's from a seed of its own."""

from collections.abc import Collection, Sequence
from dataclasses import fields, replace

import torch

from stitchvlm.families.tiles import tiled_layout
from stitchvlm.layout import VisualLayout
from stitchvlm.methods import Evidence, ReductionView
from stitchvlm.methods.base import VisionEvidence

SHOWN = {
    Evidence.GUIDE_MAP: ("guide",),
    Evidence.OWN_MAP: ("guide",),
    Evidence.ATTENTION: ("attention",),
    Evidence.STATES: ("keys", "states", "sizes"),
    Evidence.EMBEDDINGS: ("embeddings", "instruction"),
    Evidence.VISION: ("vision",),
}
"""The fields of a view in which each kind of evidence is shown."""

GRIDS = ([(2, 2)], [(1, 1)], [(2, 1), (1, 1)], [])
"""The tiles of the pictures of a row; a tile has 2 x 2 visual tokens, and several tiles a thumbnail."""


def layout(grids: Sequence[tuple[int, int]]) -> VisualLayout:
    """Pictures between three text tokens in front and seven behind."""
    n_visual = sum(4 * (c * r + (c * r > 1)) for c, r in grids)
    sizes = [(28 * c, 28 * r) for c, r in grids]
    return tiled_layout(torch.arange(3, 3 + n_visual), grids, 2, sizes, n_tokens=10 + n_visual)


def view(
    needs: Collection[Evidence],
    rows: Sequence[int] = (0,),
    seed: int = 0,
    present: Sequence[torch.Tensor] | None = None,
    layer: int = 2,
) -> ReductionView:
    """What a method with those needs sees of the pictures ``GRIDS[row]``, row by row."""
    layouts = [layout(GRIDS[row]) for row in rows]
    if present is None:
        present = [torch.arange(one.n_visual) for one in layouts]
    found = [_evidence(seed + row, one.n_visual, there) for row, one, there in zip(rows, layouts, present, strict=True)]
    shown = {name for evidence in needs for name in SHOWN[evidence]}
    evidence = {name: [row[name] for row in found] for name in shown}
    return ReductionView(layouts, list(present), layer, seeds=[seed + row for row in rows], **evidence)


def without(whole: ReductionView, evidence: Evidence) -> ReductionView:
    """The same view, that evidence left out."""
    return replace(whole, **dict.fromkeys(SHOWN[evidence], ()))


def scaled(whole: ReductionView, factor: float) -> ReductionView:
    """The same view with every number in its evidence multiplied."""

    def times(value: torch.Tensor | VisionEvidence) -> torch.Tensor | VisionEvidence:
        if isinstance(value, VisionEvidence):
            return VisionEvidence(value.attention * factor, value.keys * factor)
        return value * factor

    return replace(whole, **{name: [times(row) for row in rows] for name, rows in _shown(whole)})


def permuted(whole: ReductionView, order: torch.Tensor) -> ReductionView:
    """A view of one row in which the token at place i shows the evidence of token ``order[i]``."""

    def moved(value: torch.Tensor | VisionEvidence) -> torch.Tensor | VisionEvidence:
        if isinstance(value, VisionEvidence):
            return VisionEvidence(value.attention[order], value.keys[order])
        return value[order]

    changed = {name: [moved(rows[0])] for name, rows in _shown(whole) if name != "instruction"}
    return replace(whole, **changed)


def _shown(whole: ReductionView) -> list[tuple[str, Sequence]]:
    names = {name for shown in SHOWN.values() for name in shown}
    rows = [(field.name, getattr(whole, field.name)) for field in fields(whole) if field.name in names]
    return [(name, values) for name, values in rows if len(values)]


def _evidence(seed: int, n_visual: int, present: torch.Tensor) -> dict[str, torch.Tensor | VisionEvidence]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    whole = {
        "guide": torch.rand(n_visual, generator=generator),
        "embeddings": normal(n_visual, 24),
        "instruction": normal(7, 24),
        "vision": VisionEvidence(torch.rand(n_visual, generator=generator), normal(n_visual, 8)),
    }
    there = {
        "attention": torch.rand(n_visual, generator=generator),
        "keys": normal(n_visual, 16),
        "states": normal(n_visual, 24),
        "sizes": torch.ones(n_visual),
    }
    return whole | {name: values[present] for name, values in there.items()}
