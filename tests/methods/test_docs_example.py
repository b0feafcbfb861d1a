"""The method that the documentation shows works as it stands there."""

import inspect
import re
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
import test_contract
import torch

import stitchvlm.methods
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import ReductionView, plugins

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-method.md"


@pytest.fixture(scope="module")
def centre() -> type:
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    names: dict = {"__name__": "documented"}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names["Centre"]


def test_the_documented_method_keeps_the_middle(centre):
    layout = tiled_layout(torch.arange(16), [(1, 1)], 4, [(28, 28)], n_tokens=18)
    view = ReductionView([layout], [torch.arange(16)], 0)
    assert centre().reduce(view, [4]).kept[0].tolist() == [5, 6, 9, 10]
    assert centre(x=0.0, y=0.0).reduce(view, [1]).kept[0].tolist() == [0]


def promises() -> list[str]:
    """The tests of the contract that want nothing but a method's name."""
    tests = {name: test for name, test in vars(test_contract).items() if name.startswith("test_")}
    return [name for name, test in tests.items() if list(inspect.signature(test).parameters) == ["name"]]


@pytest.mark.parametrize("promise", promises())
def test_the_documented_method_keeps_the_contract(centre, monkeypatch, promise):
    """Its one line in the registry is all that the contract needs to know it."""
    monkeypatch.setattr(stitchvlm.methods, "_BUILT_IN", (*stitchvlm.methods._BUILT_IN, centre))
    monkeypatch.setitem(test_contract.METHODS, "centre", centre)
    getattr(test_contract, promise)("centre")


def test_the_contract_is_asked():
    assert len(promises()) > 5


def test_the_documented_entry_point_is_one_that_the_package_looks_for(centre, monkeypatch):
    text = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL).group(1)
    ((group, named),) = tomllib.loads(text)["project"]["entry-points"].items()
    ((name, value),) = named.items()
    entry = EntryPoint(name, value, group)
    assert group == plugins.GROUP and entry.attr == centre.__name__
    module = ModuleType(entry.module)
    module.Centre = centre
    monkeypatch.setitem(sys.modules, entry.module.partition(".")[0], ModuleType("package"))
    monkeypatch.setitem(sys.modules, entry.module, module)
    assert plugins.load(name, [entry]) is centre
