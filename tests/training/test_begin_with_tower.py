"""A tower can go on from a saved model while the language model behind it starts anew."""

import torch
from safetensors.torch import load_file

from stitchvlm.embedded import embedded_folder
from stitchvlm.training.pipeline import Pipeline
from stitchvlm.training.recipes import RECIPES


def test_only_the_tower_and_the_projector_are_taken(tmp_path):
    pipeline = Pipeline("small", RECIPES["scenes"], tmp_path / "data", tmp_path / "run", 7, torch.device("cpu"))
    fresh = pipeline.model.model.language_model.embed_tokens.weight.clone()
    assert pipeline.begin_with(embedded_folder("embedded:small"), "tower") == "tower"
    saved = load_file(embedded_folder("embedded:small") / "model.safetensors")
    projector = next(value for name, value in saved.items() if "multi_modal_projector.linear_2.weight" in name)
    assert torch.equal(pipeline.model.model.multi_modal_projector.linear_2.weight, projector.float())
    assert torch.equal(pipeline.model.model.language_model.embed_tokens.weight, fresh)
