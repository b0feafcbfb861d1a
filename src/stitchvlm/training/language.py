"""Training of the language model on packed questions about rendered pictures."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from .answering import answer_logits
from .cache import PictureSet
from .features import FeatureBank
from .grid import Cut
from .grounding import Grounding, Standing
from .guiding import Guide, most_looked_at
from .kinds import kind_of
from .packing import UNSEEN, Batch, Packed, Packer, collate
from .regions import asked_tokens, keep_around, pointed_tokens, token_boxes
from .words import SYSTEM_PROMPTS, THIRDS
from .worlds import FACTS, LINES, SCENES, SPELLED, WHOLE, Asked, Truth, World

_ATTEMPTS = 50
MORE_DROPPED = 4
"""So many times as many pictures are in a batch of which most tokens are dropped."""
MORE_GUIDED = 2
"""So many times as many are in a batch of which a guide says what is kept: each question of theirs has a row of its own."""
GUIDED_KEEP = (0.04, 0.25)
"""The share of visual tokens that all of these keep lies between these two, and small ones are more frequent."""
MOST_LOST = 0.4
"""In half of the pictures whose tokens are dropped, those of the asked text go with a probability of up to this."""


@dataclass(frozen=True)
class Lesson:
    """What a language stage asks. Shares and limits move linearly from the first value to the second over the stage.

    Attributes:
        sets: where its pictures come from; those that a run does not have are passed over.
        tiles: how many views its pictures may have.
        pictures: so many a step, or fewer where all together would have more than `most_tiles` views.
        first_shares, last_shares: of the kinds of questions about scenes.
        document_shares: of those about documents.
        most_things: in a scene.
        dropped_share: of the batches in which most visual tokens are missing. Where `most_tiles` bounds the others these have
            `MORE_DROPPED` times as many pictures.
        guided_share: of these in which a guide says what stays, where there is one, and not what is known of the picture.
        guided_rows, guided_tokens: at most so many questions, and visual tokens that stay for them, are in one of those.
        grounding: the weight of the loss that tells heads where to look, and visual tokens where they lie.
        pointing: whether half of the heads, or one more than the others, hear where each character of an answer is read.
    """

    sets: tuple[str, ...] = ("small",)
    tiles: tuple[int, ...] = (1,)
    pictures: int = 32
    questions: int = 8
    first_shares: dict[str, float] = field(
        default_factory=lambda: {"read": 0.3, "cell": 0.3, "where": 0.2, "list": 0.1, "colour": 0.1}
    )
    last_shares: dict[str, float] = field(
        default_factory=lambda: {"read": 0.7, "where": 0.1, "colour": 0.1, "shape": 0.1}
    )
    most_things: tuple[int, int] = (2, 9)
    dropped_share: float = 0.0
    guided_share: float = 0.0
    guided_rows: int = 32
    guided_tokens: int = 5_000
    grounding: float = 0.5
    document_shares: dict[str, float] = field(default_factory=dict)
    most_tiles: int | None = None
    pointing: bool = False

    @property
    def wants_guide(self) -> bool:
        return self.dropped_share * self.guided_share > 0

    def shares(self, progress: float) -> dict[str, float]:
        kinds = {**self.first_shares, **self.last_shares}
        return {k: (1 - progress) * self.first_shares.get(k, 0) + progress * self.last_shares.get(k, 0) for k in kinds}


@dataclass(frozen=True)
class Exercise:
    """A packed batch, its visual features `[visual tokens, width]`, and per row the picture, what is asked and what is kept."""

    batch: Batch
    features: torch.Tensor
    truths: list[Truth]
    rows: list[Packed]
    asked: list[list[Asked]]
    kept: list[list[int]]
    cut: Cut
    world: World

    @property
    def kinds(self) -> list[list[str]]:
        """Each row's kinds of question."""
        return [[question.kind for question in questions] for questions in self.asked]

    def grounding(self, words: torch.Tensor | None = None, packer: Packer | None = None) -> Grounding:
        """Where heads should look, which only a batch that is learnt from has to say.

        With `words` for the thirds of a picture, `[2, 3]`, also what visual tokens should know of their own place. With a `packer`
        also where each character of an answer is read.
        """
        drawn = list(zip(self.truths, self.asked, self.kept, strict=True))
        places = [asked_tokens(truth, [one.boxes for one in asked], kept, self.cut) for truth, asked, kept in drawn]
        beside = [
            asked_tokens(truth, [self.world.beside(truth, one.boxes) for one in asked], kept, self.cut)
            for truth, asked, kept in drawn
        ]
        standing = None if words is None else Standing(self.thirds().to(words.device), words)
        pointed = None
        if packer is not None:
            pointed = [[self._shown(one, truth, kept, packer) for one in asked] for truth, asked, kept in drawn]
        return Grounding(self.rows, places, self.batch, standing, pointed, beside)

    def _shown(self, question: Asked, truth: Truth, kept: list[int], packer: Packer) -> list[list[int]]:
        """For each token of the answer, and its end, the visual tokens that show what it is read from.

        None if the answer is not spelled or its characters' places are a guess.
        """
        words = question.answer.split()
        spelled = question.kind in SPELLED and " ".join(words) == question.answer and len(words) == len(question.boxes)
        if not words or not spelled or self.world.guessed(truth, question.boxes):
            return []
        shown = pointed_tokens(truth, words, question.boxes, kept, self.cut)
        of_tokens = [shown[first] for first in packer.begins(question.answer)]
        return [*of_tokens, of_tokens[-1]]

    def thirds(self) -> torch.Tensor:
        """`[visual tokens, 2]`: the third of the picture's height and of its width that each present token's centre is in."""
        found = []
        for truth, kept in zip(self.truths, self.kept, strict=True):
            boxes = token_boxes(truth, self.cut)[kept]
            centres = (boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 2 / [truth.height, truth.width]
            found.append(torch.from_numpy((3 * centres).astype(int)))
        return torch.cat(found)


def pictures_by_shape(pictures: PictureSet, views: tuple[int, ...]) -> dict[tuple[int, int, int], list[int]]:
    """Numbers of the set's usable pictures, grouped by their views' number and shape."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for index, where in enumerate(pictures.where):
        if where.views in views and (
            pictures.world is not SCENES or any(thing.text for thing in pictures.truth(index).things)
        ):
            groups[where.shape].append(index)
    return groups


def score_answers(
    logits: torch.Tensor, targets: torch.Tensor, batch: Batch, kinds: list[list[str]]
) -> dict[str, list[bool]]:
    """Kind to a list that tells, for each question, whether every token of its answer comes out right (teacher forced)."""
    rows, _ = (batch.targets != UNSEEN).nonzero(as_tuple=True)
    segments = batch.segments[batch.targets != UNSEEN]
    right = logits.argmax(-1) == targets
    whole: dict[tuple[int, int], bool] = {}
    for row, segment, good in zip(rows.tolist(), segments.tolist(), right.tolist(), strict=True):
        whole[row, segment] = whole.get((row, segment), True) and good
    scores: dict[str, list[bool]] = defaultdict(list)
    for (row, segment), good in whole.items():
        scores[kinds[row][segment - 1]].append(good)
    return scores


class LanguageTrainer:
    """Draws batches for a lesson and computes their loss; step and seed alone decide what a batch holds."""

    def __init__(
        self,
        model: PreTrainedModel,
        packer: Packer,
        sets: dict[str, PictureSet],
        lesson: Lesson,
        seed: str,
        guide: Guide | None = None,
    ) -> None:
        self.model, self.lesson, self._packer, self._seed, self._guide = model, lesson, packer, seed, guide
        self.device = next(model.parameters()).device
        self.bank = FeatureBank(model, self.device)
        self._words = None if kind_of(model).places(model) else torch.tensor(packer.words(THIRDS), device=self.device)
        self._groups: list[tuple[PictureSet, list[int]]] = []
        self._weights: list[float] = []  # the sets share the batches evenly, however many pictures they have
        for name in filter(sets.__contains__, lesson.sets):
            groups = list(pictures_by_shape(sets[name], lesson.tiles).values())
            self._groups += [(sets[name], group) for group in groups]
            self._weights += [len(group) / sum(map(len, groups)) for group in groups]

    def _choose(self, rng: random.Random, progress: float, times: int) -> list[tuple[PictureSet, int]]:
        """Pictures with equal views and not more things than the lesson has reached, `times` as many as usual."""
        low, high = self.lesson.most_things
        limit = low + (high - low) * min(1.0, 2 * progress)
        pictures, group = rng.choices(self._groups, self._weights)[0]
        count, most = self.lesson.pictures, self.lesson.most_tiles
        if most is not None:
            count = max(1, min(count, most // pictures.where[group[0]].views))
        chosen: list[tuple[PictureSet, int]] = []
        while len(chosen) < times * count:
            index = rng.choice(group)
            if pictures.world is not SCENES or len(pictures.truth(index).things) <= limit:
                chosen.append((pictures, index))
        return chosen

    def _ask(
        self, pictures: PictureSet, index: int, count: int, rng: random.Random, progress: float
    ) -> tuple[Truth, str | None, list[Asked]]:
        """A picture's contents, now and then a system prompt, and up to `count` questions."""
        truth, world = pictures.truth(index), pictures.world
        system = rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.15 else None
        shares = self.lesson.shares(progress) if world is SCENES else self.lesson.document_shares
        return truth, system, world.ask(truth, count, shares, rng)

    def _row(
        self, pictures: PictureSet, index: int, asked: Sequence[Asked], kept: Sequence[int], system: str | None
    ) -> Packed:
        where = pictures.where[index]
        return self._packer.pack(asked, kept, where.tokens, system, (where.rows, where.columns))

    def _pack(
        self, pictures: PictureSet, index: int, keep: int | None, rng: random.Random, progress: float
    ) -> tuple[Packed, Truth, list[Asked], list[int]]:
        """One row, the picture's contents, the questions, and the visual tokens: all, or about `keep` around what is asked."""
        truth, system, asked = self._ask(pictures, index, self.lesson.questions, rng, progress)
        kept = list(range(pictures.where[index].tokens))
        if keep is not None:
            together, spots, others = pictures.world.together(asked, truth)
            if not spots:  # all tokens would make this row, and with it the batch, longer than any other
                asked, kept = [], kept[:keep]
            else:
                lost = rng.choice((0.0, rng.uniform(0.0, MOST_LOST)))
                seed = np.random.default_rng(rng.getrandbits(32))
                asked, kept = together, keep_around(truth, spots, keep, seed, lost, pictures.cut, others)
        return self._row(pictures, index, asked, kept, system), truth, asked, kept

    def exercise(self, step: int, progress: float) -> Exercise:
        """What this step learns from: other pictures than the first chosen ones where these allow no question.

        Raises:
            ValueError: if no pictures are found that allow one.
        """
        for attempt in range(_ATTEMPTS):
            found = self._exercise(random.Random(f"{self._seed}-{step}" + f"-{attempt}" * (attempt > 0)), progress)
            if found is not None and any(found.asked):
                return found
        raise ValueError(
            f"none of the pictures of {', '.join(self.lesson.sets)} allows the lesson's kinds of questions"
        )

    def _exercise(self, rng: random.Random, progress: float) -> Exercise | None:
        pruned = rng.random() < self.lesson.dropped_share
        if pruned and self._guide is not None and rng.random() < self.lesson.guided_share:
            return self._guided(self._guide, rng, progress)
        chosen = self._choose(rng, progress, MORE_DROPPED if pruned and self.lesson.most_tiles else 1)
        first, index = chosen[0]
        total = first.where[index].tokens
        fewest = max(10, total // 14)
        keep = rng.randint(fewest, rng.randint(fewest, total // 3)) if pruned else None
        return self._collated(chosen, [self._pack(pictures, index, keep, rng, progress) for pictures, index in chosen])

    def _guided(self, guide: Guide, rng: random.Random, progress: float) -> Exercise | None:
        """A row for every question, with the visual tokens that the guide looked at most when it answered that.

        Kinds of questions that only the whole picture answers are left out, as where tokens are missing otherwise; None where
        no others are left.
        """
        lesson = self.lesson
        chosen = self._choose(rng, progress, MORE_GUIDED if lesson.most_tiles else 1)
        first, index = chosen[0]
        total = first.where[index].tokens
        keep = max(1, round(math.exp(rng.uniform(*map(math.log, GUIDED_KEEP))) * total))
        each = max(1, min(lesson.guided_rows, lesson.guided_tokens // keep) // len(chosen))
        found = []
        for picture in chosen:
            truth, system, asked = self._ask(*picture, 2 * each, rng, progress)
            if local := [question for question in asked if question.kind not in WHOLE][:each]:
                found.append((picture, truth, system, local))
        if not found:
            return None
        maps = guide.looks(
            [picture for picture, *_ in found],
            [self._row(*picture, asked, range(total), system) for picture, _, system, asked in found],
        )
        shown, drawn = [], []
        for (picture, truth, system, asked), looks in zip(found, maps, strict=True):
            for question, scores in zip(asked, looks, strict=True):
                kept = most_looked_at(scores, keep)
                shown.append(picture)
                drawn.append((self._row(*picture, [question], kept, system), truth, [question], kept))
        return self._collated(shown, drawn)

    def _collated(
        self, chosen: list[tuple[PictureSet, int]], drawn: list[tuple[Packed, Truth, list[Asked], list[int]]]
    ) -> Exercise:
        """The batch of rows, each with its picture."""
        first, _ = chosen[0]
        rows, truths, asked, kept = (list(column) for column in zip(*drawn, strict=True))
        features = self.bank.features(chosen)
        present = torch.cat(
            [features[k, torch.tensor(tokens, device=features.device)] for k, tokens in enumerate(kept)]
        )
        return Exercise(collate(rows, self.device), present, truths, rows, asked, kept, first.cut, first.world)

    def loss_at(self, step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss, and of its two parts "answers" is the answers' cross-entropy and "beside" that of the grounding."""
        given = self.exercise(step, progress)
        grounding = given.grounding(self._words, self._packer if self.lesson.pointing else None)
        logits, targets = answer_logits(self.model, given.batch, given.features, grounding)
        scores = score_answers(logits.detach(), targets, given.batch, given.kinds)
        reading = scores.get("read", []) + scores.get("price", [])
        answers, beside = F.cross_entropy(logits, targets), grounding.loss()
        figures = {"answers": answers.item(), "beside": beside.item(), "reads": sum(reading) / max(1, len(reading))}
        figures |= {kind: sum(v) / len(v) for kind, v in scores.items() if kind in ("where", "colour", "cell", "bind")}
        facts = [right for kind, v in scores.items() if kind in FACTS for right in v]
        lines = [right for kind, v in scores.items() if kind in LINES for right in v]
        figures |= {name: sum(v) / len(v) for name, v in (("facts", facts), ("lines", lines)) if v}
        loss = answers + self.lesson.grounding * beside
        if grounding.astray is not None:
            figures["astray"] = grounding.astray.item()
            loss = loss + self.lesson.grounding * grounding.astray
        return loss, figures

    @torch.no_grad()
    def figures(self, batches: int) -> dict[str, float]:
        """Exact-match shares by kind over the first batches, whole answers only."""
        totals: dict[str, list[bool]] = defaultdict(list)
        for step in range(batches):
            given = self.exercise(step, 1.0)
            answers = answer_logits(self.model, given.batch, given.features)
            for kind, scores in score_answers(*answers, given.batch, given.kinds).items():
                totals[kind] += scores
        return {kind: sum(scores) / len(scores) for kind, scores in totals.items()}
