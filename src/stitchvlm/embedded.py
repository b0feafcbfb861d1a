"""The checkpoints that come with the package: what they are called and where they lie."""

from pathlib import Path

_MODELS = Path(__file__).parent / "models"
_FOLDERS = {
    "small": "pair-v0/small",
    "large": "pair-v0/large",
    "qwen2-vl": "other-v0/qwen2-vl",
    "documents-small": "pair-v1/small",
    "documents-large": "pair-v1/large",
}
_PREFIX = "embedded:"
"""No folder of a user's and no hub id begins so."""

EMBEDDED = tuple(f"{_PREFIX}{name}" for name in _FOLDERS)
"""Names that stand for a checkpoint of the package wherever a hub id or a folder does."""
EMBEDDED_PAIR = (EMBEDDED[0], EMBEDDED[1])
"""The small and the large model of somebody who names none."""
DOCUMENT_PAIR = (f"{_PREFIX}documents-small", f"{_PREFIX}documents-large")
"""Those that read documents."""


def embedded_folder(source: str) -> Path | None:
    """Where the checkpoint of that name lies, or None if `source` is no such name.

    Raises:
        ValueError: if it begins like one, and there is none of that name.
    """
    if not source.startswith(_PREFIX):
        return None
    folder = _FOLDERS.get(source.removeprefix(_PREFIX))
    if folder is None:
        raise ValueError(f"{source} does not come with the package: there are {', '.join(EMBEDDED)}")
    return _MODELS / folder
