"""The family that the documentation shows works as it stands there."""

import re
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import torch
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
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    names: dict = {"__name__": "documented"}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names["OneTile"]


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
    text = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    ((group, named),) = tomllib.loads(text)["project"]["entry-points"].items()
    ((name, value),) = named.items()
    entry = EntryPoint(name, value, group)
    assert group == plugins.GROUP and entry.attr == one_tile.__name__
    module = ModuleType(entry.module)
    module.OneTile = one_tile
    monkeypatch.setitem(sys.modules, entry.module.partition(".")[0], ModuleType("package"))
    monkeypatch.setitem(sys.modules, entry.module, module)
    assert isinstance(plugins.load(entry), one_tile)
