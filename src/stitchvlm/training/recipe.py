"""Recipes: which pictures are drawn and which stages each model of the pair goes through."""

from dataclasses import dataclass

from .generator import Style
from .language import Lesson
from .loop import Budget


@dataclass(frozen=True)
class Pictures:
    """A rendered set: its style, how many pictures, and the seed it is drawn from."""

    style: Style
    count: int
    seed: int


@dataclass(frozen=True)
class Stage:
    """One stage of one model. Without a lesson it is the dense pretraining of the tower."""

    name: str
    budget: Budget
    lesson: Lesson | None = None
    text_layers: int | None = None
    tiles_a_step: int = 48


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, but for the seed and the fonts."""

    pictures: dict[str, Pictures]
    stages: dict[str, tuple[Stage, ...]]


FIND = {"read": 0.25, "cell": 0.3, "where": 0.2, "list": 0.1, "colour": 0.1, "shape": 0.05}
READ = {"read": 0.62, "cell": 0.06, "where": 0.1, "list": 0.06, "colour": 0.1, "shape": 0.06}
SETTLED = {"read": 0.76, "where": 0.08, "colour": 0.08, "shape": 0.08}

_PICTURES = {
    "page": Pictures(Style(kinds=("page",)), 3_000, 1),
    "small": Pictures(Style(small=True), 14_000, 1),
    "wide": Pictures(Style(), 9_000, 1),
    "small-check": Pictures(Style(small=True), 250, 2),
    "wide-check": Pictures(Style(), 500, 2),
}
_WIDE_TILES = (1, 3, 4, 5)


def _stages(layers: tuple[int, int], tower: float, find: float, read: float, wide: float, rate: float) -> tuple[Stage, ...]:
    """Budgets in minutes of one core's training time."""
    return (
        Stage("tower", Budget(minutes=tower, peak_rate=3e-3)),
        Stage(
            "find",
            Budget(minutes=find, peak_rate=rate, decay_from=1.0),
            Lesson(first_shares=FIND, last_shares=READ, most_things=(2, 9)),
            text_layers=layers[0],
        ),
        Stage(
            "read",
            Budget(minutes=read, peak_rate=rate, decay_from=1.0),
            Lesson(first_shares=READ, last_shares=READ, most_things=(9, 9)),
            text_layers=layers[1],
        ),
        Stage(
            "wide",
            Budget(minutes=wide, peak_rate=rate, decay_from=0.5),
            Lesson(
                sets=("wide", "small"),
                tiles=_WIDE_TILES,
                pictures=16,
                first_shares=READ,
                last_shares=SETTLED,
                most_things=(9, 9),
                dropped_share=0.35,
            ),
            text_layers=layers[1],
        ),
    )


RECIPES = {
    "scenes": Recipe(
        _PICTURES,
        {
            "small": _stages((5, 5), tower=17, find=15, read=10, wide=40, rate=3e-3),
            "large": _stages((4, 12), tower=17, find=18, read=6, wide=55, rate=2.5e-3),
        },
    ),
}
