"""Slow, plain references that share no code with the engine: full length, no cache, no gather, eager attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedModel

Pictures = Mapping[str, Tensor]
"""What transformers' image processors give: pixels, and for some models the grids of their patches."""


def plain_copy(folder, attention: str = "eager") -> PreTrainedModel:
    """The checkpoint as transformers itself loads it."""
    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=attention).eval()


def forward_inputs(model: PreTrainedModel, ids: Tensor, pictures: Pictures) -> dict[str, Tensor]:
    """What the model's forward and ``generate`` take for a batch of token ids; some want to be told which are pictures'."""
    types = {"mm_token_type_ids": (ids == model.config.image_token_id).int()} if has_grids(model) else {}
    return {"input_ids": ids, **types, **pictures}


def has_grids(model: PreTrainedModel) -> bool:
    """Whether positions have rows for time, height and width."""
    return hasattr(model.model, "get_rope_index")


@dataclass(frozen=True)
class Loss:
    """What a prompt loses before a layer, by places in it.

    Attributes:
        layer: the first layer that is without it.
        dropped: places that nobody may look at from there on.
        flows: per place whose state changes there, the places that it is the weighted sum of.
        sizes: from there on the number of tokens that a place stands for, where it is not one; None where nobody counts.
    """

    layer: int
    dropped: Sequence[int]
    flows: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    sizes: Mapping[int, float] | None = None


def masked_logits(
    model: PreTrainedModel,
    ids: Tensor,
    pictures: Pictures,
    answer: Sequence[int],
    steps: Sequence[tuple[int, Sequence[int]]],
    windows: Sequence[int | None] | None = None,
) -> Tensor:
    """As :func:`lossy_logits`, where ``steps`` holds (layer, prompt places that nobody may look at from that layer on)."""
    return lossy_logits(model, ids, pictures, answer, [Loss(*step) for step in steps], windows)


@torch.no_grad()
def lossy_logits(
    model: PreTrainedModel,
    ids: Tensor,
    pictures: Pictures,
    answer: Sequence[int],
    losses: Sequence[Loss],
    windows: Sequence[int | None] | None = None,
) -> Tensor:
    """Logits of the last prompt token and of every answer token, from one full-length forward of one row.

    Every token stays in the sequence and keeps its position; those that are out are masked as keys, layer by layer.
    """
    full = torch.cat([ids, torch.tensor(answer, dtype=torch.long)])
    hidden = model.get_input_embeddings()(full)[None].clone()
    later = []
    if pictures:
        features = model.get_image_features(**pictures, return_dict=True)
        is_visual = full == model.config.image_token_id
        hidden[0, is_visual] = torch.cat([picture.flatten(0, -2) for picture in features.pooler_output])
        for deep in getattr(features, "deepstack_features", ()):
            later.append(torch.zeros_like(hidden))
            later[-1][0, is_visual] = torch.cat(tuple(deep)) if isinstance(deep, tuple) else deep
    text, n = model.model.language_model, len(full)
    place, sizes = torch.arange(n), torch.ones(n)
    rotary = text.rotary_emb(hidden, positions(model, full, pictures))
    for number, layer in enumerate(text.layers):
        for loss in losses:
            if loss.layer == number:
                hidden, *later = (_flowed(states, loss.flows) for states in (hidden, *later))
                for at, size in (loss.sizes or {}).items():
                    sizes[at] = size
        allowed = place[None, :] <= place[:, None]
        if windows is not None and windows[number] is not None:
            allowed &= place[None, :] > place[:, None] - windows[number]
        for loss in losses:
            if number >= loss.layer:
                allowed[:, list(loss.dropped)] = False
        allowed |= torch.eye(n, dtype=torch.bool)  # a dropped token sees itself: nobody looks at it any more
        mask = torch.where(allowed, sizes.log(), torch.finfo(torch.float32).min)[None, None]
        hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, position_ids=place[None])
        if number < len(later):
            hidden = hidden + later[number]
    return model.lm_head(text.norm(hidden))[0, len(ids) - 1 :]


def positions(model: PreTrainedModel, ids: Tensor, pictures: Pictures) -> Tensor:
    """Position ids of one row as transformers counts them, in time, height and width where the model does."""
    if not has_grids(model):
        return torch.arange(len(ids))[None]
    types = (ids == model.config.image_token_id).int()[None]
    return model.model.get_rope_index(ids[None], types, image_grid_thw=pictures.get("image_grid_thw"))[0]


def _flowed(hidden: Tensor, flows: Mapping[int, Mapping[int, float]]) -> Tensor:
    after = hidden.clone()
    for target, sources in flows.items():
        after[0, target] = sum(weight * hidden[0, source] for source, weight in sources.items())
    return after


@torch.no_grad()
def eager_attentions(model: PreTrainedModel, ids: Tensor, pictures: Pictures, answer: Sequence[int]) -> Tensor:
    """Attention maps (layers, heads, N, N) of prompt + answer, materialised by transformers."""
    full = torch.cat([ids, torch.tensor(answer, dtype=torch.long)])[None]
    output = model(**forward_inputs(model, full, pictures), output_attentions=True)
    return torch.stack(output.attentions)[:, 0]
