"""Published checkpoints by their weights' names and shapes alone, on the meta device."""

import math
from collections.abc import Mapping

import pytest
import torch
from transformers import PretrainedConfig, PreTrainedModel


def load_released(
    kind: type[PreTrainedModel], config: PretrainedConfig, shapes: Mapping[str, tuple[int, ...]], billions: float
) -> PreTrainedModel:
    """The model that takes every one of these weights and wants no other; model cards round its size to three digits."""
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict={name: torch.empty(shape, device="meta", dtype=torch.bfloat16) for name, shape in shapes.items()},
        dtype=torch.bfloat16,
        device_map={"": "meta"},
        output_loading_info=True,
    )
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not report[fault], (fault, sorted(map(str, report[fault]))[:5])
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert n_parameters == sum(math.prod(shape) for shape in shapes.values())
    assert n_parameters / 1e9 == pytest.approx(billions, rel=0.005)
    return model
