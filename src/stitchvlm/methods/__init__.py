"""The methods of visual-token reduction, one small file each.

To add one, write a file like :mod:`stitchvlm.methods.random` and name its class in ``_BUILT_IN``. A package outside this
one registers through the entry point group ``stitchvlm.methods``.
"""

import warnings

from stitchvlm.methods import plugins
from stitchvlm.methods.alone import LargeAlone, SmallAlone
from stitchvlm.methods.base import Evidence, Method, ReductionView, TokenReducer, TokenScorer
from stitchvlm.methods.cdpruner import CDPruner
from stitchvlm.methods.dart import DART
from stitchvlm.methods.divprune import DivPrune
from stitchvlm.methods.downsample import Downsample
from stitchvlm.methods.fastv import FastV
from stitchvlm.methods.guided import Guided
from stitchvlm.methods.options import check_options
from stitchvlm.methods.oracle import Oracle
from stitchvlm.methods.pyramiddrop import PyramidDrop
from stitchvlm.methods.random import Random
from stitchvlm.methods.single_layer import SingleLayer
from stitchvlm.methods.sparsevlm import SparseVLM
from stitchvlm.methods.tome import ToMe
from stitchvlm.methods.uniform import Uniform
from stitchvlm.methods.visionzip import VisionZip

_BUILT_IN: tuple[type[Method], ...] = (
    *(Guided, FastV, ToMe, SparseVLM, PyramidDrop, VisionZip, DivPrune, CDPruner, DART),
    *(Uniform, Random, Downsample, SingleLayer, Oracle, SmallAlone, LargeAlone),
)
_OTHER_NAMES = {"none": "large-alone", "small": "small-alone"}


def available_methods() -> dict[str, type[Method]]:
    """Every method by its name, those of other installed packages included; what cannot be used is warned of and left out."""
    methods, problems = survey_methods()
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return methods


def survey_methods() -> tuple[dict[str, type[Method]], list[str]]:
    """Every method that can be used by its name, and one sentence on each of another package that cannot."""
    own = _built_in()
    others, problems = plugins.survey({*own, *_OTHER_NAMES})
    return own | others, problems


def method_class(name: str) -> type[Method]:
    """The method of that name; ``none`` and ``small`` are short for the large and the small model alone.

    Of other packages only the one that is asked for is imported. A name of this package means its own method, with a
    warning if another package claims it too.

    Raises:
        ValueError: if there is no such method; a DataError if it is another package's and cannot be used.
    """
    own, others = _built_in(), plugins.registered()
    meant = _OTHER_NAMES.get(name, name)
    if meant in own:
        if name in others:
            warnings.warn(plugins.hidden(name, others[name]), stacklevel=2)
        return own[meant]
    if name not in others:
        base, _, options = name.partition(":")
        if options and base in {*own, *others}:
            raise ValueError(f"there is no method {name!r}: say --method {base} --option {options.split(',')[0]}")
        raise ValueError(f"there is no method {name!r}; choose one of {', '.join([*own, *others])}")
    return plugins.load(name, others[name])


def _built_in() -> dict[str, type[Method]]:
    return {method.name: method for method in _BUILT_IN}


def make_method(name: str, **options: object) -> Method:
    """The method of that name with its options.

    Raises:
        ValueError: if there is no such method or option, or a value is out of its range.
    """
    method = method_class(name)
    check_options(method, options)
    return method(**options)


__all__ = [
    "Evidence",
    "Guided",
    "LargeAlone",
    "Method",
    "Random",
    "ReductionView",
    "TokenReducer",
    "TokenScorer",
    "available_methods",
    "make_method",
    "method_class",
    "survey_methods",
]
