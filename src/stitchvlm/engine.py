"""The data path of one model: embed -> layers -> reduce -> layers -> decode.

The engine owns the loop over decoder layers. Nothing is patched and no hook is set: the model stays an ordinary
transformers model.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.generation.streamers import BaseStreamer

from stitchvlm.attention import AttentionTap, Tap
from stitchvlm.continuation import continued, generated_places, next_token
from stitchvlm.evidence import check_collected, collect, listener
from stitchvlm.families.base import VLM, Inputs, Prompt
from stitchvlm.layout import VisualLayout
from stitchvlm.masks import span_masks
from stitchvlm.passes import Generated, LayerSpan, Plan, Prefilled
from stitchvlm.records import Question
from stitchvlm.reduction import TokenStream
from stitchvlm.sampling import Sampling, TokenPicker
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Float, Int


class Engine:
    """Runs one vision-language model. All methods take batches; rows may differ in length, pictures and kept tokens."""

    def __init__(self, vlm: VLM):
        self.vlm = vlm
        self.decoder = vlm.family.decoder(vlm)

    @property
    def n_layers(self) -> int:
        return len(self.decoder.layers)

    def prepare(self, questions: Sequence[Question], max_tiles: int | None = None, to: Shrink | None = None) -> Inputs:
        """Questions to token ids, tiles and layouts, every picture shrunk as ``to`` says."""
        return self.vlm.family.prepare(self.vlm, questions, max_tiles, to)

    @torch.inference_mode()
    def embed(self, inputs: Inputs, show_vision: bool = False) -> Prompt:
        """The vision encoder and the embeddings: a prompt that can enter layer 0.

        Args:
            show_vision: let the vision encoder say what it attended to, for methods that need it.
        """
        family = self.vlm.family
        if not show_vision:
            return family.embed(self.vlm, inputs, family.encode(self.vlm, inputs))
        visual, vision = family.encode_and_show(self.vlm, inputs)
        return replace(family.embed(self.vlm, inputs, visual), vision=vision)

    @torch.inference_mode()
    def prefill(self, prompt: Prompt, plan: Plan | None = None, tap: AttentionTap | None = None) -> Prefilled:
        """All layers over the prompt, visual tokens leaving where the plan says so.

        Raises:
            ValueError: if the plan does not fit the model.
        """
        cache = DynamicCache()
        stream, spans, kept = self._through(prompt, prompt.stream, plan, cache, tap)
        logits = self.decoder.logits(stream.hidden[:, -1:])[:, 0]
        return Prefilled(prompt, logits, cache, spans, kept)

    @torch.inference_mode()
    def decode(
        self,
        prefilled: Prefilled,
        sampling: Sampling,
        tap: AttentionTap | None = None,
        streamer: BaseStreamer | None = None,
        keep_logits: bool = False,
    ) -> Generated:
        """Token after token until every row has ended. The cache of ``prefilled`` grows and is spent by this.

        Raises:
            ValueError: if prompt and answer are longer than the model's context.
        """
        self.check_context(prefilled.prompt.layouts, sampling)
        picker = TokenPicker(self.vlm, prefilled.prompt, sampling)
        if streamer is not None:
            streamer.put(prefilled.prompt.token_ids.cpu())  # as generate does; streamers know to skip it
        logits, all_logits = prefilled.logits, []
        for step in range(sampling.max_new_tokens):
            if keep_logits:
                all_logits.append(logits)
            tokens = picker.pick(logits)
            if streamer is not None:
                streamer.put(tokens.cpu())
            if picker.done:
                break
            logits = self._step(prefilled, tokens, step, tap)
        if streamer is not None:
            streamer.end()
        answers, logs = zip(*picker.results(), strict=True)
        return Generated(answers, logs, torch.stack(all_logits, 1) if keep_logits else None)

    @torch.inference_mode()
    def score(
        self, prompt: Prompt, answers: Sequence[Sequence[int]], plan: Plan
    ) -> list[Float[Tensor, "_steps vocabulary"]]:
        """Raw logits of given answers in one teacher-forced pass over prompt and answer, pruned as the plan says.

        Row i of a result is the distribution from which token i of the answer would be drawn.
        """
        stream, _, _ = self._through(prompt, self.continued(prompt, answers), plan, None, None)
        longest = max(map(len, answers))
        logits = self.decoder.logits(stream.hidden[:, -longest - 1 : -1])
        return [row[longest - len(answer) :] for row, answer in zip(logits, answers, strict=True)]

    def continued(self, prompt: Prompt, answers: Sequence[Sequence[int]]) -> TokenStream:
        """The prompt with given tokens behind every row, as it can go through the layers."""
        return continued(self.decoder, prompt, answers)

    def text(self, tokens: Sequence[int]) -> str:
        """Generated tokens as text, special tokens left out; empty for a model without tokenizer."""
        if self.vlm.tokenizer is None:
            return ""
        return self.vlm.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()

    def _through(
        self,
        prompt: Prompt,
        stream: TokenStream,
        plan: Plan | None,
        cache: DynamicCache | None,
        tap: AttentionTap | None,
    ) -> tuple[TokenStream, tuple[LayerSpan, ...], tuple[Int[Tensor, " _n_keep"], ...]]:
        """The stream after all layers and reductions, the spans of layers between them, and what stayed to the end.

        ``stream`` is the prompt's, or the prompt's with given tokens behind it, which no method sees.
        """
        present = tuple(torch.arange(layout.n_visual) for layout in prompt.layouts)
        spans, start, n_longest, heard = [], 0, max(stream.lengths), None
        for layer, n_keep in [*self._steps(prompt, plan), (self.n_layers, None)]:
            if layer > start:
                if plan is not None and n_keep is not None:
                    heard = listener(plan.reducer, prompt, stream, layer - 1, self.decoder.windows[layer - 1])
                n_visual = tuple(len(row) for row in present)
                spans.append(LayerSpan(range(start, layer), stream.index, stream.padded, n_visual, stream.size))
                stream = self._run(stream, cache, spans[-1].layers, n_longest, heard or tap)
            if plan is not None and n_keep is not None:
                seeds = plan.seeds or range(len(present))
                view = collect(plan.reducer, prompt, stream, present, layer, heard, plan.guide, seeds)
                reduction = plan.reducer.reduce(view, n_keep)
                stream, present, start, heard = reduction.apply(stream, present), reduction.kept, layer, None
        return stream, tuple(spans), present

    def _steps(self, prompt: Prompt, plan: Plan | None) -> list[tuple[int, tuple[int, ...]]]:
        """(layer, tokens to keep per row) of every step; layers depend on the model only, so rows agree on them.

        Raises:
            ValueError: if the plan does not fit the model, or its method wants to see what nobody has collected.
        """
        if plan is None or not plan.schedule.steps:
            return []
        check_collected(plan.reducer, prompt, plan.guide)
        rows = [plan.schedule.resolve(self.n_layers, layout.n_visual) for layout in prompt.layouts]
        for layer, _ in rows[0]:
            plan.reducer.check_layer(layer)
        return [(steps[0][0], tuple(n_keep for _, n_keep in steps)) for steps in zip(*rows, strict=True)]

    def _run(
        self, stream: TokenStream, cache: DynamicCache | None, layers: range, n_longest: int, tap: Tap | None
    ) -> TokenStream:
        """The stream after ``layers``, whose caches are still empty; ``n_longest`` is the longest row before any reduction."""
        masks = self._masks(layers, stream.padded, n_longest, stream.index, lambda: stream.index, stream.size)
        return stream.with_hidden(self.decoder.run(stream, cache, layers, masks, tap))

    def _masks(
        self,
        layers: range,
        padded: bool,
        n_longest: int,
        query_index: Int[Tensor, "batch queries"],
        key_index: Callable[[], Tensor],
        size: Float[Tensor, "batch some_keys"] | None,
    ) -> dict[int | None, Tensor | None]:
        windows = {self.decoder.windows[layer] for layer in layers}
        return span_masks(windows, padded, n_longest, query_index, key_index, self.vlm.model.dtype, size)

    def _step(
        self, prefilled: Prefilled, tokens: Int[Tensor, " batch"], step: int, tap: AttentionTap | None
    ) -> Float[Tensor, "batch vocabulary"]:
        """Logits after feeding back the ``step``-th generated token of every row."""
        prompt = prefilled.prompt
        stream, answer_index = next_token(self.decoder, prompt, tokens, step), generated_places(prompt, step + 1)
        for span in prefilled.spans:
            n_longest = max(prompt.stream.lengths) + step + 1
            keys = partial(torch.cat, [span.index, answer_index], dim=1)
            masks = self._masks(span.layers, span.padded, n_longest, stream.index, keys, span.size)
            stream = stream.with_hidden(self.decoder.run(stream, prefilled.cache, span.layers, masks, tap))
        return self.decoder.logits(stream.hidden)[:, 0]

    def check_context(self, layouts: Sequence[VisualLayout], sampling: Sampling) -> None:
        """Raise a ValueError if a prompt and its answer are longer than what the model was made for."""
        n_prompt = max(layout.n_tokens for layout in layouts)
        if n_prompt + sampling.max_new_tokens > self.decoder.max_positions:
            raise ValueError(
                f"the prompt has {n_prompt} tokens and the answer may have {sampling.max_new_tokens}, more than the "
                f"{self.decoder.max_positions} that {self.vlm.source} can hold: use fewer or smaller pictures, a lower "
                "--max-tiles or a lower --max-new-tokens"
            )
