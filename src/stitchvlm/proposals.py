"""A small model's draft as a proposal for the large model's answer."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from stitchvlm.families.base import VLM
from stitchvlm.records import Draft


def proposals(drafts: Sequence[Draft], small: VLM, large: VLM, max_new_tokens: int) -> list[list[int]]:
    """What each draft says, in the large model's tokens and without an end; empty where it cannot be fed.

    Drafts cross tokenizers as text. One that writes the placeholder of a visual token is not text that could be fed. The last token
    that an answer may have needs no proposal, since nothing follows it.
    """
    found = []
    for draft in drafts:
        ids = [token for token in draft.tokens if token not in small.stop_ids]
        if not same_words(small.tokenizer, large.tokenizer):
            text = small.tokenizer.decode(ids, skip_special_tokens=True)
            ids = large.tokenizer(text, add_special_tokens=False).input_ids
        found.append([] if large.placeholder_id in ids else ids[: max_new_tokens - 1])
    return found


@lru_cache(maxsize=8)
def same_words(small: Any, large: Any) -> bool:
    """Whether a token id means the same to both tokenizers; models without one only ever share ids."""
    if small is None or large is None:
        return small is large
    return small is large or small.get_vocab() == large.get_vocab()
