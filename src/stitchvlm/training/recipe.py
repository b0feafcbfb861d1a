"""Recipes: which pictures are drawn and which stages each model of the pair goes through."""

import math
from dataclasses import dataclass, replace

from .generator import Style
from .grid import MOST_TOKENS, TILES, TOKENS_PER_TILE, Cut, Whole
from .language import Lesson
from .loop import Budget


@dataclass(frozen=True)
class Pictures:
    """A rendered set: its style, how many pictures, the seed it is drawn from, and how they become visual tokens."""

    style: Style
    count: int
    seed: int
    cut: Cut = TILES


@dataclass(frozen=True)
class Stage:
    """One stage of one model. Without a lesson it is the dense pretraining of the tower.

    `text_mlp` is the width of the language model's MLPs in a stage that comes before they are widened.
    """

    name: str
    budget: Budget
    lesson: Lesson | None = None
    text_mlp: int | None = None
    tiles_a_step: int = 48


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, but for the seed and the fonts. `kind` is one of `kinds.KINDS`."""

    pictures: dict[str, Pictures]
    stages: dict[str, tuple[Stage, ...]]
    kind: str = "internvl"


FIND = {"bind": 0.7, "where": 0.3}
READ = {"bind": 0.1, "read": 0.5, "cell": 0.05, "where": 0.12, "colour": 0.13, "shape": 0.1}
NAMES = {"bind": 0.06, "read": 0.5, "where": 0.06, "colour": 0.18, "shape": 0.2}
LAST = {"bind": 0.04, "read": 0.56, "cell": 0.02, "where": 0.12, "colour": 0.15, "shape": 0.11}
SETTLED = {"read": 0.72, "where": 0.08, "colour": 0.12, "shape": 0.08}

_PICTURES = {
    "page": Pictures(Style(kinds=("page",)), 6_000, 1),
    "small": Pictures(Style(small=True), 40_000, 1),
    "wide": Pictures(Style(), 16_000, 1),
    "small-check": Pictures(Style(small=True), 250, 2),
    "wide-check": Pictures(Style(), 500, 2),
}
_WHOLE_PICTURES = {
    "page": Pictures(Style(kinds=("page",), small=True), 16_000, 3, Whole(TOKENS_PER_TILE)),
    "small": Pictures(Style(small=True), 40_000, 3, Whole(TOKENS_PER_TILE)),
    "wide": Pictures(Style(), 12_000, 3, Whole(MOST_TOKENS)),
    "small-check": Pictures(Style(small=True), 250, 2, Whole(TOKENS_PER_TILE)),
    "wide-check": Pictures(Style(), 500, 2, Whole(MOST_TOKENS)),
}
"""Small pictures are made as small as a tile, so that most of what is learnt costs little."""
_WIDE_TILES = (1, 3, 4, 5)


def _tower(minutes: float | None = None, steps: int | None = None) -> Stage:
    return Stage("tower", Budget(steps, minutes, peak_rate=2e-3, decay_from=0.4))


def _one_tile(name: str, shares: dict[str, float], minutes: float | None = None, steps: int | None = None) -> Stage:
    """One-tile pictures at a constant rate.

    With up to four things from the start: beginning with one, naming whatever is there is right, and hard to unlearn.
    """
    lesson = Lesson(first_shares=shares, last_shares=shares, most_things=(4, 4))
    return Stage(name, Budget(steps, minutes, peak_rate=1e-3, decay_from=1.0), lesson)


def _wide(
    name: str, budget: Budget, dropped: float, mlp: int | None = None, first_shares: dict[str, float] = READ
) -> Stage:
    """Pictures of up to five tiles, and a share of batches in which most visual tokens are missing."""
    lesson = Lesson(
        sets=("wide", "small"),
        tiles=_WIDE_TILES,
        pictures=16,
        first_shares=first_shares,
        last_shares=LAST,
        most_things=(6, 6),
        dropped_share=dropped,
    )
    return Stage(name, budget, lesson, text_mlp=mlp)


def adapt(recipe: Recipe, scale: int = 1, pace: float = 1.0) -> Recipe:
    """The recipe with `scale` times as many pictures and tiles a step, and `pace` times as long budgets."""

    def adapted(stage: Stage) -> Stage:
        minutes, steps = (length and pace * length for length in (stage.budget.minutes, stage.budget.steps))
        budget = replace(stage.budget, minutes=minutes, steps=steps and math.ceil(steps))
        lesson = stage.lesson and replace(stage.lesson, pictures=scale * stage.lesson.pictures)
        return replace(stage, budget=budget, lesson=lesson, tiles_a_step=scale * stage.tiles_a_step)

    if scale < 1 or not 0 < pace < math.inf:
        raise ValueError(f"scale and pace must be positive, not {scale} and {pace}")
    return replace(recipe, stages={which: tuple(map(adapted, stages)) for which, stages in recipe.stages.items()})


RECIPES = {
    "scenes": Recipe(
        _PICTURES,
        {
            "small": (
                _tower(minutes=100),
                _one_tile("find", FIND, minutes=4),
                _one_tile("read", READ, minutes=5),
                _wide("wide", Budget(minutes=4, peak_rate=1e-3, decay_from=0.4), 0.2),
            ),
            "large": (
                _wide("deep", Budget(minutes=27, peak_rate=9e-4, decay_from=0.3), 0.25, mlp=192),
                _wide("again", Budget(minutes=15, peak_rate=7e-4, decay_from=0.1), 0.25, mlp=192, first_shares=NAMES),
                _wide("broad", Budget(minutes=3, peak_rate=2e-4, decay_from=0.2), 0.35),
            ),
        },
    ),
    "qwen2_vl": Recipe(
        _WHOLE_PICTURES,
        {
            "other": (
                _tower(steps=3000),
                _one_tile("find", FIND, steps=600),
                _one_tile("read", READ, steps=700),
                _wide("wide", Budget(steps=800, peak_rate=1e-3, decay_from=0.4), 0.3),
            )
        },
        kind="qwen2_vl",
    ),
}
"""Budgets are minutes of training time on two cores in bfloat16, or steps. The large model begins as the finished small one, grown.

"scenes" is the embedded pair, "qwen2_vl" a model of another family that the pair's small one can guide.
"""
