"""How the next token is chosen: transformers' own generation config, logits processors and stopping criteria."""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.generation import MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor

from stitchvlm.families.base import VLM, Prompt
from stitchvlm.records import Question
from stitchvlm.shapes import Bool, Float, Int


@dataclass(frozen=True)
class Sampling:
    """How an answer is generated. Whatever is not named here comes from the checkpoint's generation config.

    Attributes:
        max_new_tokens: most tokens an answer may have.
        min_new_tokens: the end token is forbidden before that many; None takes the checkpoint's own.
        temperature: 0 takes the likeliest token, more samples.
        seed: of the sampler and of methods that draw random numbers.
    """

    max_new_tokens: int = 64
    min_new_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.temperature != 0 and not 0.01 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be 0 for the likeliest token, or at least 0.01, not {self.temperature}")


def question_seed(seed: int, question: Question) -> int:
    """A seed of the question's own, so that random methods keep other tokens for every question, in whatever batch."""
    mark = zlib.crc32(repr((seed, question.text, question.messages is None)).encode())
    for image in question.images:
        mark = zlib.crc32(image.tobytes(), mark)
    return mark


class TokenPicker:
    """Chooses token after token for one batch and knows when every row has ended.

    The order of work is that of ``generate``: processors see ids and float32 logits, a row that has ended receives padding.

    Attributes:
        log_probabilities: natural log of the chosen tokens' probabilities under the raw logits at temperature 1, one
            column per step, float64. Penalties, top-k and temperature do not count; only the minimum-length mask of the
            end token does. Otherwise a checkpoint whose defaults are near-greedy would seem certain of everything.
    """

    def __init__(self, vlm: VLM, prompt: Prompt, sampling: Sampling):
        n_prompt = prompt.token_ids.shape[1]
        config = _generation_config(vlm, sampling, n_prompt, prompt.token_ids.device)
        self.max_new_tokens = sampling.max_new_tokens
        self._ids = prompt.token_ids
        self._n_prompt = n_prompt
        self._padding = config.pad_token_id if config.pad_token_id is not None else (vlm.stop_ids or (0,))[0]
        self._sample = config.do_sample
        self._processors = vlm.model._get_logits_processor(
            config, input_ids_seq_length=n_prompt, encoder_input_ids=prompt.token_ids, device=prompt.token_ids.device
        )
        length_masks = (MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor)
        self._length_mask = LogitsProcessorList(p for p in self._processors if isinstance(p, length_masks))
        self._criteria = vlm.model._get_stopping_criteria(config, StoppingCriteriaList(), tokenizer=vlm.tokenizer)
        self._stops_at_end_token = config.eos_token_id is not None
        self._generator = torch.Generator(prompt.token_ids.device).manual_seed(sampling.seed)
        self._running: Bool[Tensor, " batch"] = torch.ones(
            len(prompt.layouts), dtype=torch.bool, device=self._ids.device
        )
        self._alive: list[Bool[Tensor, " batch"]] = []
        self.log_probabilities: list[Float[Tensor, " batch"]] = []

    def pick(self, logits: Float[Tensor, "batch vocabulary"]) -> Int[Tensor, " batch"]:
        """The next token of every row."""
        logits = logits.to(self._ids.device)
        raw = self._length_mask(self._ids, logits) if self._length_mask else logits
        scores = self._processors(self._ids, logits)
        if self._sample:
            tokens = torch.multinomial(scores.softmax(-1), 1, generator=self._generator).squeeze(1)
        else:
            tokens = scores.argmax(-1)
        if self._stops_at_end_token:
            tokens = tokens.where(self._running, self._padding)
        chosen = raw.double().log_softmax(-1).gather(1, tokens[:, None]).squeeze(1)
        self.log_probabilities.append(chosen)
        self._alive.append(self._running)
        self._ids = torch.cat([self._ids, tokens[:, None]], dim=1)
        self._running = self._running & ~self._criteria(self._ids, None)
        return tokens

    @property
    def done(self) -> bool:
        """Whether every row has ended; asks the device once."""
        return not bool(self._running.any())

    def results(self) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Per row the generated tokens, end token included, and their log probabilities."""
        tokens = self._ids[:, self._n_prompt :].tolist()
        lengths = torch.stack(self._alive, dim=1).sum(1).tolist()
        logs = torch.stack(self.log_probabilities, dim=1).tolist()
        return [(tuple(t[:n]), tuple(p[:n])) for t, p, n in zip(tokens, logs, lengths, strict=True)]


def _generation_config(vlm: VLM, sampling: Sampling, n_prompt: int, device: torch.device) -> GenerationConfig:
    """The checkpoint's generation config with the caller's wishes, made ready as ``generate`` makes it."""
    wishes: dict = {"max_new_tokens": sampling.max_new_tokens, "do_sample": sampling.temperature > 0}
    if sampling.temperature > 0:
        wishes["temperature"] = sampling.temperature
    if sampling.min_new_tokens is not None:
        wishes["min_new_tokens"] = sampling.min_new_tokens
    if vlm.stop_ids:
        wishes["eos_token_id"] = list(vlm.stop_ids)
    config, _ = vlm.model._prepare_generation_config(None, **wishes)
    config.max_length = n_prompt + sampling.max_new_tokens
    if config.min_new_tokens is not None:
        config.min_length = n_prompt + config.min_new_tokens
    vlm.model._prepare_special_tokens(config, True, device=device)
    return config
