"""An encoder that begins as a convolution is an ordinary InternVL encoder."""

import shutil
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from stitchvlm.training import neighbours
from stitchvlm.training.kinds import KINDS, features
from stitchvlm.training.neighbours import CODE, HEADS, OFFSETS, is_local, local_states
from stitchvlm.training.optim import build_optimizers

KIND = KINDS["internvl_448"]
SIDE = 32


@pytest.fixture
def model(build_large_tiles):
    return build_large_tiles(replace(TINY, vision_layers=2))


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 448, 448, generator=torch.Generator().manual_seed(0))


def train_a_little(model, pixels) -> None:
    """With the project's optimizers, weight decay included, at a rate that changes everything that may change."""
    tower = model.model.vision_tower
    optimizers = build_optimizers(tower, weight_decay=0.1)
    for _ in range(3):
        local_states(model, pixels).mul(torch.linspace(-1, 1, HEADS * CODE)).square().mean().backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.02
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("trained", [False, True])
def test_shifts_compute_what_attention_does(model, pixels, trained):
    tower = model.model.vision_tower
    before = {name: weight.clone() for name, weight in tower.named_parameters()}
    if trained:
        train_a_little(model, pixels)
    changed = {name for name, weight in tower.named_parameters() if not torch.equal(weight, before[name])}
    assert bool(changed) == trained
    assert not any(
        part in name for name in changed for part in ("q_proj", "k_proj", "q_norm", "k_norm", "position", "cls")
    )
    with torch.no_grad():
        attended = tower(pixel_values=pixels).last_hidden_state[:, 1:]
        shifted = local_states(model, pixels).flatten(1, 2)
    assert attended.std() > 0.5 and torch.allclose(attended, shifted, atol=2e-3 * attended.abs().max().item())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tracing, torch warns of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_compiled_layers_compute_the_same(model, pixels, monkeypatch):
    """In float32; which way is gone is heard from who is asked for the compiled layer."""
    encoder, compiled, asked = model.model.vision_tower.encoder, neighbours._compiled_layer, []
    monkeypatch.setattr(neighbours, "_compiled_layer", lambda: asked.append(True) or compiled())
    found = []
    for _ in range(2):
        model.zero_grad()
        states = local_states(model, pixels)
        states.square().mean().backward()
        gradients = {name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None}
        found.append((states.detach(), gradients, len(asked)))
        for layer in encoder.layer:
            layer.compile(dynamic=False)
    (states, gradients, before), (same, others, after) = found
    assert (before, after) == (0, 2) and torch.allclose(states, same, atol=1e-4 * states.abs().max().item())
    assert gradients.keys() == others.keys()
    assert all(torch.allclose(gradients[k], others[k], atol=1e-3 * gradients[k].abs().max()) for k in others)


@torch.no_grad()
def test_every_head_looks_at_its_neighbour_and_past_the_edge_at_the_opposite_one(model, pixels):
    tower = model.model.vision_tower
    tower.config._attn_implementation = "eager"
    maps = tower(pixel_values=pixels[:1], output_attentions=True).attentions
    assert len(maps) == 2
    for weights in maps:
        for head, (down, right) in enumerate(OFFSETS):
            for row, column in ((0, 0), (5, 31), (31, 16)):
                target = 1 + (row + down) % SIDE * SIDE + (column + right) % SIDE
                assert weights[0, head, 1 + row * SIDE + column, target] > 0.999


@torch.no_grad()
def test_new_layers_add_nothing_at_first(model, pixels):
    before = features(model, pixels)
    KIND.deepen_vision(model, 4)
    assert len(model.model.vision_tower.encoder.layer) == model.config.vision_config.num_hidden_layers == 4
    assert torch.equal(features(model, pixels), before)


def test_other_encoders_are_none(tiny_model, model):
    assert is_local(model.config.vision_config) and not is_local(tiny_model.config.vision_config)
