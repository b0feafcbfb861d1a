"""Gives words and characters the directions that the pretrained tower already uses for them.

After dense pretraining a linear head knows the direction of "red" or "K" in the visual features. Token embeddings and
output rows that start along these directions let the language model match a word with what it sees, and name what it
attends to, without first having to discover a common code.
"""

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .architecture import EMBEDDING_SCALE
from .labels import SCENE_LABELS, Labels

_NOISE, _OUTPUT_SHARE = 0.3, 0.03


def word_directions(heads: nn.Linear, labels: Labels = SCENE_LABELS) -> dict[str, torch.Tensor]:
    """Word or character to its direction: its row in the dense head, less the mean row of that head, of unit RMS."""
    columns = dict(zip(labels.heads, heads.weight.detach().split(list(labels.heads.values())), strict=True))
    found = {}
    for names, having in labels.words:
        rows = torch.stack([columns[name] for name in having]).mean(0)
        for name, row in zip(names, rows[1:] - rows[1:].mean(0), strict=True):
            found[name] = row / row.square().mean().sqrt().clamp(min=1e-6)
    return found


@torch.no_grad()
def align_words(
    model: PreTrainedModel, heads: nn.Linear, tokenizer: PreTrainedTokenizerFast, labels: Labels = SCENE_LABELS
) -> None:
    """Start the embeddings and output rows of single-token words along their visual directions."""
    embeddings, outputs = model.model.language_model.embed_tokens.weight, model.lm_head.weight
    for word, direction in word_directions(heads, labels).items():
        for text in (word, f" {word}"):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            if len(ids) == 1:
                embeddings[ids[0]] = EMBEDDING_SCALE * direction + _NOISE * embeddings[ids[0]]
                outputs[ids[0]] = _OUTPUT_SHARE * direction
