"""What the small files beside a tokenizer say: its settings and its added tokens."""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from stitchvlm.families.checkpoint import read_json


def read_optional(path: Path) -> dict[str, Any]:
    """The object in a JSON file that a release may do without; empty where it does."""
    return read_json(path) if path.is_file() else {}


def settings(folder: Path) -> dict:
    """`tokenizer_config.json`, with the names of bos, eos, unk and pad completed from `special_tokens_map.json`."""
    return {
        **read_optional(folder / "special_tokens_map.json"),
        **read_optional(folder / "tokenizer_config.json"),
    }


def added_tokens(folder: Path) -> dict[int, AddedToken]:
    """The tokens that the release added to the vocabulary, by id and in that order, from whichever files list them.

    `tokenizer_config.json` is the most complete, so it wins over `added_tokens.json`, and that over `tokenizer.json`.
    """
    entries: dict[int, dict] = {}
    for entry in read_optional(folder / "tokenizer.json").get("added_tokens") or []:
        entries[entry["id"]] = entry
    for content, index in read_optional(folder / "added_tokens.json").items():
        entries[index] = {"content": content, "special": True}
    for index, entry in (settings(folder).get("added_tokens_decoder") or {}).items():
        entries[int(index)] = entry
    return {index: _added_token(entries[index]) for index in sorted(entries)}


def _added_token(entry: dict) -> AddedToken:
    """One added token, matched in the raw text as the release's Python tokenizers do, never after normalisation."""
    flags = {name: bool(entry.get(name, False)) for name in ("special", "lstrip", "rstrip", "single_word")}
    return AddedToken(entry["content"], normalized=False, **flags)
