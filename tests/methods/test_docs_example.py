"""The method that the documentation shows works as it stands there."""

import inspect
from pathlib import Path

import pytest
import test_contract
import torch
from documented import documented_class, documented_entry_point

import stitchvlm.methods
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.methods import ReductionView, plugins

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-method.md"


@pytest.fixture(scope="module")
def centre() -> type:
    return documented_class(DOCUMENT, "Centre")


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
    entry = documented_entry_point(DOCUMENT, centre, monkeypatch)
    assert entry.group == plugins.GROUP and entry.attr == centre.__name__
    assert plugins.load(entry.name, [entry]) is centre
