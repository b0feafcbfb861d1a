"""Slow, plain references that share no code with the engine: full length, no cache, no gather, eager attention."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import InternVLForConditionalGeneration


def plain_copy(folder, attention: str = "eager") -> InternVLForConditionalGeneration:
    """The checkpoint as transformers itself loads it."""
    return InternVLForConditionalGeneration.from_pretrained(folder, attn_implementation=attention).eval()


@torch.no_grad()
def masked_logits(
    model: InternVLForConditionalGeneration,
    ids: Tensor,
    pixels: Tensor | None,
    answer: Sequence[int],
    steps: Sequence[tuple[int, Sequence[int]]],
    windows: Sequence[int | None] | None = None,
) -> Tensor:
    """Logits of the last prompt token and of every answer token, from one full-length forward of one row.

    ``steps`` holds (layer, prompt places that nobody may look at from that layer on). Every token stays in the sequence;
    those that are out are masked as keys, layer by layer.
    """
    full = torch.cat([ids, torch.tensor(answer, dtype=torch.long)])
    hidden = model.get_input_embeddings()(full)[None].clone()
    if pixels is not None:
        visual = model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output.flatten(0, 1)
        hidden[0, full == model.config.image_token_id] = visual
    text, n = model.model.language_model, len(full)
    place = torch.arange(n)
    rotary = text.rotary_emb(hidden, place[None])
    for number, layer in enumerate(text.layers):
        allowed = place[None, :] <= place[:, None]
        if windows is not None and windows[number] is not None:
            allowed &= place[None, :] > place[:, None] - windows[number]
        for at, dropped in steps:
            if number >= at:
                allowed[:, list(dropped)] = False
        allowed |= torch.eye(n, dtype=torch.bool)  # a dropped token sees itself: nobody looks at it any more
        mask = torch.zeros(n, n).masked_fill(~allowed, torch.finfo(torch.float32).min)[None, None]
        hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, position_ids=place[None])
    return model.lm_head(text.norm(hidden))[0, len(ids) - 1 :]


@torch.no_grad()
def eager_attentions(
    model: InternVLForConditionalGeneration, ids: Tensor, pixels: Tensor, answer: Sequence[int]
) -> Tensor:
    """Attention maps (layers, heads, N, N) of prompt + answer, materialised by transformers."""
    full = torch.cat([ids, torch.tensor(answer, dtype=torch.long)])[None]
    output = model(input_ids=full, pixel_values=pixels, output_attentions=True)
    return torch.stack(output.attentions)[:, 0]
