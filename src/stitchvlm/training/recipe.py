"""What a recipe is: which pictures are drawn, what they are known by, and which stages each model goes through."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from .architecture import Size
from .grid import TILES, Cut
from .labels import SCENE_LABELS, Labels
from .language import Lesson
from .loop import Budget
from .tokenizer import SCENE_SPEECH, Speech
from .worlds import Receipts, Shown


@dataclass(frozen=True)
class Pictures:
    """A rendered set: its style, how many pictures, the seed it is drawn from, and how they become visual tokens."""

    style: Shown
    count: int
    seed: int
    cut: Cut = TILES

    @property
    def late(self) -> bool:
        """Whether it is drawn when a stage first shows it, since a tower may have to say before what stands where."""
        return isinstance(self.style, Receipts)


@dataclass(frozen=True)
class Stage:
    """One stage of one model. Without a lesson it is the dense pretraining of the tower.

    Attributes:
        text_mlp: width of the language model's MLPs in a stage that comes before they are widened.
        tiles_a_step: so many views a step in the tower's stage, each as large as a tile of the embedded pair (64 visual tokens).
        sets: which the tower learns from, each as often as it stands here; those that a run does not have are passed over.
        checks: sets that the tower is measured on.
        tries: each view that the tower learns from is the one with most text of so many.
        least_points: of characters on fewer points the tower hears nothing in this stage.
        places: whether the tower, before it goes on, says where the characters of real receipts stand (`placing`).
    """

    name: str
    budget: Budget
    lesson: Lesson | None = None
    text_mlp: int | None = None
    tiles_a_step: int = 48
    sets: tuple[str, ...] = ("page", "small", "page", "wide")
    checks: tuple[str, ...] = ("small-check", "wide-check")
    places: bool = False
    tries: int = 3
    least_points: int = 1

    @property
    def shown(self) -> tuple[str, ...]:
        """All sets that it learns from or is measured on."""
        if self.lesson is None:
            return self.sets + self.checks
        return self.lesson.sets + tuple(f"{name}-check" for name in self.lesson.sets)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, but for the seed and the fonts.

    Attributes:
        sizes: of each model that is trained.
        kind: one of `kinds.KINDS`.
        labels: what the tower is to know of each visual token.
        speech: what the tokenizer is learned from.
    """

    pictures: dict[str, Pictures]
    stages: dict[str, tuple[Stage, ...]]
    sizes: dict[str, Size]
    kind: str = "internvl"
    labels: Labels = SCENE_LABELS
    speech: Speech = SCENE_SPEECH


def adapt(recipe: Recipe, scale: int = 1, pace: float = 1.0, pictures: float = 1.0) -> Recipe:
    """The recipe with `scale` times as many pictures and tiles a step, `pace` times as long budgets, and `pictures` times as
    many pictures to learn from.

    Raises:
        ValueError: if one of them is not positive.
    """

    def adapted(stage: Stage) -> Stage:
        minutes, steps = (length and pace * length for length in (stage.budget.minutes, stage.budget.steps))
        budget = replace(stage.budget, minutes=minutes, steps=steps and math.ceil(steps))
        lesson = stage.lesson
        if lesson is not None:
            most = lesson.most_tiles and scale * lesson.most_tiles
            rows, tokens = scale * lesson.guided_rows, scale * lesson.guided_tokens
            lesson = replace(
                lesson, pictures=scale * lesson.pictures, most_tiles=most, guided_rows=rows, guided_tokens=tokens
            )
        return replace(stage, budget=budget, lesson=lesson, tiles_a_step=scale * stage.tiles_a_step)

    def more(name: str, own: Pictures) -> Pictures:
        return own if name.endswith("-check") else replace(own, count=math.ceil(pictures * own.count))

    if scale < 1 or not 0 < pace < math.inf or not 0 < pictures < math.inf:
        raise ValueError(f"scale, pace and pictures must be positive, not {scale}, {pace} and {pictures}")
    return replace(
        recipe,
        stages={which: tuple(map(adapted, stages)) for which, stages in recipe.stages.items()},
        pictures={name: more(name, own) for name, own in recipe.pictures.items()},
    )


def with_receipts(recipe: Recipe, folder: str | Path | None) -> Recipe:
    """The recipe with real receipts from that folder; without a folder, without the sets that show them.

    Raises:
        ValueError: if a folder is named that is none of receipts, or the recipe has no use for it.
    """
    real = {name for name, pictures in recipe.pictures.items() if isinstance(pictures.style, Receipts)}
    if folder is not None and not real:
        raise ValueError("this recipe shows no receipts: leave the folder of receipts out, or choose another recipe")
    if folder is not None and not (Path(folder) / "train.jsonl").is_file():
        raise ValueError(f"{folder} has no train.jsonl: name a folder of receipts, or none")
    pictures = {
        name: replace(own, style=replace(own.style, folder=str(folder))) if isinstance(own.style, Receipts) else own
        for name, own in recipe.pictures.items()
        if folder is not None or name not in real
    }
    return replace(recipe, pictures=pictures)
