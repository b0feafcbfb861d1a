"""What a method sees: collected where the stream of tokens stands, and only what the method asks for."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from stitchvlm.attention import LayerTap
from stitchvlm.families.base import Prompt
from stitchvlm.methods.base import Evidence, ReductionView, TokenReducer
from stitchvlm.reduction import TokenStream
from stitchvlm.shapes import Bool, Float, Int

_MAPS = frozenset({Evidence.GUIDE_MAP, Evidence.OWN_MAP})
_HEARD = frozenset({Evidence.ATTENTION, Evidence.STATES})


def check_collected(reducer: TokenReducer, prompt: Prompt, guide: Sequence[Tensor] | None) -> None:
    """Raise a ValueError if a method wants to see what nobody has collected, before any layer is run."""
    missing = {Evidence.VISION} if prompt.vision is None else set()
    missing |= _MAPS if guide is None else set()
    for evidence in missing & reducer.needs:
        raise ValueError(f"the method {reducer.name} needs {evidence.value}, and it was not collected")


def listener(
    reducer: TokenReducer, prompt: Prompt, stream: TokenStream, layer: int, window: int | None
) -> LayerTap | None:
    """What hears ``layer``, whose sliding window is ``window``, if the method wants its attention or its keys."""
    if not reducer.needs & _HEARD:
        return None
    return LayerTap(
        stream, layer, window, _asking_rows(reducer, prompt, stream) if Evidence.ATTENTION in reducer.needs else None
    )


def collect(
    reducer: TokenReducer,
    prompt: Prompt,
    stream: TokenStream,
    present: Sequence[Int[Tensor, " _n_present"]],
    layer: int,
    heard: LayerTap | None,
    guide: Sequence[Float[Tensor, " _n_visual"]] | None,
    seeds: Sequence[int],
) -> ReductionView:
    """The view of a method that decides before ``layer``, the stream being what would enter it."""
    needs, start = reducer.needs, prompt.stream
    found: dict[str, Any] = {}
    if needs & _MAPS:
        found |= {"guide": guide}
    if heard is not None and Evidence.ATTENTION in needs:
        found |= {"attention": _visual(heard.received, stream)}
    if heard is not None and Evidence.STATES in needs:
        sizes = torch.ones_like(stream.index, dtype=torch.float32) if stream.size is None else stream.size
        found |= {"keys": _visual(heard.keys, stream), "states": _visual(stream.hidden, stream)}
        found |= {"sizes": _visual(sizes, stream)}
    if Evidence.EMBEDDINGS in needs:
        rows = zip(_unpadded(start), prompt.layouts, strict=True)
        text = [row[layout.first_text_after_visual :] for row, layout in rows]
        found |= {"embeddings": _visual(start.hidden, start), "instruction": text}
    if Evidence.VISION in needs:
        found |= {"vision": prompt.vision}
    return ReductionView(prompt.layouts, present, layer, seeds=seeds, **found)


def _visual(values: Tensor, of: TokenStream) -> list[Tensor]:
    """Per row the values of its visual tokens."""
    return [row[mask] for row, mask in zip(values, (of.ordinal >= 0).to(values.device), strict=True)]


def _unpadded(stream: TokenStream) -> list[Tensor]:
    """Per row the states of its real tokens."""
    return [row[len(row) - length :] for row, length in zip(stream.hidden, stream.lengths, strict=True)]


def _asking_rows(reducer: TokenReducer, prompt: Prompt, stream: TokenStream) -> Bool[Tensor, "batch length"]:
    """Which tokens of the stream are those whose attention the method asks for; on the CPU.

    Tokens of an answer, whose places lie behind the prompt, are not.
    """
    longest = max(layout.n_tokens for layout in prompt.layouts)
    asking = torch.zeros(len(prompt.layouts), longest + 1, dtype=torch.bool)
    for asked, layout, embeddings in zip(asking, prompt.layouts, _unpadded(prompt.stream), strict=True):
        asked[: layout.n_tokens] = reducer.asking_rows(layout, embeddings)
    index = stream.index.cpu()
    return asking.gather(1, index.clamp(0, longest)) & (index >= 0)
