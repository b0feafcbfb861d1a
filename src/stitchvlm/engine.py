"""The data path of one model: embed -> layers -> reduce -> layers -> decode.

The engine owns the loop over decoder layers. Nothing is patched and no hook is set: the model stays an ordinary
transformers model.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.generation.streamers import BaseStreamer

from stitchvlm.attention import AttentionTap
from stitchvlm.decoding import Decoding, LayerSpan, answer_stream, span_masks
from stitchvlm.evidence import check_collected, collect, listener
from stitchvlm.families.base import VLM, CutPictures, Inputs, Prompt
from stitchvlm.graphs import graphs_of
from stitchvlm.layout import VisualLayout
from stitchvlm.methods.base import Evidence, ReductionView
from stitchvlm.passes import Generated, Plan, Prefilled, Seen
from stitchvlm.records import Question
from stitchvlm.reduction import TokenStream
from stitchvlm.sampling import Sampling, TokenPicker
from stitchvlm.schedule import Shrink
from stitchvlm.shapes import Float, Int

Proposer = Callable[[Sequence[Sequence[int]]], Sequence[Sequence[int]]]
"""Given every row's answer so far, what may follow it."""


class Engine:
    """Runs one vision-language model. All methods take batches; rows may differ in length, pictures and kept tokens."""

    def __init__(self, vlm: VLM):
        self.vlm = vlm
        self.decoder = vlm.family.decoder(vlm)
        self.graphs = graphs_of(self.decoder, vlm.source, vlm.device)

    @property
    def n_layers(self) -> int:
        return len(self.decoder.layers)

    def prepare(
        self,
        questions: Sequence[Question],
        max_tiles: int | None = None,
        to: Shrink | None = None,
        cut: CutPictures | None = None,
    ) -> Inputs:
        """Questions to token ids, tiles and layouts, pictures shrunk as ``to`` says, and ``cut`` once for models that cut alike."""
        return self.vlm.family.prepare(self.vlm, questions, max_tiles, to, cut)

    def foresee(self, plan: Plan, layouts: Sequence[VisualLayout]) -> Plan:
        """The plan with its first decision made, where nothing of this model has to be seen for it and it spares any encoding.

        That is so where tokens leave before layer 0, and where the method wants it for the sake of the vision encoder.
        """
        if not self.foresees(plan):
            return plan
        steps = plan.steps(self.n_layers, layouts)
        present = [torch.arange(layout.n_visual) for layout in layouts]
        seeds = plan.seeds or range(len(layouts))
        view = ReductionView(layouts, present, steps[0][0], guide=plan.guide or (), seeds=seeds)
        return replace(plan, foreseen=plan.reducer.reduce(view, steps[0][1]))

    def foresees(self, plan: Plan) -> bool:
        """Whether :meth:`foresee` makes the plan's first decision; where it does not, all tiles are encoded."""
        steps = plan.schedule.resolve(self.n_layers, 1)
        if not steps or plan.reducer.needs - {Evidence.GUIDE_MAP}:
            return False
        return steps[0][0] == 0 or plan.reducer.skips_tiles

    @torch.inference_mode()
    def see(self, inputs: Inputs, show_vision: bool = False, plan: Plan | None = None) -> Seen:
        """The vision encoder alone; arguments as those of :meth:`embed`."""
        family = self.vlm.family
        if show_vision:
            visual, vision = family.encode_and_show(self.vlm, inputs)
            return Seen(visual, vision=vision)
        present = self.encoded(inputs, plan)
        return Seen(family.encode(self.vlm, inputs, present), present)

    @torch.inference_mode()
    def embed(
        self, inputs: Inputs, show_vision: bool = False, plan: Plan | None = None, seen: Seen | None = None
    ) -> Prompt:
        """The vision encoder and the embeddings: a prompt that can enter layer 0.

        Args:
            show_vision: let the vision encoder say what it attended to, for methods that need it.
            plan: what it has foreseen to leave is not encoded, as far as the family can encode a part of a picture.
            seen: what :meth:`see` has given for this, where that was asked before.
        """
        seen = seen or self.see(inputs, show_vision, plan)
        return replace(self.vlm.family.embed(self.vlm, inputs, seen.visual, seen.present), vision=seen.vision)

    def encoded(self, inputs: Inputs, plan: Plan | None) -> list[Int[Tensor, " _n_present"]] | None:
        """Per row the visual tokens that will come out of the vision encoder; None where nothing is foreseen, for all of them."""
        if plan is None or plan.foreseen is None:
            return None
        family, rows = self.vlm.family, zip(inputs.layouts, plan.foreseen.kept, strict=True)
        around = family.encoded_around if plan.reducer.crops else family.encoded_with
        return [around(layout, kept) for layout, kept in rows]

    @torch.inference_mode()
    def prefill(
        self,
        prompt: Prompt,
        plan: Plan | None = None,
        tap: AttentionTap | None = None,
        proposed: Sequence[Sequence[int]] | None = None,
    ) -> Prefilled:
        """All layers over the prompt, visual tokens leaving where the plan says so.

        Args:
            proposed: per row what may be the beginning of its answer, for :meth:`decode` to verify; it goes through the layers in
                the same pass.

        Raises:
            ValueError: if the plan does not fit the model.
        """
        cache = DynamicCache()
        proposed = proposed or [()] * len(prompt.layouts)
        n_proposed = max(map(len, proposed))
        stream, spans, kept = self._through(prompt, self.continued(prompt, proposed), plan, cache, tap)
        logits = self.decoder.logits(stream.hidden[:, -n_proposed - 1 :])
        return Prefilled(prompt, tuple(map(tuple, proposed)), logits, cache, spans, kept)

    @torch.inference_mode()
    def decode(
        self,
        prefilled: Prefilled,
        sampling: Sampling,
        tap: AttentionTap | None = None,
        streamer: BaseStreamer | None = None,
        keep_logits: bool = False,
        score: bool = False,
        proposer: Proposer | None = None,
        graphs: bool = False,
    ) -> Generated:
        """The rest of every answer. The cache of ``prefilled`` grows and is spent by this.

        What is proposed stands as far as it is what the model would have said itself, token by token. For a sampled answer that is
        the exact acceptance rule for a proposal without probabilities (arXiv 2211.17192, section 2.3): a token drawn from the
        model's distribution is the proposed one with the probability that it has there, and else it is drawn from what remains.

        Args:
            score: also work out how likely each token was.
            proposer: guesses further tokens after each round, which are verified in the next.
            graphs: replay steps as CUDA graphs where that can be, see :mod:`stitchvlm.graphs`; nobody goes on from the caches then.

        Raises:
            ValueError: if prompt and answer are longer than the model's context.
        """
        self.check_context(prefilled.prompt.layouts, sampling)
        picker = TokenPicker(self.vlm, prefilled.prompt, sampling, score, keep_logits)
        if streamer is not None:
            streamer.put(prefilled.prompt.token_ids.cpu())  # as generate does; streamers know to skip it
        rounds = [picker.verify(prefilled.all_logits, prefilled.proposed, streamer)]
        step = None
        if graphs and proposer is None and not picker.done:
            step = self.graphs.begin(prefilled, sampling.max_new_tokens, tap)
        if step is None:
            behind = self._decode_on(prefilled, picker, rounds, tap, streamer, proposer)
        else:
            behind = None
            while not picker.done:
                picker.verify(step.feed([answer[-1] for answer in picker.answers]), prefilled.proposed, streamer)
            if tap is not None:
                step.tell(tap)
        if streamer is not None:
            streamer.end()
        return Generated(
            tuple(map(tuple, picker.answers)),
            tuple(map(tuple, picker.log_probabilities)),
            tuple(map(sum, zip(*rounds, strict=True))),
            prefilled.cache if step is None else step.cache,
            behind,
            picker.logits if keep_logits else None,
        )

    def _decode_on(
        self,
        prefilled: Prefilled,
        picker: TokenPicker,
        rounds: list[list[int]],
        tap: AttentionTap | None,
        streamer: BaseStreamer | None,
        proposer: Proposer | None,
    ) -> Decoding:
        """Let the picker choose to the end of every answer, ``rounds`` noting how many proposed tokens stood each time."""
        proposed: Sequence[Sequence[int]] = prefilled.proposed
        behind = Decoding(self.decoder, prefilled.prompt, prefilled.cache, prefilled.spans, proposed)
        while not picker.done:
            behind.take_back([len(row) - n for row, n in zip(proposed, rounds[-1], strict=True)])
            proposed = picker.limit(proposer(picker.answers)) if proposer else [()] * len(picker.answers)
            last = [answer[-1] for answer in picker.answers]
            logits = behind.feed([[token, *row] for token, row in zip(last, proposed, strict=True)], tap)
            rounds.append(picker.verify(logits, proposed, streamer))
        return behind

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
        if not any(map(len, answers)):
            return prompt.stream
        return prompt.stream.append(answer_stream(self.decoder, prompt, answers, [0] * len(answers)))

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

        Raises:
            ValueError: if the plan does not fit the model, or its method wants to see what nobody has collected.
        """
        present, foreseen = prompt.present, None if plan is None else plan.foreseen
        n_behind = [now - before for now, before in zip(stream.lengths, prompt.stream.lengths, strict=True)]
        n_longest = max(layout.n_tokens + n for layout, n in zip(prompt.layouts, n_behind, strict=True))
        spans, start, heard = [], 0, None
        steps = () if plan is None else plan.steps(self.n_layers, prompt.layouts)
        if plan is not None and steps:
            check_collected(plan.reducer, prompt, plan.guide)
        for layer, n_keep in [*steps, (self.n_layers, None)]:
            if layer > start:
                if plan is not None and n_keep is not None:
                    heard = listener(plan.reducer, prompt, stream, layer - 1, self.decoder.windows[layer - 1])
                n_visual = tuple(len(row) for row in present)
                span = LayerSpan(range(start, layer), stream.index, stream.padded, n_visual, stream.size)
                masks = span_masks(self.decoder, span, span.padded, n_longest, stream.index)
                stream = stream.with_hidden(self.decoder.run(stream, cache, span.layers, masks, heard or tap))
                spans.append(span)
            if plan is not None and n_keep is not None:
                if foreseen is None:
                    seeds = plan.seeds or range(len(present))
                    view = collect(plan.reducer, prompt, stream, present, layer, heard, plan.guide, seeds)
                    reduction = plan.reducer.reduce(view, n_keep)
                else:
                    reduction = foreseen
                stream, present, start = reduction.apply(stream, present), reduction.kept, layer
                heard = foreseen = None
        return stream, tuple(spans), present

    def check_context(self, layouts: Sequence[VisualLayout], sampling: Sampling) -> None:
        """Raise a ValueError if a prompt and its answer are longer than what the model was made for."""
        n_prompt = max(layout.n_tokens for layout in layouts)
        if n_prompt + sampling.max_new_tokens > self.decoder.max_positions:
            raise ValueError(
                f"the prompt has {n_prompt} tokens and the answer may have {sampling.max_new_tokens}, more than the "
                f"{self.decoder.max_positions} that {self.vlm.source} can hold: use fewer or smaller pictures, a shorter question, "
                "a lower --max-tiles or a lower --max-new-tokens"
            )
