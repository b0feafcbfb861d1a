"""A question as users ask it, with its pictures decoded."""

from collections.abc import Iterator, Sequence
from typing import Any

from stitchvlm.images import load_image
from stitchvlm.records import Question


def make_question(
    question: str | None = None,
    image: Any = None,
    system: str | None = None,
    messages: Sequence[dict[str, Any]] | None = None,
) -> Question:
    """A question with its pictures decoded.

    Raises:
        ValueError: if it is empty, gives both text and messages, or a picture cannot be read.
    """
    if messages is not None:
        if question is not None or image is not None or system is not None:
            raise ValueError("give either messages, or a question with its image and system message, not both")
        pictures = [load_image(_picture_of(part)) for part in _parts(messages) if part.get("type") == "image"]
        return Question(images=tuple(pictures), messages=tuple(messages))
    if question is None or not question.strip():
        raise ValueError("the question is empty: ask something about the picture")
    sources = [] if image is None else list(image) if isinstance(image, list | tuple) else [image]
    return Question(question, tuple(load_image(source) for source in sources), system)


def _parts(messages: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every part of every message whose content is a list of parts."""
    for message in messages:
        if "role" not in message or not isinstance(message.get("content"), str | list | tuple):
            raise ValueError(f"a message needs a role and a content that is text or a list of parts, not {message!r}")
        if not isinstance(message["content"], str):
            yield from message["content"]


def _picture_of(part: dict[str, Any]) -> Any:
    picture = part.get("image", part.get("path"))
    if picture is None:
        raise ValueError('a picture in messages is {"type": "image", "image": …} with a path, PIL image or array')
    return picture
