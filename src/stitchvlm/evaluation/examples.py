"""Examples for a demo: some of the checked-in test split, some drawn on the spot with Pillow's own font.

The drawn ones owe nothing to the training generator.
"""

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from stitchvlm.evaluation.sample import Sample
from stitchvlm.evaluation.tasks import load_task

_COLOURS = {"red": (214, 39, 40), "green": (44, 140, 60), "blue": (31, 90, 180), "orange": (255, 140, 0)}
_SHAPES = ("circle", "square", "triangle")
_ALPHABET = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"
_SIZE = (640, 480)
_RADIUS = 92
_CENTRES = ((170, 125), (470, 125), (170, 355), (470, 355))


@dataclass(frozen=True)
class Example:
    """A picture, a question about it and the right answer; ``name`` is fit for a file."""

    name: str
    picture: Image.Image
    question: str
    gold: str


def demo_examples() -> list[Example]:
    """The first question of each kind in the test split, and three about freshly drawn pictures."""
    first: dict[str, Sample] = {}
    for sample in load_task("scenes"):
        first.setdefault(sample.kind, sample)
    checked_in = [Example(f"scenes-{s.kind}", s.picture(), s.question, s.gold) for s in first.values()]
    return checked_in + drawn_examples()


def drawn_examples(seeds: tuple[int, ...] = (1, 2, 3)) -> list[Example]:
    """One picture of four large coloured shapes with three-character codes per seed; the same seed draws the same."""
    return [_drawn(seed) for seed in seeds]


def _drawn(seed: int) -> Example:
    rng = random.Random(seed)
    picture = Image.new("RGB", _SIZE, (238, 236, 228))
    draw = ImageDraw.Draw(picture)
    shapes = [*rng.sample(_SHAPES, len(_SHAPES)), rng.choice(_SHAPES)]
    codes = ["".join(rng.sample(_ALPHABET, 3)) for _ in shapes]
    colours = rng.sample(list(_COLOURS), len(shapes))
    for shape, code, colour, centre in zip(shapes, codes, colours, _CENTRES, strict=True):
        _draw_shape(draw, shape, colour, code, (centre[0] + rng.randint(-25, 25), centre[1] + rng.randint(-12, 12)))
    asked = rng.randrange(len(shapes))
    question = f"What is written on the {colours[asked]} {shapes[asked]}?"
    return Example(f"drawn-{seed}", picture, question, codes[asked])


def _draw_shape(draw: ImageDraw.ImageDraw, shape: str, colour: str, code: str, centre: tuple[int, int]) -> None:
    x, y = centre
    fill, radius = _COLOURS[colour], _RADIUS
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill)
    elif shape == "square":
        draw.rectangle((x - radius, y - radius, x + radius, y + radius), fill)
    else:
        draw.polygon([(x, y - radius - 8), (x - radius - 12, y + radius), (x + radius + 12, y + radius)], fill)
        y += 30
    draw.text((x, y), code, "white", ImageFont.load_default(52), anchor="mm")
