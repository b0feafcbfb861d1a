"""Pictures as a stranger would draw them, without the generator's code: a check that the pair reads more than its own hand.

`python tests/training/plain_pictures.py OUT.zip [FONT.ttf]` writes them in the form of the test split, for
`python -m stitchvlm.training.measure`.
"""

import io
import json
import random
import sys
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CLEAR = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"


def draw(rng: random.Random, typeface: str | None = None) -> tuple[Image.Image, str, str]:
    """Four large coloured circles, squares and triangles on white; the picture, a question and its answer."""
    picture = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(picture)
    pairs = [
        (c, s) for c in ("red", "green", "blue", "orange", "purple", "yellow") for s in ("circle", "square", "triangle")
    ]
    things = rng.sample(pairs, 4)
    codes = ["".join(rng.choices(CLEAR, k=3)) for _ in things]
    size = rng.randint(32, 56)
    plain = typeface is None or rng.random() >= 0.5
    font = ImageFont.load_default(size) if plain else ImageFont.truetype(typeface, size)
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


def main(path: Path, typeface: str | None = None, count: int = 100) -> None:
    """Write `count` pictures with one question each, half of them in `typeface` if one is given."""
    rng, rows = random.Random(20261121), []
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            picture, question, answer = draw(rng, typeface)
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            archive.writestr(f"{number}.png", buffer.getvalue())
            rows.append({"kind": "plain", "image": f"{number}.png", "question": question, "answer": answer})
        archive.writestr("questions.jsonl", "\n".join(map(json.dumps, rows)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
