"""Marks of weights: other weights have other ones, and the same weights elsewhere the same."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stitchvlm.embedded import embedded_folder
from stitchvlm.errors import DataError
from stitchvlm.families.fingerprint import WHOLE_BYTES, fingerprint
from stitchvlm.margins import CUTS_MARGINS

SAMPLED = 1000
"""A limit below the size of the tiny checkpoint, so that it is read as large ones are."""


@pytest.fixture
def copy(tiny_pair, tmp_path) -> Callable[..., str]:
    """Copies the tiny checkpoint to a folder of its own, one tensor of it changed."""

    def to(place: str, tensor: str = "", change: Callable[[torch.Tensor], object] | None = None) -> str:
        folder = Path(shutil.copytree(tiny_pair[0], tmp_path / place / "small"))
        if change is not None:
            weights = load_file(folder / "model.safetensors")
            change(weights[tensor].view(-1))
            save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return str(folder)

    return to


def weights_of(folder: str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def largest_of_the_language_model(folder: str) -> str:
    tensors = {name: tensor.nbytes for name, tensor in weights_of(folder).items() if "language_model" in name}
    name = max(tensors, key=tensors.__getitem__)
    assert tensors[name] > 3 * 4096, "it has an inside that sampling does not see"
    return name


@pytest.mark.parametrize("limit", [WHOLE_BYTES, SAMPLED])
def test_the_same_weights_elsewhere_have_the_same_mark(copy, limit):
    assert fingerprint(copy("here"), limit) == fingerprint(copy("there"), limit)
    name, _, mark = fingerprint(copy("again"), limit).partition(" ")
    assert name == "small" and len(mark) == 12


def test_weights_that_are_shown_pages_without_margins_have_another_mark(copy):
    """What they answer is another thing, though nothing of them has changed."""
    plain, cut = copy("plain"), copy("cut")
    for folder, flag in ((plain, False), (cut, True)):
        path = Path(folder) / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {CUTS_MARGINS: flag}))
    assert fingerprint(plain) == fingerprint(copy("other")) != fingerprint(cut)
    shown = Path(cut) / "preprocessor_config.json"
    processor = {"processor_class": "InternVLProcessor", "image_processor": json.loads(shown.read_text())}
    (Path(cut) / "processor_config.json").write_text(json.dumps(processor))
    mark = fingerprint(cut)
    shown.unlink()
    assert fingerprint(cut) == mark != fingerprint(plain), "as transformers' own processors are saved: all in one file"
    (Path(plain) / "preprocessor_config.json").unlink()
    assert fingerprint(plain) == fingerprint(copy("another"))


@pytest.mark.parametrize("limit", [WHOLE_BYTES, SAMPLED])
def test_every_tensor_that_is_trained_on_shows(copy, limit):
    """A step of training moves a tensor as a whole; nothing else of the file changes, its size least of all."""
    names = sorted(weights_of(copy("names")))
    plain = copy("plain", names[0], lambda tensor: None)
    moved = [copy(f"moved-{n}", name, lambda tensor: tensor.add_(0.01)) for n, name in enumerate(names)]
    sizes = {(Path(folder) / "model.safetensors").stat().st_size for folder in [plain, *moved]}
    marks = {fingerprint(folder, limit) for folder in [plain, *moved]}
    assert len(sizes) == 1 and len(marks) == 1 + len(names)


def test_one_weight_shows_wherever_it_is_in_a_small_file_and_at_the_ends_of_tensors_in_a_large_one(copy):
    name = largest_of_the_language_model(copy("names"))
    marks = {}
    for place, at in (("plain", None), ("first", 0), ("inside", 2048), ("last", -1)):
        folder = copy(place, name, lambda tensor, at=at: None if at is None else tensor[at].add_(1))
        marks[place] = fingerprint(folder), fingerprint(folder, SAMPLED)
    assert len({whole for whole, _ in marks.values()}) == 4
    assert len({marks[place][1] for place in ("plain", "first", "last")}) == 3
    assert marks["inside"][1] == marks["plain"][1], "that is the price of not reading 150 GB"


def test_a_file_is_read_again_once_it_is_another(copy, monkeypatch):
    folder = copy("one")
    file, read, opened = Path(folder) / "model.safetensors", [], Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *rest, **named: (read.append(path.name), opened(path, *rest, **named))[1]
    )
    before = fingerprint(folder)
    assert fingerprint(folder) == before and read.count(file.name) == 1
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))  # whatever the clock of the disk is worth
    read.clear()
    assert fingerprint(folder) != before and read.count(file.name) == 1


def test_a_large_file_that_is_no_safetensors_file_is_refused(copy):
    folder = copy("broken")
    for content in (b"x" * 5000, (10).to_bytes(8, "little") + b"[1, 2]    " * 500, b""):
        (Path(folder) / "model.safetensors").write_bytes(content)
        os.utime(Path(folder) / "model.safetensors", (len(content), 1))
        with pytest.raises(DataError, match="model.safetensors is no safetensors file: fetch"):
            fingerprint(folder, -1)


def test_a_language_model_of_the_embedded_pair_that_is_trained_anew_is_another(tmp_path):
    """Its weights lie in the middle of the file: what the file ends with is the vision tower, which is frozen."""
    folder = Path(shutil.copytree(embedded_folder("embedded:small"), tmp_path / "small"))
    file = folder / "model.safetensors"
    marks = {fingerprint(str(folder), limit) for limit in (WHOLE_BYTES, SAMPLED)}
    assert fingerprint("embedded:small") in marks
    content = file.read_bytes()
    n_header = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + n_header])
    begin, _ = next(told["data_offsets"] for name, told in tensors.items() if "language_model" in name)
    at = 8 + n_header + begin
    assert at < len(content) - 65536
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    os.utime(file, (1, 1))
    assert marks.isdisjoint(fingerprint(str(folder), limit) for limit in (WHOLE_BYTES, SAMPLED))


def test_an_embedded_checkpoint_is_known_by_its_folder_too():
    """Runs that name the pair, or its folders, or nothing go into one file."""
    folder = embedded_folder("embedded:small")
    assert fingerprint("embedded:small") == fingerprint(str(folder)) and folder.name == "small"
    with pytest.raises(ValueError, match=r"embedded:tiny does not come with the package: there are embedded:small, "):
        fingerprint("embedded:tiny")
