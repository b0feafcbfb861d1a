"""What lies behind the things and over the whole picture: backgrounds, distractors, and blur, noise and JPEG artefacts."""

import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .drawing import Colour


def background(rng: random.Random, width: int, height: int) -> tuple[Image.Image, Colour]:
    """A plain, graded, striped or mottled background and its mean colour."""
    kind = rng.choices(("white", "light", "any", "graded", "striped", "mottled"), (36, 22, 12, 12, 8, 10))[0]
    if kind == "white":
        return Image.new("RGB", (width, height), (255, 255, 255)), (255, 255, 255)
    low = 20 if kind == "any" else rng.choice((60, 170, 200))
    base: Colour = (rng.randint(low, 255), rng.randint(low, 255), rng.randint(low, 255))
    picture = Image.new("RGB", (width, height), base)
    other = tuple(max(0, min(255, c + rng.randint(-45, 45))) for c in base)
    if kind == "graded":
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize((width, height))
        picture.paste(Image.new("RGB", (width, height), other), (0, 0), ramp)
    elif kind == "striped":
        draw, step = ImageDraw.Draw(picture), rng.randint(14, 60)
        for k in range(0, width + height, 2 * step):
            end = k - height if rng.random() < 0.02 else k  # now and then a stripe slants
            draw.line((k, 0, end, height), fill=other, width=step // 2)
    elif kind == "mottled":
        rng.random()  # unused; without it every later draw would change, and with it the pictures of each seed
        state = np.random.default_rng(rng.getrandbits(32))
        blobs = Image.fromarray(state.integers(0, 256, (max(2, height // 16), max(2, width // 16)), dtype=np.uint8))
        picture.paste(Image.new("RGB", (width, height), other), (0, 0), blobs.resize((width, height)))
    return picture, base


def distract(rng: random.Random, picture: Image.Image) -> None:
    """Thin lines and small blank dots behind the things."""
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randint(1, 5)):
        colour = tuple(rng.randint(0, 255) for _ in range(3))
        x, y = rng.randrange(picture.width), rng.randrange(picture.height)
        if rng.random() < 0.6:
            draw.line(
                (x, y, rng.randrange(picture.width), rng.randrange(picture.height)),
                fill=colour,
                width=rng.randint(1, 4),
            )
        else:
            r = rng.randint(3, 9)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def weather(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Blur, noise and JPEG artefacts, each with its own chance."""
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3) * max(1.0, picture.width / 640)))
    if rng.random() < 0.25:
        state = np.random.default_rng(rng.getrandbits(32))
        pixels = np.asarray(picture, np.float32)
        pixels = pixels + state.normal(0, rng.uniform(2, 14), pixels.shape).astype(np.float32)
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(35, 90))
        picture = Image.open(buffer).convert("RGB")
    return picture
