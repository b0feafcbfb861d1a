"""The family that the documentation shows works as it stands there."""

from pathlib import Path

import pytest
import torch
from documented import documented_class, documented_entry_point
from test_engine import picture
from tiny import save_tiny_internvl

import stitchvlm.families
from stitchvlm import Stitch, make_question
from stitchvlm.families import load_vlm, plugins
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Shrink

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-family.md"
PICTURES = [picture(90, 60), picture(40, 70)]
QUESTIONS = [make_question("Both?", PICTURES), make_question("This?", PICTURES[0]), make_question("None?")]


@pytest.fixture(scope="module")
def one_tile() -> type:
    return documented_class(DOCUMENT, "OneTile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(save_tiny_internvl(tmp_path_factory.mktemp("tiny"), n_layers=2))


@pytest.mark.parametrize("to", [None, Shrink(0.3)])
def test_the_documented_family_sees_what_the_built_in_one_sees_in_one_tile(one_tile, folder, to):
    vlm, family = load_vlm(folder, torch.float32, "cpu"), one_tile()
    ours, theirs = (some.prepare(vlm, QUESTIONS, 1, to) for some in (family, vlm.family))
    assert ours.n_unshrunk == theirs.n_unshrunk
    for mine, other, ids, others in zip(ours.layouts, theirs.layouts, ours.token_ids, theirs.token_ids, strict=True):
        assert mine.matches(other) and torch.equal(ids, others)
    wanted = [layout.whole_tiles(torch.arange(min(1, layout.n_visual))) for layout in ours.layouts]
    for present in (None, wanted):
        torch.testing.assert_close(family.encode(vlm, ours, present), vlm.family.encode(vlm, theirs, present))


def test_its_line_in_the_registry_is_all_that_the_whole_path_needs(one_tile, folder, monkeypatch):
    def answers():
        vlm = Stitch.from_pretrained(folder, folder, device="cpu", keep=0.5, max_tiles=1, sampling=Sampling(4))
        return [vlm.cascade.large().vlm.family.name, *(answer.text for answer in vlm.answer(QUESTIONS))]

    before = answers()
    monkeypatch.setattr(stitchvlm.families, "_BUILT_IN", (one_tile, *stitchvlm.families._BUILT_IN))
    assert answers() == ["OneTile", *before[1:]]


def test_the_documented_entry_point_is_one_that_the_package_looks_for(one_tile, monkeypatch):
    entry = documented_entry_point(DOCUMENT, one_tile, monkeypatch)
    assert entry.group == plugins.GROUP and entry.attr == one_tile.__name__
    assert isinstance(plugins.load(entry), one_tile)
