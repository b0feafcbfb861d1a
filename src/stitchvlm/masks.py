"""The attention masks of a stretch of layers, made only where they would hide or weigh anything."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from stitchvlm.attention import visible_mask, weighted_mask
from stitchvlm.shapes import Float, Int


def span_masks(
    windows: Iterable[int | None],
    padded: bool,
    n_longest: int,
    query_index: Int[Tensor, "batch queries"],
    key_index: Callable[[], Tensor],
    dtype: torch.dtype,
    size: Float[Tensor, "batch some_keys"] | None = None,
) -> dict[int | None, Tensor | None]:
    """One mask per window in use, None where it would hide nothing, which lets SDPA take its causal flash kernels.

    Args:
        windows: sliding windows of the layers; None is full attention.
        padded: whether some of the keys are padding.
        n_longest: tokens of the longest row before any reduction.
        key_index: gives the places of the keys, which are only worked out where needed.
        dtype: of masks that are added to the logits.
        size: how many tokens each of the first keys stands for (the rest stand for themselves); the masks then weigh the keys.
    """
    masks = {
        window: visible_mask(query_index, key_index(), window)
        if padded or size is not None or _cuts(window, n_longest)
        else None
        for window in set(windows)
    }
    if size is None:
        return masks
    return {window: weighted_mask(mask, size).to(dtype) for window, mask in masks.items() if mask is not None}


def _cuts(window: int | None, n_tokens: int) -> bool:
    """Whether a sliding window hides anything in a sequence of that many tokens."""
    return window is not None and window < n_tokens
