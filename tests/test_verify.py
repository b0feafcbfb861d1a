"""The checks on users' own weights: they pass on sound models and fail on unsound ones."""

import itertools
import shutil

import pytest
import torch
from layouts import KINDS
from tiny import save_tiny_internvl

from stitchvlm import verify
from stitchvlm.crossing import carry


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("verify")
    return str(save_tiny_internvl(root / "s", n_layers=3, seed=1)), str(save_tiny_internvl(root / "l", "phi3", seed=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sound_models_pass_every_check(pair, dtype):
    results = list(verify.run_checks(*pair, device="cpu", dtype=dtype))
    assert len(results) == 12 and all(result.passed for result in results), results


def test_a_wrong_mask_is_found(pair, monkeypatch):
    """Keep every token although the plan says otherwise: the pruning check must notice."""
    monkeypatch.setattr("stitchvlm.reduction.Reduction.apply", lambda self, stream, present: stream)
    failed = [result.name for result in verify.run_checks(*pair, device="cpu") if not result.passed]
    assert failed == [f"{which}: pruned decode equals a masked forward" for which in ("small", "large")]


def test_a_deaf_tap_is_found(pair, monkeypatch):
    monkeypatch.setattr("stitchvlm.attention._row_probabilities", lambda *_: iter(()))
    failed = [result.name for result in verify.run_checks(*pair, device="cpu") if not result.passed]
    assert "small: guide map equals eager attentions" in failed


def test_a_map_that_is_carried_elsewhere_is_found(pair, monkeypatch):
    def upside_down(scores, source, target):
        return carry(scores, source, target).flip(0)

    monkeypatch.setattr(verify, "carry", upside_down)
    failed = [result.name for result in verify.run_checks(*pair, device="cpu") if not result.passed]
    assert failed == ["pair: token grids"]


@pytest.mark.parametrize("kinds", [*itertools.permutations(KINDS, 2)], ids=" to ".join)
def test_a_map_of_one_token_lands_where_it_shows_on_every_layout(kinds):
    source, target = (KINDS[kind] for kind in kinds)
    shown = source.shows_mask.nonzero().flatten().tolist()
    assert all(verify._lands(source, target, token) for token in shown[:: len(shown) // 7])


def test_what_is_missing_is_refused_and_what_is_broken_ends_the_list(pair, tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        verify.run_checks(str(tmp_path), pair[1])
    with pytest.raises(ValueError, match="cuda:9 is not here"):
        verify.run_checks(*pair, device="cuda:9")
    broken = tmp_path / "broken"
    shutil.copytree(pair[0], broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    results = list(verify.run_checks(str(broken), pair[1]))
    assert len(results) == 1 and not results[0].passed and "cannot be loaded" in results[0].detail
