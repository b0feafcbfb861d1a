"""The small model's pass: an answer, how sure it is of it, and the map of what it looked at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from stitchvlm.attention import AttentionTap
from stitchvlm.decoding import Decoding
from stitchvlm.engine import Engine
from stitchvlm.errors import DataError
from stitchvlm.families.base import Prompt
from stitchvlm.maps import MapForm
from stitchvlm.methods import Guided
from stitchvlm.passes import Generated, Plan
from stitchvlm.plural import counted
from stitchvlm.records import Draft, GuideMap
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule
from stitchvlm.shapes import Bool
from stitchvlm.timing import Stopwatch

FirstQuery = Literal["text", "last_visual", "between"]
"""Where the prompt rows of the guide map begin: at the first text token after the last visual one, which is the paper's
form; at the last visual token itself, which is the official release's; or after the first visual token, all text rows
from there on, so that text between pictures counts as well."""


@dataclass(frozen=True, eq=False)
class GuidePass:
    """What the small model did with a batch of questions.

    Attributes:
        behind: what its caches hold of its answers, where somebody goes on from there; else they are freed.
    """

    engine: Engine
    prompt: Prompt
    drafts: tuple[Draft, ...]
    behind: Decoding | None = None

    def __repr__(self) -> str:
        rows = zip(self.drafts, self.prompt.layouts, strict=True)
        told = [f"{draft.text!r} from {counted(layout.n_visual, 'visual token')}" for draft, layout in rows]
        return f"GuidePass({', '.join(told)})"

    def rows(self, rows: Sequence[int]) -> "GuidePass":
        """The pass of some of the questions. The caches go with them: only one of the two can go on."""
        if list(rows) == list(range(len(self.drafts))):
            return self
        prompt = self.prompt.rows(rows)
        behind = None if self.behind is None else self.behind.rows(rows, prompt)
        return GuidePass(self.engine, prompt, tuple(self.drafts[row] for row in rows), behind)

    def answer_log_probabilities(self, keep: float) -> list[list[float]]:
        """Log probability of every token of every draft when the small model sees only the share ``keep`` it looked at most.

        One teacher-forced pass over prompt and answer, pruned before layer 0; raw logits, float64. A draft in which the
        model wrote the picture placeholder is not text that could be fed back: its probability counts as 0.
        """
        placeholder = self.engine.vlm.placeholder_id
        feedable = [placeholder not in draft.tokens for draft in self.drafts]
        answers = [draft.tokens if ok else (0,) for draft, ok in zip(self.drafts, feedable, strict=True)]
        guide = [draft.guide.scores for draft in self.drafts]
        logits = self.engine.score(self.prompt, answers, Plan(Schedule.single(keep, 0), Guided(), guide))
        return [
            row.double().log_softmax(-1)[range(len(answer)), list(answer)].tolist() if ok else [-math.inf]
            for row, answer, ok in zip(logits, answers, feedable, strict=True)
        ]


def counted_rows(prompt: Prompt, first_query: FirstQuery = "text") -> Bool[Tensor, "batch prompt"]:
    """Which tokens of the padded prompt add their row to the guide map.

    Raises:
        ValueError: if ``first_query`` is none of these.
    """
    if first_query not in get_args(FirstQuery):
        raise ValueError(f"first_query must be one of {', '.join(get_args(FirstQuery))}, not {first_query!r}")
    width = prompt.stream.index.shape[1]
    counted = torch.zeros(len(prompt.layouts), width, dtype=torch.bool)
    for row, layout, length in zip(counted, prompt.layouts, prompt.stream.lengths, strict=True):
        start, places = layout.first_text_after_visual, row[width - length :]
        if first_query == "between" and layout.n_visual:
            start = int(layout.index[0])
        elif first_query == "last_visual":
            start = max(0, start - 1)
        places[start:] = True
        if first_query == "between":
            places[layout.index] = False
    return counted


def run_guide(
    engine: Engine,
    prompt: Prompt,
    sampling: Sampling,
    guide_tokens: int | None = None,
    first_query: FirstQuery = "text",
    watch: Stopwatch | None = None,
    form: MapForm | None = MapForm(),  # noqa: B008 (it is frozen)
    streamer: BaseStreamer | None = None,
    keep_caches: bool = False,
    graphs: bool = True,
) -> GuidePass:
    """Draft an answer greedily and collect the guide map on the way (arXiv 2412.03324, equations 1 to 3).

    Args:
        sampling: of the answer that is wanted; the draft takes its length limits and stays greedy.
        guide_tokens: a tighter limit for the draft alone. A draft that it cuts short can only guide.
        first_query: which prompt rows count.
        form: which attention counts in the map; None draws none, and nobody listens to the layers.
        streamer: hears the draft while it is made.
        keep_caches: for who goes on guessing behind the draft.
        graphs: on a GPU, replay the draft's steps as CUDA graphs, unless caches are kept.

    Raises:
        ValueError: if ``first_query`` is none of these.
        DataError: if the attention overflows in the model's precision.

    Differs from the paper: ``first_query="text"`` is the paper's form, its official release uses ``"last_visual"``.
    """
    watch = watch or Stopwatch()
    limit = min(sampling.max_new_tokens, guide_tokens or sampling.max_new_tokens)
    greedy = replace(sampling, temperature=0.0, max_new_tokens=limit)
    tap = None if form is None else _tap(engine, prompt, first_query, form)
    with watch.stage("small_prefill"):
        prefilled = engine.prefill(prompt, tap=tap)
    with watch.stage("small_decode"):
        replayed = graphs and not keep_caches
        generated = engine.decode(prefilled, greedy, tap=tap, streamer=streamer, score=True, graphs=replayed)
        maps = [None] * len(prompt.layouts) if tap is None else _maps(engine, prompt, generated, tap)
    drafts = []
    for tokens, logs, looked_at in zip(generated.tokens, generated.log_probabilities, maps, strict=True):
        complete = limit == sampling.max_new_tokens or tokens[-1] in engine.vlm.stop_ids
        drafts.append(Draft(tokens, engine.text(tokens), logs, looked_at, complete))
    return GuidePass(engine, prompt, tuple(drafts), generated.behind if keep_caches else None)


def _tap(engine: Engine, prompt: Prompt, first_query: FirstQuery, form: MapForm) -> AttentionTap:
    counted = counted_rows(prompt, first_query)
    if form.rows in ("generated", "answer"):
        counted[:, : -1 if form.rows == "answer" else None] = False
    return AttentionTap(prompt.stream, counted, engine.decoder.windows, form)


def _maps(engine: Engine, prompt: Prompt, generated: Generated, tap: AttentionTap) -> list[GuideMap]:
    """What the tap has heard, as one map per row over its visual tokens."""
    prefill, decode = tap.finish(generated.cache, tuple(len(tokens) - 1 for tokens in generated.tokens))
    maps = []
    for row, (layout, tokens) in enumerate(zip(prompt.layouts, generated.tokens, strict=True)):
        place = layout.index.to(prefill.device) + prefill.shape[1] - prompt.stream.lengths[row]
        guide = GuideMap(layout, prefill[row, place].cpu(), decode[row, : len(tokens) - 1, place].cpu())
        if not guide.scores.isfinite().all():
            raise DataError(
                f"the attention of {engine.vlm.source} is not finite in {engine.vlm.model.dtype}: use --dtype bfloat16"
            )
        maps.append(guide)
    return maps
