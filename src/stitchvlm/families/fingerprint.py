"""Telling checkpoints apart by their weights and by how they are shown pages, wherever they lie."""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from stitchvlm.embedded import embedded_folder
from stitchvlm.errors import DataError
from stitchvlm.families.checkpoint import checkpoint_folder, read_json
from stitchvlm.margins import CUTS_MARGINS

WHOLE_BYTES = 64 * 2**20
"""Weight files of up to this size are read whole."""
_EDGE_BYTES = 4096
"""Of larger ones, this much from the beginning and from the end of every tensor: two pages of a disk, however large it is."""

_HEADER_BYTES = 100_000_000
"""The format allows no larger header."""


def fingerprint(source: str, whole_bytes: int = WHOLE_BYTES) -> str:
    """The name of a checkpoint and a short mark of its weights, and of whether it is shown pages without their margins.

    Files of up to ``whole_bytes`` count whole. Of larger ones the header and both ends of every tensor do, which training
    changes; an edit that leaves the ends of all tensors as they were does not show.

    Raises:
        ValueError: if there is no such checkpoint.
        DataError: if a large file of it is no safetensors file, or what it says of pictures cannot be read.
    """
    digest, folder = hashlib.sha256(), Path(checkpoint_folder(source))
    for path in sorted(folder.glob("*.safetensors")):
        state = path.stat()
        mark = _file_mark(path.resolve(), state.st_mtime_ns, state.st_size, whole_bytes)
        digest.update(f"{path.name} {state.st_size} {mark} ".encode())
    if _cuts_margins(folder):
        digest.update(CUTS_MARGINS.encode())
    return f"{Path(embedded_folder(source) or source).name} {digest.hexdigest()[:12]}"


def _cuts_margins(folder: Path) -> bool:
    """Whether it asks for pages without margins, in whichever of the two files transformers keeps what it says of pictures."""
    files = [folder / f"{name}_config.json" for name in ("processor", "preprocessor")]
    told = [read_json(path) for path in files if path.exists()]
    return any(one.get("image_processor", one).get(CUTS_MARGINS, False) for one in told)


@lru_cache(maxsize=1024)
def _file_mark(path: Path, modified: int, size: int, whole_bytes: int) -> str:
    """Of one file, read again only once it was ``modified`` or has another ``size``."""
    with path.open("rb") as file:
        if size <= whole_bytes:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for part in _header_and_ends(file):
            digest.update(part)
        return digest.hexdigest()


def _header_and_ends(file: BinaryIO) -> Iterator[bytes]:
    """The header of a safetensors file, and what each tensor begins and ends with, in the order in which they lie."""
    n_header = int.from_bytes(file.read(8), "little")
    header = file.read(min(n_header, _HEADER_BYTES))
    try:
        spans = [tensor["data_offsets"] for name, tensor in json.loads(header).items() if name != "__metadata__"]
        spans = sorted((int(begin), int(end)) for begin, end in spans)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{file.name} is no safetensors file: fetch the checkpoint again") from None
    yield header
    for begin, end in spans:
        for place in (begin, max(begin, end - _EDGE_BYTES)):
            file.seek(8 + n_header + place)
            yield file.read(min(_EDGE_BYTES, end - begin))
