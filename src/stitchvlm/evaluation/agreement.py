"""Do single layers look where all layers together look? The paper's motivation, measured on a pair of models.

Per layer, the visual tokens that the question's rows attend to most are compared with those of the large model's map over all of
its layers: the share of top tokens that both have (arXiv 2412.03324, section 3.1). The small model's map over all its layers
is compared with the same. Maps are of prompt rows: what is known before the first token of the answer.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from stitchvlm.attention import AttentionTap
from stitchvlm.crossing import carry
from stitchvlm.engine import Engine
from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.statistics import mean_variance
from stitchvlm.guide import counted_rows
from stitchvlm.layout import VisualLayout
from stitchvlm.records import Question

TOP_SHARES = (0.09, 0.35)
"""How many of the visual tokens count as the top."""


@dataclass(frozen=True)
class Overlap:
    """A mean share of top tokens in common, with the half width of its 95 % interval over pictures; at most 1."""

    mean: float
    half_width: float

    @classmethod
    def of(cls, values: Sequence[float], groups: Sequence[str]) -> "Overlap":
        return cls(sum(values) / len(values), min(1.0, 1.96 * math.sqrt(mean_variance(values, groups))))


def measure_agreement(
    small: Engine, large: Engine, samples: Sequence[Sample], max_tiles: int | None = None
) -> dict[str, Any]:
    """Overlaps with the large model's all-layer map, for each of :data:`TOP_SHARES`.

    Returns:
        ``n`` questions, and per top share ``large_layers`` and ``small_layers`` (one overlap per layer), ``small_all`` (the small
        model's map over all layers) and ``chance`` (what tokens drawn at random have in common).

    Raises:
        ValueError: if there is no question.
    """
    if not samples:
        raise ValueError("agreement needs at least one question")
    found: dict[float, dict[str, list[list[float]]]] = {share: {} for share in TOP_SHARES}
    for sample in samples:
        question = Question(sample.question, (sample.picture(),))
        (small_layout, small_maps), (layout, maps) = (_maps(engine, question, max_tiles) for engine in (small, large))
        counted = ~layout.structural_mask | small_layout.matches(layout)
        small_whole = carry(small_maps.sum(0), small_layout, layout)[counted]
        small_maps = torch.stack([carry(row, small_layout, layout) for row in small_maps])[:, counted]
        maps = maps[:, counted]
        for share, told in found.items():
            n_top, whole = max(1, int(share * maps.shape[1])), maps.sum(0)
            told.setdefault("large_layers", []).append([_overlap(row, whole, n_top) for row in maps])
            told.setdefault("small_layers", []).append([_overlap(row, whole, n_top) for row in small_maps])
            told.setdefault("small_all", []).append([_overlap(small_whole, whole, n_top)])
    tops: dict[str, Any] = {}
    groups = [sample.group or sample.id for sample in samples]
    for share, told in found.items():
        means = {name: _mean(rows, groups) for name, rows in told.items()}
        tops[f"{share:g}"] = means | {"small_all": means["small_all"][0], "chance": share}
    return {"n": len(samples), "top": tops}


def _maps(engine: Engine, question: Question, max_tiles: int | None) -> tuple[VisualLayout, Tensor]:
    """The layout, and one map of attention received per layer, over the visual tokens."""
    prompt = engine.embed(engine.prepare([question], max_tiles))
    tap = AttentionTap(prompt.stream, counted_rows(prompt), engine.decoder.windows)
    engine.prefill(prompt, tap=tap)
    layout = prompt.layouts[0]
    return layout, torch.stack([tap.prefill_layers[layer][0].cpu()[layout.index] for layer in range(engine.n_layers)])


def _overlap(first: Tensor, second: Tensor, n_top: int) -> float:
    tops = [set(row.topk(n_top).indices.tolist()) for row in (first, second)]
    return len(tops[0] & tops[1]) / n_top


def _mean(rows: Sequence[Sequence[float]], groups: Sequence[str]) -> list[dict[str, float]]:
    return [asdict(Overlap.of(values, groups)) for values in zip(*rows, strict=True)]
