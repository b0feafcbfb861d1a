"""The release's tokenizers as native fast tokenizers, ready for chat templates; no code from the checkpoint is run.

| size | class the release names | files | BOS in front |
|---|---|---|---|
| 2B, 8B, 26B | InternLM2Tokenizer (remote code) | tokenizer.model | yes |
| 4B, 40B | LlamaTokenizer | tokenizer.model | as its settings say |
| 1B | Qwen2Tokenizer | vocab.json, merges.txt | no |
| Llama3-76B | PreTrainedTokenizerFast | tokenizer.json | as that file says |

Any of them may have been saved again with a tokenizer.json, which then is used.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Tokenizer

from stitchvlm.errors import DataError
from stitchvlm.families.checkpoint import read_json
from stitchvlm.families.internvl2_checkpoint.sentencepiece_bpe import Prefix, build_tokenizer, read_model
from stitchvlm.families.internvl2_checkpoint.template import (
    IMAGE_CONTEXT,
    IMAGE_END,
    IMAGE_START,
    chat_template,
    conversation,
)
from stitchvlm.families.internvl2_checkpoint.tokenizer_files import added_tokens, settings

_IMAGE_TOKENS = {
    "start_image_token": IMAGE_START,
    "end_image_token": IMAGE_END,
    "context_image_token": IMAGE_CONTEXT,
}
# Only sentencepiece classes put a BOS in front by setting; they do so unless told otherwise.
_BOS_BY_SETTING = ("InternLM2Tokenizer", "InternLM2TokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast")


def load_tokenizer(folder: Path, config: dict) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, with the conversation template that the raw config.json `config` names.

    Calling it on a rendered prompt gives the ids the release feeds, BOS included where the release has one. Its
    `eos_token` is the token that closes a turn, as in the release's `chat`; it pads on the left. Raises ValueError or
    OSError naming the file when the tokenizer cannot be read or does not fit the checkpoint.
    """
    folder = Path(folder)
    tokenizer = _read(folder)
    stop = conversation(config).stop_token
    _check_tokens(folder, tokenizer, config, stop)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or stop
    tokenizer.eos_token = stop
    tokenizer.chat_template = chat_template(config)
    return tokenizer


def stop_token_ids(tokenizer: PreTrainedTokenizerBase, config: dict) -> list[int]:
    """The ids that end an answer: the one token that closes a turn in the checkpoint's conversation template."""
    return [tokenizer.convert_tokens_to_ids(conversation(config).stop_token)]


def _read(folder: Path) -> PreTrainedTokenizerBase:
    """Build the tokenizer from the most direct description of it in the folder."""
    options = _options(folder)
    if (folder / "tokenizer.json").is_file():
        return _from_serialized(folder / "tokenizer.json", options)
    if (folder / "tokenizer.model").is_file():
        return _from_sentencepiece(folder, options)
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return _from_vocab_and_merges(folder, options)
    raise DataError(f"{folder} has no tokenizer.json, tokenizer.model or vocab.json with merges.txt.")


def _options(folder: Path) -> dict:
    """Constructor arguments that all tokenizers share, from the settings files."""
    given = settings(folder)
    options = {
        name: token["content"] if isinstance(token, dict) else token
        for name in ("bos_token", "eos_token", "unk_token", "pad_token")
        if (token := given.get(name)) is not None
    }
    if given.get("tokenizer_class") in _BOS_BY_SETTING:
        options["add_bos_token"] = given.get("add_bos_token", True)
        options["add_eos_token"] = given.get("add_eos_token", False)
    if "model_max_length" in given:
        options["model_max_length"] = given["model_max_length"]
    return {
        **options,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": added_tokens(folder),
        "extra_special_tokens": dict(_IMAGE_TOKENS),
    }


def _from_serialized(path: Path, options: dict) -> PreTrainedTokenizerBase:
    """A tokenizer.json is complete in itself: rules, vocabulary and added tokens."""
    try:
        return PreTrainedTokenizerFast(tokenizer_file=str(path), **options)
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ValueError(f"{path} is no tokenizer ({error}). Download it again.") from error


def _from_sentencepiece(folder: Path, options: dict) -> PreTrainedTokenizerBase:
    """InternLM2's and Llama's tokenizers, from the sentencepiece model itself."""
    given = settings(folder)
    proto = read_model(folder / "tokenizer.model")
    prefix: Prefix = "model"
    # Llama's corrected behaviour; where `legacy` is not set, the release's transformers kept the old one.
    if "Llama" in given.get("tokenizer_class", "") and given.get("legacy") is False:
        prefix = "first" if given.get("add_prefix_space", True) is not False else "never"
    added = options["added_tokens_decoder"]
    renamed = {index: token.content for index, token in added.items() if index < len(proto.pieces)}
    spec = proto.trainer_spec
    for name, index in {"unk_token": spec.unk_id, "bos_token": spec.bos_id, "eos_token": spec.eos_id}.items():
        if index >= 0:
            options.setdefault(name, renamed.get(index, proto.pieces[index].piece))
    options.setdefault("add_bos_token", True)
    return PreTrainedTokenizerFast(tokenizer_object=build_tokenizer(proto, renamed, prefix), **options)


def _from_vocab_and_merges(folder: Path, options: dict) -> PreTrainedTokenizerBase:
    """Qwen2's byte-level BPE from its two original files."""
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    try:
        return Qwen2Tokenizer(vocab=read_json(folder / "vocab.json"), merges=merges, **options)
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ValueError(f"vocab.json and merges.txt in {folder} do not fit ({error}). Download them again.") from error


def _check_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase, config: dict, stop: str) -> None:
    """ValueError when a token that the model relies on has another id than the release gave it, or none at all."""
    for index, token in added_tokens(folder).items():
        if tokenizer.convert_tokens_to_ids(token.content) != index:
            raise ValueError(f"{token.content} should have id {index} in {folder}. Download the tokenizer again.")
    known = tokenizer.get_vocab()
    vocab_size = config["llm_config"].get("vocab_size", len(known))
    for needed in (*_IMAGE_TOKENS.values(), stop):
        if known.get(needed, vocab_size) >= vocab_size:
            raise ValueError(f"The tokenizer in {folder} has no {needed}. Download its files again.")
