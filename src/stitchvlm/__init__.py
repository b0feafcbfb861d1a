"""Stitch: a small vision-language model looks first and guides a large one.

Implements small-VLM guidance (SGP) and small-VLM early exit (SEE) of arXiv 2412.03324 on unmodified checkpoints.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stitchvlm.questions import make_question
    from stitchvlm.records import Answer, Question
    from stitchvlm.sampling import Sampling
    from stitchvlm.stitch import Stitch

_HOMES = {
    "Answer": "stitchvlm.records",
    "Question": "stitchvlm.records",
    "Sampling": "stitchvlm.sampling",
    "Stitch": "stitchvlm.stitch",
    "make_question": "stitchvlm.questions",
}

__version__ = "0.1.0"
__all__ = ["Answer", "Question", "Sampling", "Stitch", "make_question"]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that importing the package alone stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
