"""Test splits by name, and what writes them. `python -m stitchvlm.training.splits documents --out FILE` draws one again."""

from .archive import Split, write_split
from .documents import DOCUMENTS
from .scenes import SCENES

__all__ = ["DOCUMENTS", "SCENES", "SPLITS", "Split", "write_split"]

SPLITS = {"scenes": SCENES, "documents": DOCUMENTS}
