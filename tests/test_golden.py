"""Recorded outputs of the official release, tensor by tensor, within the tolerances that came with them."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stitchvlm.golden import run_golden

CHECKED_IN = Path(__file__).parent / "data" / "golden"
SHARED = Path(__file__).parents[2] / "shared" / "golden"

# (name, absolute, relative), the first that matches counts; from the README of the recordings.
TOLERANCES = (
    ("consistency(_probs)?$", 0.0, 2e-3),
    ("confidence$", 1e-5, 0.0),
    ("max_probs$", 1e-5, 1e-4),
    ("importance", 1e-5, 2e-4),
    ("vit_embeds", 1e-4, 1e-4),
    ("logits|scores", 1e-3, 1e-4),
)


def pair_folder(name: str) -> Path:
    folder = next((root / name for root in (CHECKED_IN, SHARED) if (root / name).is_dir()), None)
    if folder is None:
        pytest.skip(f"the recorded pair {name} is neither checked in nor beside the project")
    return folder


@pytest.mark.parametrize("name", ["ilm2-ilm2", "qwen2-llama"])
def test_every_recorded_tensor_is_reproduced(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(pair_folder(name), folder, ignore=shutil.ignore_patterns("expected.*"))
    out = tmp_path / "candidate.safetensors"
    n_written = run_golden(folder, out)
    ours, recorded = load_file(out), load_file(pair_folder(name) / "expected.safetensors")
    expected = {key: value for key, value in recorded.items() if "attn_rows" not in key}
    assert ours.keys() == expected.keys() and n_written == len(expected)
    for key, value in expected.items():
        if not value.is_floating_point():
            assert ours[key].tolist() == value.tolist(), key
            continue
        absolute, relative = next((a, r) for pattern, a, r in TOLERANCES if re.search(pattern, key))
        torch.testing.assert_close(ours[key].double(), value.double(), atol=absolute, rtol=relative, msg=key)


def test_a_folder_of_another_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"inputs\.json is missing"):
        run_golden(tmp_path, tmp_path / "out.safetensors")
    (tmp_path / "inputs.json").write_text(json.dumps({"samples": []}))
    with pytest.raises(ValueError, match=r"inputs\.safetensors is missing"):
        run_golden(tmp_path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
