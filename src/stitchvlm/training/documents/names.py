"""Invents companies, addresses, numbers and goods. Everything depends on the generator that is passed and on nothing else."""

import random
from dataclasses import dataclass

from .goods import GOODS
from .words import (
    ASIAN,
    ENDS,
    FIRST_NAMES,
    LEGAL,
    MALAY,
    MIDDLES,
    PLACES,
    ROLES,
    STARTS,
    STREETS,
    SURNAME_ENDS,
    TRADES,
)


@dataclass(frozen=True)
class Company:
    """Who issues a document. `registration` and `tax_number` may be empty; `address` has two to four lines."""

    name: str
    trade: str
    registration: str
    tax_number: str
    address: tuple[str, ...]
    phone: str
    fax: str
    site: str


def digits(rng: random.Random, count: int) -> str:
    """That many random digits."""
    return "".join(rng.choices("0123456789", k=count))


def coined(rng: random.Random) -> str:
    """A word that looks like a name."""
    return rng.choice(STARTS) + (rng.choice(MIDDLES) if rng.random() < 0.5 else "") + rng.choice(ENDS)


def person(rng: random.Random) -> str:
    """A first name, sometimes with a coined surname."""
    return rng.choice(FIRST_NAMES) + (f" {coined(rng)}" if rng.random() < 0.3 else "")


def cashier(rng: random.Random) -> str:
    """Who served, as tills write it."""
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(ROLES)
    return person(rng).upper() if draw < 0.7 else person(rng)


def _first_part(rng: random.Random) -> str:
    kind = rng.choices(("asian", "malay", "coined", "family", "letters", "two"), (28, 18, 22, 10, 8, 14))[0]
    if kind == "asian":
        return " ".join(rng.sample(ASIAN, rng.choice((2, 2, 3)))).title()
    if kind == "malay":
        return " ".join(rng.sample(MALAY, rng.choice((1, 2))))
    if kind == "coined":
        return coined(rng)
    if kind == "family":
        return f"{coined(rng)} {rng.choice(SURNAME_ENDS)}"
    if kind == "letters":
        return "".join(rng.choices("ABCDEFGHJKLMNPRSTVWY", k=rng.choice((2, 3)))) + rng.choice(("", f" {coined(rng)}"))
    return f"{coined(rng)} {rng.choice(MALAY)}"


def _company_name(rng: random.Random, trade: str) -> str:
    name = _first_part(rng)
    if rng.random() < 0.85:
        word = rng.choice(TRADES[trade])
        name = f"{word} {name}" if word.startswith(("Rest", "Pasar", "Farm")) else f"{name} {word}"
    if rng.random() < 0.1:
        name += f" ({coined(rng)})"
    if rng.random() < 0.6:
        name += f" {rng.choice(LEGAL)}"
    return name.upper() if rng.random() < 0.7 else name


def phone_number(rng: random.Random) -> str:
    """A phone number in one of many notations."""
    form = rng.choice(
        (
            *(
                "03-#### ####",
                "03-########",
                "0#-#######",
                "01#-### ####",
                "+60# ### ####",
                "(0#) #### ####",
                "0#-### ####",
            ),
            *("+44 20 #### ####", "(###) ###-####", "0### / ######", "###.###.####", "1-800-###-####", "+49 ## ######"),
        )
    )
    return "".join(rng.choice("123456789") if c == "#" else c for c in form)


def _address(rng: random.Random) -> tuple[str, ...]:
    if rng.random() < 0.65:
        area = f"{rng.choice(PLACES)} {coined(rng) if rng.random() < 0.4 else rng.choice(MALAY)}"
        number = rng.choice(("No. {}", "NO {},", "Lot {},", "{},", "No.{}-G,", "Unit G-{},", "{}A,")).format(
            rng.randint(1, 288)
        )
        road = f"{rng.choice(('Jalan', 'Jln', 'Lorong', 'Persiaran'))} {rng.choice((*MALAY, coined(rng)))} {rng.randint(1, 48)}"
        road += rng.choice(("", f"/{rng.randint(1, 20)}", f"/{rng.randint(1, 9)}A")) + ","
        town = f"{rng.randint(10, 98)}{rng.choice(('000', '100', '150', '200', '300', '400'))} {coined(rng)}"
        state = rng.choice((f", {coined(rng)}", f", {rng.choice(MALAY)}.", "", "."))
        lines = rng.choice(
            (
                (f"{number} {road}", f"{area},", town + state),
                (f"{number} {road} {area},", town + state),
                (number.rstrip(",") + ",", road, f"{area},", town + state),
            )
        )
    else:
        street = f"{rng.randint(1, 240)} {coined(rng)} {rng.choice(STREETS)}"
        code = rng.choice((digits(rng, 5), f"{rng.choice('ABELNSW')}{rng.randint(1, 19)} {rng.randint(1, 9)}XD"))
        town = rng.choice((f"{coined(rng)} {code}", f"{code} {coined(rng)}", f"{coined(rng)}, {code}"))
        lines = rng.choice(((street, town), (f"{coined(rng)} Centre", street, town), (f"{street},", f"{town}.")))
    return tuple(line.upper() for line in lines) if rng.random() < 0.6 else tuple(lines)


def invent_company(rng: random.Random) -> Company:
    """A company that does not exist, of a random trade."""
    trade = rng.choices(tuple(TRADES), (30, 22, 18, 12, 8, 5, 8))[0]
    registration = ""
    if rng.random() < 0.7:
        registration = rng.choice(
            (
                f"{digits(rng, 6)}-{rng.choice('ADHKMPTUVWX')}",
                f"{digits(rng, 7)}-{rng.choice('ADHKMPTUVWX')}",
                f"20{digits(rng, 10)}",
                f"SA0{digits(rng, 6)}-{rng.choice('ADHKMPTUVWX')}",
                f"JM0{digits(rng, 6)}-{rng.choice('ADHKMPTUVWX')}",
                f"HRB {digits(rng, 5)}",
            )
        )
    tax_number = ""
    if rng.random() < 0.75:
        tax_number = rng.choice(
            (f"00{digits(rng, 10)}", f"00{digits(rng, 10)}", f"GB{digits(rng, 9)}", f"{digits(rng, 11)}")
        )
    fax = phone_number(rng) if rng.random() < 0.25 else ""
    return Company(
        _company_name(rng, trade),
        trade,
        registration,
        tax_number,
        _address(rng),
        phone_number(rng),
        fax,
        coined(rng).lower() + rng.choice(("mart", "foods", "shop", "my", "")),
    )


def goods_names(rng: random.Random, trade: str, count: int) -> list[str]:
    """That many names of goods, none of which occurs in another."""
    adjectives, nouns, sizes, _ = GOODS[trade]
    upper = rng.random() < 0.6
    coded = rng.random() < 0.2
    found: list[str] = []
    while len(found) < count:
        parts = [rng.choice(nouns)]
        if rng.random() < 0.6:
            parts.insert(0, rng.choice(adjectives))
        if rng.random() < 0.12:
            parts.insert(0, coined(rng))
        if coded and rng.random() < 0.6:
            parts.append(f"{rng.choice('ABCDEHKMST')}{rng.choice('ABDHKX')}{rng.randint(10, 999)}")
        if size := rng.choice(sizes):
            parts.append(size)
        name = " ".join(parts)
        name = name.upper() if upper else name
        if not any(name.lower() in other.lower() or other.lower() in name.lower() for other in found):
            found.append(name)
    return found
