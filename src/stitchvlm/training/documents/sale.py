"""What was bought and what it came to. All amounts are whole hundredths of the currency, so that they add up exactly."""

import random
from dataclasses import dataclass

from .goods import GOODS
from .names import goods_names

RATES = (600, 600, 600, 500, 700, 800, 1000, 1900, 2000, 2100, 825)
"""Rates of tax in hundredths of a per cent."""


@dataclass(frozen=True)
class Bought:
    """One item. `quantity` is in thousandths; `price` is quantity times unit price less `discount`."""

    name: str
    code: str
    quantity: int
    unit_price: int
    discount: int
    price: int
    taxed: bool


@dataclass(frozen=True)
class Sale:
    """A purchase: `subtotal - discount + service (+ tax unless it is included) + rounding = total = cash - change`.

    `tax` is what `taxable` costs or contains at `rate` (hundredths of a per cent; 0 where nothing is said of tax). `cash` is 0
    where it was paid by card. `total` is what has to be paid.
    """

    items: tuple[Bought, ...]
    subtotal: int
    discount: int
    service: int
    rate: int
    tax: int
    taxable: int
    tax_included: bool
    rounding: int
    total: int
    cash: int
    change: int

    @property
    def before_rounding(self) -> int:
        """The total before it was rounded."""
        return self.total - self.rounding

    @property
    def untaxed(self) -> int:
        """The total before rounding without the tax."""
        return self.before_rounding - self.tax

    @property
    def pieces(self) -> int:
        """How many pieces were bought; goods sold by weight count as one."""
        return sum(item.quantity // 1000 if item.quantity % 1000 == 0 else 1 for item in self.items)


def _share(amount: int, rate: int, of: int = 10_000) -> int:
    """`amount * rate / of`, rounded half up."""
    return (2 * amount * rate + of) // (2 * of)


def likely_price(rng: random.Random, low: int, high: int) -> int:
    """A price in that range as shops like them: many end in 0, 90 or 99."""
    price = int(low * (high / low) ** rng.random())
    ending = rng.random()
    if ending < 0.45:
        return max(5, price // 10 * 10)
    if ending < 0.7:
        return max(9, price // 100 * 100 + rng.choice((90, 99, 95, 50, 0, 80)))
    return price // 5 * 5 + 5 if ending < 0.85 else price


def _buy(rng: random.Random, name: str, prices: tuple[int, int], code: str, weighed: bool, rebated: bool) -> Bought:
    unit = likely_price(rng, *prices)
    quantity = 1000 * rng.choices((1, 2, 3, 4, 5, 6, 10, 12, 24), (60, 16, 8, 4, 3, 3, 3, 2, 1))[0]
    if weighed:
        quantity = rng.randint(80, 3200)
    full = _share(unit, quantity, 1000)
    discount = _share(full, rng.choice((500, 1000, 2000, 1500))) if rebated else 0
    return Bought(name, code, quantity, unit, discount, full - discount, rng.random() < 0.85)


def _codes(rng: random.Random, count: int) -> list[str]:
    length = rng.choice((13, 13, 13, 8, 7, 6, 5, 4))
    prefix = rng.choice(("", "", "", "I", "SR-", "P")) if length < 13 else "95"
    return [prefix + "".join(rng.choices("0123456789", k=length - len(prefix))) for _ in range(count)]


def _paid(rng: random.Random, total: int) -> int:
    """What was handed over in cash: the total, or notes that make at least that much."""
    if rng.random() < 0.25:
        return total
    note = rng.choice((100, 500, 1000, 5000, 10_000))
    return (total + note - 1) // note * note if rng.random() < 0.8 else (total // 100 + 1) * 100


def invent_sale(rng: random.Random, trade: str, most_items: int = 14) -> Sale:
    """A random purchase of up to that many goods of the trade, with a total above zero."""
    count = min(most_items, rng.choices(range(1, 15), (18, 18, 15, 11, 8, 6, 4, 3, 2, 2, 2, 1, 1, 1))[0])
    weigh, rebate = trade == "grocery" and rng.random() < 0.3, rng.random() < 0.15
    prices, codes = GOODS[trade][3], _codes(rng, count)
    items = tuple(
        _buy(rng, name, prices, code, weigh and rng.random() < 0.4, rebate and rng.random() < 0.5)
        for name, code in zip(goods_names(rng, trade, count), codes, strict=True)
    )
    subtotal = sum(item.price for item in items)
    discount = _share(subtotal, rng.choice((500, 1000, 300, 1500))) if rng.random() < 0.15 else 0
    net = subtotal - discount
    service = _share(net, rng.choice((1000, 1000, 500, 1250))) if trade == "food" and rng.random() < 0.25 else 0
    rate = rng.choice(RATES) if rng.random() < 0.8 else 0
    included = rng.random() < 0.55
    taxed = net + service
    if not discount and not service and rng.random() < 0.3:
        taxed = sum(item.price for item in items if item.taxed)
    tax = _share(taxed, rate, 10_000 + rate) if included else _share(taxed, rate)
    unrounded = net + service + (0 if included else tax)
    rounding = (unrounded + 2) // 5 * 5 - unrounded if rng.random() < 0.5 and unrounded > 5 else 0
    total = unrounded + rounding
    cash = _paid(rng, total) if rng.random() < 0.7 else 0
    return Sale(
        items,
        subtotal,
        discount,
        service,
        rate,
        tax,
        taxed - tax if included else taxed,
        included,
        rounding,
        total,
        cash,
        cash - total if cash else 0,
    )
