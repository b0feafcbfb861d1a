"""How a document writes amounts, quantities and rates."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Notation:
    """`sign` is the currency as it is printed ("RM", "$", "€", "£" or nothing), `after` puts it behind the amount, `comma` swaps
    point and comma, `grouped` marks thousands, `spaced` puts a space between sign and amount.
    """

    sign: str
    after: bool = False
    comma: bool = False
    grouped: bool = True
    spaced: bool = False

    def bare(self, amount: int) -> str:
        """The amount (hundredths) without a sign of currency."""
        text = f"{abs(amount) / 100:,.2f}" if self.grouped else f"{abs(amount) / 100:.2f}"
        if self.comma:
            text = text.translate(str.maketrans(",.", ".,"))
        return f"-{text}" if amount < 0 else text

    def full(self, amount: int) -> str:
        """The amount with its sign of currency."""
        space = " " if self.spaced and self.sign else ""
        if self.after:
            return f"{self.bare(amount)}{space}{self.sign}"
        minus = "-" if amount < 0 else ""
        return f"{minus}{self.sign}{space}{self.bare(abs(amount))}"

    def rate(self, rate: int) -> str:
        """A rate (hundredths of a per cent) without its per cent sign."""
        text = f"{rate / 100:g}"
        return text.replace(".", ",") if self.comma else text


def choose_notation(rng: random.Random) -> Notation:
    """Mostly ringgit or no sign at all, some dollars, euros and pounds."""
    sign = rng.choices(("RM", "", "$", "€", "£"), (42, 26, 16, 9, 7))[0]
    euro = sign == "€"
    return Notation(
        sign,
        after=euro and rng.random() < 0.6,
        comma=euro and rng.random() < 0.7,
        grouped=rng.random() < 0.8,
        spaced=rng.random() < (0.4 if sign in ("RM", "€") else 0.05),
    )


def write_quantity(rng: random.Random, thousandths: int) -> str:
    """A quantity without a unit: whole where it is whole."""
    whole, rest = divmod(thousandths, 1000)
    if rest:
        return f"{thousandths / 1000:.3f}"
    return f"{whole}.00" if rng.random() < 0.03 else str(whole)
