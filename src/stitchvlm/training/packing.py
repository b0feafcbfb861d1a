"""Many questions behind one picture, in one sequence, exactly as if each had been asked alone.

The prompt up to the end of the picture is stored once. Every question (with its answer) follows it, sees the picture and
itself but no other question, and starts at the same position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerFast

from .worlds import Asked

UNSEEN = -100
LENGTH_STEP = 64


Places = list[int] | list[tuple[int, int, int]]
"""Positions of a sequence's tokens: along a line, or in time, height and width."""


@dataclass(frozen=True)
class Chat:
    """How a picture stands in a prompt: what comes before it, the token in its place, and what comes after.

    `on_grid` says that visual tokens have positions in rows and columns, and text goes on behind the largest of them.
    """

    before: str
    token: str
    after: str
    on_grid: bool = False

    def positions(self, start: int, total: int, grid: tuple[int, int] | None) -> tuple[Places, int]:
        """Those of a picture's visual tokens, and that of the text behind it."""
        if not self.on_grid:
            return list(range(start, start + total)), start + total
        rows, columns = grid or (1, total)
        return [(start, start + r, start + c) for r in range(rows) for c in range(columns)], start + max(rows, columns)

    def line(self, start: int, end: int) -> Places:
        """Positions of text."""
        return [(k, k, k) for k in range(start, end)] if self.on_grid else list(range(start, end))


INTERNVL_CHAT = Chat(before="<img>", token="<IMG_CONTEXT>", after="</img>\n")


@dataclass(frozen=True)
class Packed:
    """One picture's sequence. `visual` is the slice that the visual features fill.

    `asked` lists, for each question, the places from its last token on: whoever stands there has read all of it.
    """

    tokens: list[int]
    positions: Places
    segments: list[int]
    targets: list[int]
    visual: slice
    asked: list[range]


@dataclass(frozen=True)
class Batch:
    """Packed sequences padded on the right; all `[batch, length]`.

    Positions in time, height and width are `[3, batch, length]`. Segments are 0 for the picture, from 1 on for questions and -1
    for padding.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor
    targets: torch.Tensor
    visual: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """Which places each place sees, `[batch, 1, length, length]`."""
        return packed_mask(self.segments)


class Packer:
    """Writes packed sequences in a model's chat format."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, chat: Chat = INTERNVL_CHAT) -> None:
        self._tokenizer, self._chat = tokenizer, chat
        self._image = tokenizer.convert_tokens_to_ids(chat.token)
        self._encode = lru_cache(maxsize=100_000)(self._encode_text)

    def _encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def begins(self, text: str) -> list[int]:
        """The number of the first character of each of the text's tokens."""
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return [first for first, _ in encoded.offset_mapping]

    def words(self, names: Sequence[Sequence[str]]) -> list[list[int]]:
        """Ids of the words that an answer is made of, each of which is one token; all but those of the first row follow a space."""
        return [[self._encode(f"{' ' * (k > 0)}{name}")[0] for name in row] for k, row in enumerate(names)]

    def pack(
        self,
        questions: Sequence[Asked],
        kept: Sequence[int],
        total: int,
        system: str | None = None,
        grid: tuple[int, int] | None = None,
    ) -> Packed:
        """One row for a picture of `total` visual tokens of which those numbered `kept` are present, in order.

        `grid` has its rows and columns, where positions go by them.
        They keep the positions that they have when all are present, so a pruned picture leaves gaps in the positions.
        """
        chat = self._chat
        opening = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
        before = list(self._encode(f"{opening}<|im_start|>user\n{chat.before}"))
        after = list(self._encode(chat.after))
        start = len(before)
        of_picture, behind = chat.positions(start, total, grid)
        origin = behind + len(after)
        tokens = before + [self._image] * len(kept) + after
        positions: list = [*chat.line(0, start), *(of_picture[k] for k in kept), *chat.line(behind, origin)]
        segments, targets = [0] * len(tokens), [UNSEEN] * len(tokens)
        asked = []
        for number, question in enumerate(questions, start=1):
            prompt = self._encode(f"{question.text}<|im_end|>\n<|im_start|>assistant\n")
            answer = self._encode(f"{question.answer}<|im_end|>")
            length = len(prompt) + len(answer) - 1
            asked.append(range(len(tokens) + len(self._encode(question.text)) - 1, len(tokens) + length))
            tokens += (prompt + answer)[:-1]
            targets += [UNSEEN] * (len(prompt) - 1) + list(answer)
            positions += chat.line(origin, origin + length)
            segments += [number] * length
        return Packed(tokens, positions, segments, targets, slice(start, start + len(kept)), asked)


def collate(rows: list[Packed], device: torch.device) -> Batch:
    """Pad to the longest row, rounded up; padded places see only themselves and are seen by nobody.

    Every new length costs a CPU time to prepare its kernels, so only few lengths occur.
    """
    length = -(-max(len(row.tokens) for row in rows) // LENGTH_STEP) * LENGTH_STEP

    def padded(values: list[list], fill: object) -> torch.Tensor:
        return torch.tensor([row + [fill] * (length - len(row)) for row in values], device=device)

    segments = padded([row.segments for row in rows], -1)
    positions = padded([row.positions for row in rows], (0, 0, 0) if isinstance(rows[0].positions[0], tuple) else 0)
    visual = torch.zeros(segments.shape, dtype=torch.bool)
    for k, row in enumerate(rows):
        visual[k, row.visual] = True
    return Batch(
        tokens=padded([row.tokens for row in rows], 0),
        positions=positions.movedim(-1, 0) if positions.dim() == 3 else positions,
        segments=segments,
        targets=padded([row.targets for row in rows], UNSEEN),
        visual=visual.to(device),
    )


def packed_mask(segments: torch.Tensor) -> torch.Tensor:
    """Causal; everyone sees segment 0 (the picture), and otherwise only its own segment."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    keys, queries = segments[:, None, :], segments[:, :, None]
    visible = ((keys == 0) | (keys == queries)) & (keys >= 0) & causal
    return (visible | torch.eye(length, dtype=torch.bool, device=segments.device))[:, None]
