"""Pictures as a stranger would draw them, without the generator's code, and the share of such that is answered right."""

import random

from PIL import Image, ImageDraw, ImageFont

from stitchvlm import Stitch, make_question

CLEAR = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"


def draw_plain(rng: random.Random) -> tuple[Image.Image, str, str]:
    """Four large coloured circles, squares and triangles on white; the picture, a question and its answer."""
    picture = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(picture)
    pairs = [
        (c, s) for c in ("red", "green", "blue", "orange", "purple", "yellow") for s in ("circle", "square", "triangle")
    ]
    things = rng.sample(pairs, 4)
    codes = ["".join(rng.choices(CLEAR, k=3)) for _ in things]
    size = rng.randint(32, 56)
    font = ImageFont.load_default(size)
    for k, ((colour, shape), code) in enumerate(zip(things, codes, strict=True)):
        x, y, r = (
            160 + 320 * (k % 2) + rng.randint(-30, 30),
            120 + 240 * (k // 2) + rng.randint(-8, 8),
            rng.randint(70, 105),
        )
        corners = (x - r, y - r, x + r, y + r)
        if shape == "circle":
            pen.ellipse(corners, fill=colour)
        elif shape == "square":
            pen.rectangle(corners, fill=colour)
        else:
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
        ink = "black" if colour in ("yellow", "orange") else "white"
        pen.text((x, y + (r // 3 if shape == "triangle" else 0)), code, fill=ink, font=font, anchor="mm")
    asked = rng.randrange(4)
    return picture, f"What is written on the {things[asked][0]} {things[asked][1]}?", codes[asked]


def share_right(questions: list[tuple[Image.Image, str, str]], **settings) -> float:
    """Of pictures with a question and its answer, the share that is answered right with these settings."""
    vlm = Stitch.from_pretrained(device="cpu", **settings)
    answers = [vlm.answer([make_question(question, picture)])[0].text for picture, question, _ in questions]
    return sum(answer == gold for answer, (_, _, gold) in zip(answers, questions, strict=True)) / len(questions)
