"""The front door: load a pair of models and ask them about pictures."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from stitchvlm.cascade import Cascade
from stitchvlm.defaults import default_exit, fill_pair, within
from stitchvlm.engine import Engine
from stitchvlm.exits import ExitPolicy, parse_exit
from stitchvlm.exits.bound import sampling_in_use, way_in_use
from stitchvlm.families import (
    check_checkpoint,
    check_device_map,
    check_quantizable,
    load_vlm,
    text_layers,
    usable_device,
)
from stitchvlm.families.dtypes import parse_dtype
from stitchvlm.guide import FirstQuery, GuidePass
from stitchvlm.methods import LargeAlone, Method, TokenReducer, make_method
from stitchvlm.questions import make_question
from stitchvlm.records import Answer, Question
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule, parse_keep, spell_keep
from stitchvlm.timing import Stopwatch


class Stitch:
    """A large vision-language model that a small one guides, and spares where it can.

    Build it with :meth:`from_pretrained`, then call it::

        vlm = Stitch.from_pretrained(small="OpenGVLab/InternVL3-1B-hf", large="OpenGVLab/InternVL3-38B-hf", keep=0.09, exit=0.9)
        answer = vlm("What is written on the bag?", image="bag.jpg")
        print(answer.text, answer.answered_by)
    """

    def __init__(self, cascade: Cascade, sampling: Sampling, trace: bool = False):
        self.cascade = cascade
        self.sampling = sampling
        self._trace = trace

    @classmethod
    def from_pretrained(
        cls,
        small: str | None = None,
        large: str | None = None,
        *,
        keep: float | str = 0.09,
        layer: int | None = None,
        method: str | Method | None = "guided",
        exit: float | str | ExitPolicy | None = None,
        device: str | None = None,
        small_device: str | None = None,
        device_map: str | dict | None = None,
        dtype: torch.dtype | str | None = None,
        quantize: str | None = None,
        lazy_large: bool = False,
        guide_tokens: int | None = None,
        first_query: FirstQuery = "text",
        max_tiles: int | None = None,
        sampling: Sampling | None = None,
        score_drafts: bool = False,
        reuse_drafts: bool = True,
        speculate: int = 0,
        cuda_graphs: bool = True,
        trace: bool = False,
    ) -> "Stitch":
        """Load both models; without ``small`` and ``large`` the embedded pair.

        Args:
            small: hub id or folder of the guide; may be left out where only the large model is asked.
            large: hub id or folder of the model that answers; may be left out where only the small one is asked.
            keep: the share of visual tokens that stays, averaged over the large model's layers; with ``layer`` given, the
                share that stays from that layer on. ``"mass=0.95"`` keeps as many as hold that share of the guide map.
            layer: decoder layer (from 0) before which tokens leave.
            method: name of a method, or a method object with options of its own; None is the large model alone.
            exit: a threshold in [0, 1], ``"never"``, ``"always"``, a file of ``stitch calibrate`` or a policy. None takes the
                embedded pair's own with the settings that it was fitted for (the defaults), and ``"never"`` otherwise.
            device: where the large model runs; None takes CUDA if there is any.
            small_device: where the small one runs; None takes ``device``.
            device_map: accelerate's placement for the large model, instead of ``device``: ``"auto"`` or another of its ways, or a
                dictionary that gives every module a device or ``"disk"``.
            dtype: such as ``torch.bfloat16`` or ``"bfloat16"``; None takes the checkpoints' own.
            quantize: ``"int8"`` or ``"int4"`` for the large model's decoder layers in fewer bits, by bitsandbytes; the small model
                and vision encoders stay as they are. In int8 products round by what else is in the same pass, so that an answer may
                differ where a draft was reused or other questions were in the batch.
            lazy_large: load the large model only when it is first needed.
            guide_tokens: limit for the draft, below that of the answer.
            first_query: where the prompt rows of the guide map begin.
            max_tiles: most tiles per picture; of a picture that the model does not cut, 256 visual tokens count as one.
            sampling: how answers are generated; None takes at most 64 tokens, greedily.
            score_drafts: compute the exit scores of every draft, also where the policy never exits.
            reuse_drafts: let the large model verify the small one's draft in its prefill and go on from where it disagrees. Greedy
                answers are the same, token for token; where sums are rounded (bf16, fp16) near-ties may fall the other way.
            speculate: how many tokens the small model guesses after each round of the large one, for long answers; 0 for none.
            cuda_graphs: on a GPU, replay the small model's decoding steps as CUDA graphs. Drafts are the same, sooner.
            trace: wait for the device between stages, so that the seconds of each are exact.

        Raises:
            ValueError: if a setting or a checkpoint cannot be used; the message names it and the way out.
        """
        reducer = LargeAlone() if method is None else make_method(method) if isinstance(method, str) else method
        if exit is None:
            exit = default_exit(embedded=small is None and large is None)
        policy = exit if isinstance(exit, ExitPolicy) else parse_exit(exit)
        small, large = fill_pair(small, large, reducer, policy, "--speculate 0" if speculate else "")
        if max_tiles is not None and max_tiles < 1:
            raise ValueError(f"max_tiles must be at least 1, not {max_tiles}")
        if guide_tokens is not None and guide_tokens < 1:
            raise ValueError(f"guide_tokens must be at least 1, not {guide_tokens}")
        if guide_tokens is not None and not reducer.asks_large:
            raise ValueError(
                f"guide_tokens cuts drafts short, and with {reducer.name} they are the answers: leave it out"
            )
        if speculate < 0:
            raise ValueError(f"speculate must be a number of tokens, or 0 for none, not {speculate}")
        if speculate and not reducer.asks_large:
            raise ValueError(
                f"speculate lets the small model guess for the large one, which {reducer.name} never asks: leave it out"
            )
        schedule = reducer.scheduler(parse_keep(keep), layer)
        dtype, sampling = parse_dtype(dtype), sampling or Sampling()
        if device_map is None:
            usable_device(device)
        else:
            check_device_map(device_map)
        depth = text_layers(check_checkpoint(large, reducer))
        check_steps(reducer, schedule(depth), depth)
        check_checkpoint(small)
        check_quantizable(large, quantize, device, device_map)
        way = partial(way_in_use, small, large, reducer, spell_keep(keep), layer, max_tiles)
        policy = within(policy, lambda: way(dtype, guide_tokens, first_query, quantize) | sampling_in_use(sampling))
        small_engine = cache(lambda: Engine(load_vlm(small, dtype, small_device or device)))
        large_engine = cache(lambda: Engine(load_vlm(large, dtype, device, device_map, quantize)))
        cascade = Cascade(
            small_engine,
            large_engine,
            policy,
            reducer,
            schedule,
            guide_tokens=guide_tokens,
            first_query=first_query,
            max_tiles=max_tiles,
            score_drafts=score_drafts,
            reuse_drafts=reuse_drafts,
            speculate=speculate,
            cuda_graphs=cuda_graphs,
        )
        if cascade.needs_small:
            small_engine()
        if not lazy_large and reducer.asks_large:
            large_engine()
        return cls(cascade, sampling, trace)

    def __call__(
        self,
        question: str | None = None,
        image: Any = None,
        *,
        system: str | None = None,
        messages: Sequence[dict[str, Any]] | None = None,
        sampling: Sampling | None = None,
        streamer: BaseStreamer | None = None,
    ) -> Answer:
        """Answer one question.

        Args:
            question: the text; use ``messages`` instead for a whole chat.
            image: a path, PIL image or array, or a list of them; None asks without a picture.
            system: a system message in place of the checkpoint's own.
            messages: a chat in transformers' form, pictures as ``{"type": "image", "image": …}``.

        Raises:
            ValueError: if the question or a picture cannot be used.
        """
        asked = make_question(question, image, system, messages)
        return self.answer([asked], sampling, streamer)[0]

    def answer(
        self, questions: Sequence[Question], sampling: Sampling | None = None, streamer: BaseStreamer | None = None
    ) -> list[Answer]:
        """Answer a batch of questions made by :func:`make_question`.

        Raises:
            ValueError: if the exit was fitted for answers that are sampled otherwise.
        """
        if not questions:
            return []
        sampling = sampling or self.sampling
        policy = within(self.cascade.exit, lambda: sampling_in_use(sampling))
        return replace(self.cascade, exit=policy).answer(questions, sampling, streamer, Stopwatch(self._trace))

    @property
    def exit(self) -> ExitPolicy:
        """The exit in use."""
        return self.cascade.exit

    def guide(self, image: Any, question: str, system: str | None = None) -> GuidePass:
        """The small model's pass alone: its draft and guide map, for use with another engine.

        Returns:
            a pass whose ``drafts[0].guide.scores`` holds one importance per visual token and ``drafts[0].text`` the draft.
        """
        return self.cascade.look([make_question(question, image, system)], self.sampling, Stopwatch(self._trace))


def check_steps(method: Method, schedule: Schedule, n_layers: int) -> None:
    """Raise a ValueError if a model of so many layers cannot be run so by this method."""
    for layer, _ in schedule.resolve(n_layers, 1):
        if isinstance(method, TokenReducer):
            method.check_layer(layer)
