"""The recipes by name, and those of drawn scenes."""

from .architecture import Size
from .generator import Style
from .grid import MOST_TOKENS, TOKENS_PER_TILE, Whole
from .language import Lesson
from .loop import Budget
from .receipts import RECEIPTS
from .recipe import Pictures, Recipe, Stage

FIND = {"bind": 0.7, "where": 0.3}
READ = {"bind": 0.1, "read": 0.5, "cell": 0.05, "where": 0.12, "colour": 0.13, "shape": 0.1}
NAMES = {"bind": 0.06, "read": 0.5, "where": 0.06, "colour": 0.18, "shape": 0.2}
LAST = {"bind": 0.04, "read": 0.56, "cell": 0.02, "where": 0.12, "colour": 0.15, "shape": 0.11}
SETTLED = {"read": 0.72, "where": 0.08, "colour": 0.12, "shape": 0.08}

_SIZES = {
    "small": Size(vision_width=96, vision_layers=6, text_width=128, text_layers=4, text_mlp=192, text_kv_heads=4),
    "large": Size(vision_width=96, vision_layers=6, text_width=128, text_layers=12, text_mlp=1280, text_kv_heads=4),
}
_OTHER_SIZES = {
    "other": Size(vision_width=96, vision_layers=6, text_width=128, text_layers=6, text_mlp=256, text_kv_heads=4),
}
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
    name: str, budget: Budget, dropped: float, text_mlp: int | None = None, first_shares: dict[str, float] = READ
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
    return Stage(name, budget, lesson, text_mlp=text_mlp)


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
                _wide("deep", Budget(minutes=27, peak_rate=9e-4, decay_from=0.3), 0.25, text_mlp=192),
                _wide(
                    "again", Budget(minutes=15, peak_rate=7e-4, decay_from=0.1), 0.25, text_mlp=192, first_shares=NAMES
                ),
                _wide("broad", Budget(minutes=3, peak_rate=2e-4, decay_from=0.2), 0.35),
            ),
        },
        _SIZES,
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
        _OTHER_SIZES,
        kind="qwen2_vl",
    ),
    "receipts": RECEIPTS,
}
"""Budgets are minutes of training time on two cores in bfloat16, or steps. The large model begins as the finished small one, grown.

"scenes" is the embedded pair, "qwen2_vl" a model of another family that the pair's small one can guide, "receipts" a pair that
reads documents.
"""
