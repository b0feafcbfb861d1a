"""The methods of visual-token reduction, one small file each.

To add one, write a file like :mod:`stitchvlm.methods.random` and name its class in ``_BUILT_IN``. A package outside this
one registers through the entry point group ``stitchvlm.methods``.
"""

from importlib.metadata import entry_points

from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer, TokenScorer
from stitchvlm.methods.cdpruner import CDPruner
from stitchvlm.methods.dart import DART
from stitchvlm.methods.divprune import DivPrune
from stitchvlm.methods.fastv import FastV
from stitchvlm.methods.guided import Guided
from stitchvlm.methods.oracle import Oracle
from stitchvlm.methods.pyramiddrop import PyramidDrop
from stitchvlm.methods.random import Random
from stitchvlm.methods.single_layer import SingleLayer
from stitchvlm.methods.sparsevlm import SparseVLM
from stitchvlm.methods.tome import ToMe
from stitchvlm.methods.uniform import Uniform
from stitchvlm.methods.visionzip import VisionZip

_BUILT_IN: tuple[type[TokenReducer], ...] = (
    *(Guided, FastV, ToMe, SparseVLM, PyramidDrop, VisionZip, DivPrune, CDPruner, DART),
    *(Uniform, Random, SingleLayer, Oracle),
)


def available_methods() -> dict[str, type[TokenReducer]]:
    """Every method by its name, those of other installed packages included."""
    methods = {method.name: method for method in _BUILT_IN}
    for entry in entry_points(group="stitchvlm.methods"):
        methods.setdefault(entry.name, entry.load())
    return methods


def make_method(name: str, **options) -> TokenReducer:
    """The method of that name with its options.

    Raises:
        ValueError: if there is no such method.
    """
    methods = available_methods()
    if name not in methods:
        raise ValueError(f"there is no method {name!r}; choose one of {', '.join(sorted(methods))}, or none")
    return methods[name](**options)


__all__ = [
    "Evidence",
    "Guided",
    "Random",
    "ReductionView",
    "TokenReducer",
    "TokenScorer",
    "available_methods",
    "make_method",
]
