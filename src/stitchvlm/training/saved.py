"""Finished models on disk, in transformers' own format: writing them, and taking them up again to train on."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForImageTextToText, GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

LARGEST_FILE = 15_500_000
"""Bytes of weights in one file, of which there are several where a model has more."""


def save_model(model: PreTrainedModel, folder: Path, largest_file: int = LARGEST_FILE) -> None:
    """bfloat16 safetensors, config and greedy generation defaults."""
    model.config.dtype = torch.bfloat16
    copy = type(model)(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    text = model.config.text_config
    copy.generation_config = GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    # One file left beside several would be loaded in their place; an index beside one would tell of files that are gone.
    for stale in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME):
        (folder / stale).unlink(missing_ok=True)
    copy.save_pretrained(folder, max_shard_size=largest_file)


def load_saved(folder: Path, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The model in `folder`, in float32; it must have been trained with this very tokenizer.

    Raises:
        ValueError: if there is no such model, or its tokenizer is another one.
    """
    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
        known = Tokenizer.from_file(str(folder / "tokenizer.json"))
        if found["missing_keys"]:
            raise ValueError(f"it lacks {', '.join(sorted(found['missing_keys']))}")
    except Exception as error:  # what the tokenizers library raises has no type of its own
        raise ValueError(f"{folder} holds no model to begin with: name a folder with a saved pair") from error
    if known.get_vocab() != tokenizer.get_vocab():
        raise ValueError(f"the model in {folder} has another tokenizer: name one that this version has trained")
    return model
