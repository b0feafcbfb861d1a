"""What the small files beside a tokenizer say: its settings and its added tokens."""

import json
from pathlib import Path

from tokenizers import AddedToken


def read_json(path: Path) -> dict | None:
    """A JSON object from a file; None when there is no such file, ValueError naming it when it is not one."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}). Download it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object. Download it again.")
    return content


def settings(folder: Path) -> dict:
    """`tokenizer_config.json`, with the names of bos, eos, unk and pad completed from `special_tokens_map.json`."""
    return {
        **(read_json(folder / "special_tokens_map.json") or {}),
        **(read_json(folder / "tokenizer_config.json") or {}),
    }


def added_tokens(folder: Path) -> dict[int, AddedToken]:
    """The tokens that the release added to the vocabulary, by id and in that order, from whichever files list them.

    `tokenizer_config.json` is the most complete, so it wins over `added_tokens.json`, and that over `tokenizer.json`.
    """
    entries: dict[int, dict] = {}
    for entry in (read_json(folder / "tokenizer.json") or {}).get("added_tokens") or []:
        entries[entry["id"]] = entry
    for content, index in (read_json(folder / "added_tokens.json") or {}).items():
        entries[index] = {"content": content, "special": True}
    for index, entry in (settings(folder).get("added_tokens_decoder") or {}).items():
        entries[int(index)] = entry
    return {index: _added_token(entries[index]) for index in sorted(entries)}


def _added_token(entry: dict) -> AddedToken:
    """One added token, matched in the raw text as the release's Python tokenizers do, never after normalisation."""
    flags = {name: bool(entry.get(name, False)) for name in ("special", "lstrip", "rstrip", "single_word")}
    return AddedToken(entry["content"], normalized=False, **flags)
