"""In which wordings a document is asked about: none that nobody would use for it."""

import re
from collections.abc import Callable

from .document import Document

_OFFICE = ("invoice", "form", "ticket", "prices")


def _below_another(document: Document) -> bool:
    """Whether a line stands above the title."""
    title = document.fields.get("title")
    return bool(title and title.boxes) and any(line.box[3] <= title.box[1] for line in document.lines)


def _counted_otherwise(document: Document) -> bool:
    """Whether a number of pieces is printed that is not the number of goods."""
    pieces = document.fields.get("pieces")
    return pieces is not None and pieces.text != str(len(document.items))


_UNSUITED: tuple[tuple[str, Callable[[Document], bool]], ...] = (
    (r"\b(receipt|purchase|shop|bill|seller)\b", lambda document: document.kind in _OFFICE),
    (r"\b(was|were)\b", lambda document: document.kind == "prices"),
    (r"\bhead(ing|ed)\b", _below_another),
    (r"(many|the) items", _counted_otherwise),
    (r"(Give the|is it) regist", lambda document: "tax_number" in document.fields),
    (r"How high", lambda document: document.kind == "pie"),
)
"""What a wording holds that does not suit a document, and which documents those are."""


def suited(group: tuple[str, ...], document: Document, unless: str = "") -> tuple[str, ...]:
    """Those of the wordings that suit the document and hold nothing that matches `unless`."""
    patterns = [pattern for pattern, applies in _UNSUITED if applies(document)] + ([unless] if unless else [])
    return tuple(text for text in group if not any(re.search(pattern, text) for pattern in patterns))
