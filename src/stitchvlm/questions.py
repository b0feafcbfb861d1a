"""A question as users ask it, with its pictures decoded."""

import reprlib
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

    Args:
        image: a path, PIL image or array, or a list of them; None asks without a picture.

    Raises:
        ValueError: if it or its list of pictures is empty, it gives both text and messages, a message has parts that are neither
            pictures nor text, or a picture cannot be read.
    """
    if messages is not None:
        if question is not None or image is not None or system is not None:
            raise ValueError("give either messages, or a question with its image and system message, not both")
        pictures = [load_image(_picture_of(part)) for part in _parts(messages) if part["type"] == "image"]
        return Question(images=tuple(pictures), messages=tuple(messages))
    if question is None or not question.strip():
        raise ValueError("the question is empty: ask something about the picture")
    if isinstance(image, list | tuple) and not image:
        raise ValueError("the list of pictures is empty: put a picture in it, or leave image out to ask without any")
    sources = [] if image is None else list(image) if isinstance(image, list | tuple) else [image]
    return Question(question, tuple(load_image(source) for source in sources), system)


def _parts(messages: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every part of every message whose content is a list of parts; a chat template would leave unknown ones out silently."""
    for message in messages:
        if (
            not isinstance(message, dict)
            or "role" not in message
            or not isinstance(message.get("content"), str | list | tuple)
        ):
            raise ValueError(
                f"a message needs a role and a content that is text or a list of parts, not {reprlib.repr(message)}"
            )
        for part in () if isinstance(message["content"], str) else message["content"]:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind != "image" and not (kind == "text" and isinstance(part.get("text"), str)):
                raise ValueError(
                    'a part of a message is {"type": "text", "text": "…"} or {"type": "image", "image": …}, not '
                    f"{reprlib.repr(part)}: write it as one of these, a video as several pictures"
                )
            yield part


def _picture_of(part: dict[str, Any]) -> Any:
    picture = part.get("image", part.get("path"))
    if picture is None:
        raise ValueError('a picture in messages is {"type": "image", "image": …} with a path, PIL image or array')
    return picture
