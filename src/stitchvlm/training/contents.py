"""Chooses what a picture shows, before anything is placed: nouns, colours, and texts that never repeat."""

import random

from .scene import Thing
from .words import CLEAR_ALPHABET, COLOUR_NAMES, FULL_ALPHABET, SHAPES, SIGN_WORDS, TAG_ITEMS


def _code(rng: random.Random, clear: bool) -> str:
    alphabet = CLEAR_ALPHABET if clear else FULL_ALPHABET
    return "".join(rng.choices(alphabet, k=rng.choices((2, 3, 4), (8, 80, 12))[0]))


def _sign_text(rng: random.Random, clear: bool) -> str:
    draw = rng.random()
    if draw < 0.60:
        return rng.choice(SIGN_WORDS)
    if draw < 0.68:
        return f"{rng.choice(SIGN_WORDS)} {rng.randint(2, 99)}"
    if draw < 0.84:
        return str(rng.randint(10, 9999))
    return "".join(
        rng.choices((CLEAR_ALPHABET if clear else FULL_ALPHABET)[: 23 if clear else 26], k=rng.randint(3, 5))
    )


def _price(rng: random.Random) -> str:
    whole = rng.randint(1, 99) if rng.random() < 0.3 else rng.randint(1, 9)
    return f"${whole}.{rng.choice((99, 95, 50, 0, rng.randint(1, 98))):02d}"


def choose_contents(rng: random.Random, kind: str, count: int, clear: bool) -> list[Thing]:
    """Nouns, colours and texts; at most one pair shares its colour and noun, texts never repeat."""
    things: list[Thing] = []
    items = rng.sample(TAG_ITEMS, count)
    with_items = rng.random() < 0.7
    few_nouns = rng.sample(SHAPES, rng.choice((2, 3, 4, len(SHAPES))))
    few_colours = rng.sample(COLOUR_NAMES, rng.choice((3, 5, len(COLOUR_NAMES), len(COLOUR_NAMES))))
    seen: set[tuple[str, str]] = set()
    texts: set[str] = set()
    while len(things) < count:
        noun = rng.choice(few_nouns) if kind == "objects" else kind[:-1]
        colour = rng.choice(few_colours if len(seen) < len(few_colours) * 2 // 3 else COLOUR_NAMES)
        text = {"objects": _code, "signs": _sign_text}.get(kind, lambda r, _: _price(r))(rng, clear)
        repeated = (colour, noun) in seen
        if text in texts or (repeated and (kind == "signs" or rng.random() < 0.97)):
            continue
        seen.add((colour, noun))
        texts.add(text)
        item = items[len(things)] if kind == "tags" and with_items else ""
        things.append(Thing(noun, colour, text, item, (0, 0, 0, 0), (0, 0, 0, 0)))
    return things
