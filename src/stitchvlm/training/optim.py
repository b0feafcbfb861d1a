"""Optimizers and the learning-rate schedule: Muon for hidden matrices, AdamW for everything else."""

from collections.abc import Iterable

import torch
from torch import nn

MUON_SCALE = 3.0
"""Muon's learning rate in units of AdamW's: orthogonal updates of narrow matrices bear, and need, longer steps."""


def split_parameters(named: Iterable[tuple[str, nn.Parameter]]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Hidden weight matrices, and all other trainable parameters (embeddings, heads, norms, biases)."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        outer = "embed" in name or "head" in name
        (matrices if parameter.ndim == 2 and not outer else others).append(parameter)
    return matrices, others


def build_optimizers(module: nn.Module, weight_decay: float = 0.01) -> list[torch.optim.Optimizer]:
    """Muon and AdamW over the module's trainable parameters; a group's "scale" multiplies the stage's learning rate."""
    matrices, others = split_parameters(module.named_parameters())
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                [{"params": matrices, "scale": MUON_SCALE}],
                lr=0.0,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if others:
        optimizers.append(torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0))
    return optimizers


def rate_at(progress: float, step: int, peak: float, warmup: int, decay_from: float) -> float:
    """Linear warm-up, a plateau, then a linear fall to zero between `decay_from` and the end of the stage."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if progress < decay_from:
        return peak
    return peak * max(0.0, 1.0 - progress) / (1.0 - decay_from)
