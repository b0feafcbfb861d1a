"""A tower can go on from a saved pair whose language model has another depth than the first stage's."""

import pytest
import torch
from safetensors.torch import load_file

from stitchvlm.models import pair_path
from stitchvlm.training.pipeline import Pipeline
from stitchvlm.training.recipe import RECIPES


@pytest.mark.parametrize("which", ["small", "large"])
def test_only_the_tower_and_the_projector_are_taken(which, tmp_path):
    pipeline = Pipeline(which, RECIPES["scenes"], tmp_path / "data", tmp_path / "run", 7, torch.device("cpu"))
    fresh = pipeline.model.model.language_model.embed_tokens.weight.clone()
    assert pipeline.begin_with(pair_path(which), "tower") == "tower"
    saved = load_file(pair_path(which) / "model.safetensors")
    projector = next(value for name, value in saved.items() if "multi_modal_projector.linear_2.weight" in name)
    assert torch.equal(pipeline.model.model.multi_modal_projector.linear_2.weight, projector.float())
    assert torch.equal(pipeline.model.model.language_model.embed_tokens.weight, fresh)
