"""How the next token is chosen: transformers' own generation config, logits processors and stopping criteria."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.generation import MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor
from transformers.generation.streamers import BaseStreamer

from stitchvlm.families.base import VLM, Prompt
from stitchvlm.records import Question
from stitchvlm.shapes import Float, Int


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
    """Chooses token after token for a batch whose rows may be at different places of their answers.

    The order of work is that of ``generate``: processors see ids and float32 logits, and rows that are as far as each other go
    through them together. Nothing is drawn for a row that has ended.

    Args:
        score: also work out how likely each chosen token was.
        keep_logits: also keep the raw logits that each token was chosen from.

    Attributes:
        running: per row whether its answer goes on.
        answers: per row the tokens chosen so far, end token included.
        log_probabilities: per row the natural log of the chosen tokens' probabilities under the raw logits at temperature 1,
            float64; empty unless asked for. Penalties, top-k and temperature do not count; only the minimum-length mask of the
            end token does. Otherwise a checkpoint whose defaults are near-greedy would seem certain of everything.
    """

    def __init__(self, vlm: VLM, prompt: Prompt, sampling: Sampling, score: bool = False, keep_logits: bool = False):
        n_rows, n_prompt = prompt.token_ids.shape
        device = prompt.token_ids.device
        config = _generation_config(vlm, sampling, n_prompt, device)
        padding = config.pad_token_id if config.pad_token_id is not None else (vlm.stop_ids or (0,))[0]
        answer = prompt.token_ids.new_full((n_rows, sampling.max_new_tokens), padding)
        self._ids = torch.cat([prompt.token_ids, answer], dim=1)
        self._n_prompt, self._padding, self._score, self._keep_logits = n_prompt, padding, score, keep_logits
        self._max_new_tokens = sampling.max_new_tokens
        self._sample = config.do_sample
        self._processors = vlm.model._get_logits_processor(
            config, input_ids_seq_length=n_prompt, encoder_input_ids=prompt.token_ids, device=device
        )
        length_masks = (MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor)
        self._length_mask = LogitsProcessorList(p for p in self._processors if isinstance(p, length_masks))
        self._criteria = vlm.model._get_stopping_criteria(config, StoppingCriteriaList(), tokenizer=vlm.tokenizer)
        self._generator = torch.Generator(device).manual_seed(sampling.seed)
        self.running = [True] * n_rows
        self.answers: list[list[int]] = [[] for _ in range(n_rows)]
        self.log_probabilities: list[list[float]] = [[] for _ in range(n_rows)]
        self._kept_logits: list[list[Tensor]] = [[] for _ in range(n_rows)]

    @property
    def done(self) -> bool:
        """Whether every row has ended."""
        return not any(self.running)

    @property
    def logits(self) -> Float[Tensor, "batch steps vocabulary"]:
        """The raw logits that were kept; zeros behind the end of a row."""
        return torch.nn.utils.rnn.pad_sequence([torch.stack(row) for row in self._kept_logits], batch_first=True)

    def limit(self, proposed: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Proposals without those tokens that could not be followed by another one, and without those for rows that have ended."""
        rows = zip(proposed, self.answers, self.running, strict=True)
        return [row[: self._max_new_tokens - len(answer) - 1] if goes_on else () for row, answer, goes_on in rows]

    def verify(
        self,
        logits: Float[Tensor, "batch width vocabulary"],
        proposed: Sequence[Sequence[int]],
        streamer: BaseStreamer | None = None,
    ) -> list[int]:
        """Choose tokens as long as they are those that were proposed, and one more; per row how many of the proposed ones stand.

        Args:
            logits: of what follows the last token and each proposed one, every row ending at the last column.
        """
        n_accepted, rows = [0] * len(proposed), [row for row, goes_on in enumerate(self.running) if goes_on]
        for place in range(logits.shape[1]):
            columns = [min(place - len(row), 0) - 1 for row in proposed]
            tokens = self.pick(logits[range(len(proposed)), columns], rows)
            if streamer is not None:
                streamer.put(tokens.cpu())
            rows = [row for row in rows if self.answers[row][-1:] == list(proposed[row][place : place + 1])]
            for row in rows:
                n_accepted[row] += 1
            rows = [row for row in rows if self.running[row]]
            if not rows:
                break
        return n_accepted

    def pick(
        self, logits: Float[Tensor, "batch vocabulary"], rows: Sequence[int] | None = None
    ) -> Int[Tensor, " batch"]:
        """The next token of the running rows, or of those of them that are named; padding in the other places."""
        rows = [row for row in (range(len(self.running)) if rows is None else rows) if self.running[row]]
        chosen = self._ids.new_full((len(self.running),), self._padding)
        logits = logits.to(self._ids.device)
        n_answered = {row: len(self.answers[row]) for row in rows}
        for n in sorted(set(n_answered.values())):
            alike = [row for row in rows if n_answered[row] == n]
            chosen[alike] = self._pick_alike(logits, alike, self._n_prompt + n)
        return chosen

    def _pick_alike(self, logits: Tensor, rows: list[int], n_ids: int) -> Int[Tensor, " _n_rows"]:
        """The next token of rows that are ``n_ids`` long. Processors may be made for the whole batch, so they see all of it."""
        ids = self._ids[:, :n_ids]
        raw = self._length_mask(ids, logits) if self._length_mask else logits
        scores = self._processors(ids, logits)
        if self._sample:
            tokens = torch.multinomial(scores.softmax(-1), 1, generator=self._generator).squeeze(1)
        else:
            tokens = scores.argmax(-1)
        self._ids[rows, n_ids] = tokens[rows]
        told = [tokens.double(), self._criteria(self._ids[:, : n_ids + 1], None).double()]
        if self._score:
            told.append(raw.double().log_softmax(-1).gather(1, tokens[:, None]).squeeze(1))
        columns = torch.stack(told).tolist()  # asks the device once
        for row in rows:
            self.answers[row].append(int(columns[0][row]))
            if self._keep_logits:
                self._kept_logits[row].append(logits[row])
            self.running[row] = not columns[1][row]
            if self._score:
                self.log_probabilities[row].append(columns[2][row])
        return tokens[rows]


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
