"""The goods of a receipt, in one of the arrangements that tills use."""

import random
from dataclasses import dataclass

from .money import Notation, write_quantity
from .printer import Phrase, Printer, phrase, tagged
from .sale import Bought, Sale

ARRANGEMENTS = ("one row", "name above", "name below", "columns", "coded", "counted")
_SHARES = (22, 26, 12, 22, 10, 8)


@dataclass(frozen=True)
class _Way:
    """How the goods of one receipt are written. `marks` are put behind prices of taxed and untaxed goods."""

    arrangement: str
    money: Notation
    times: str
    marks: tuple[str, str]
    signed: bool
    coded: bool
    numbered: bool


def _choose_way(rng: random.Random, sale: Sale, money: Notation) -> _Way:
    marks = rng.choice((("SR", "ZRL"), ("S", "Z"), ("*S", "Z"), ("T", ""), ("A", "B"), ("SR", "ZR"), ("S", "E")))
    return _Way(
        rng.choices(ARRANGEMENTS, _SHARES)[0],
        money,
        rng.choice((" x ", " X ", "x", " @ ", " x", "X ", " * ")),
        marks if sale.rate and rng.random() < 0.45 else ("", ""),
        rng.random() < 0.2,
        rng.random() < 0.4,
        rng.random() < 0.12,
    )


def _price(way: _Way, name: str, item: Bought) -> Phrase:
    """Stands for what the item costs unless a discount is taken off it in the next row."""
    mark = way.marks[not item.taxed]
    amount = item.price + item.discount
    written = way.money.full(amount) if way.signed else way.money.bare(amount)
    text = Phrase(written) if item.discount else tagged(f"{name}.price", written)
    return phrase(text, f" {mark}") if any(way.marks) and mark else text


def _counted(rng: random.Random, way: _Way, name: str, item: Bought) -> Phrase:
    """Quantity times unit price."""
    unit = "kg" if item.quantity % 1000 else ""
    quantity = tagged(f"{name}.quantity", write_quantity(rng, item.quantity) + unit)
    price = tagged(
        f"{name}.unit_price", way.money.full(item.unit_price) if way.signed else way.money.bare(item.unit_price)
    )
    return phrase(quantity, way.times, price)


def _discount(rng: random.Random, printer: Printer, way: _Way, item: Bought) -> None:
    if item.discount:
        label = rng.choice(("  Disc", "  DISCOUNT", "  Less", "  Member disc.", "  PROMO"))
        printer.pair(label, tagged("item discount", f"-{way.money.bare(item.discount)}"))


def _header(
    rng: random.Random, printer: Printer, stops: tuple[float, ...], labels: tuple[str, ...], money: Notation
) -> None:
    emphasis = rng.choice(("", "", "bold"))
    cells = [(printer.left, "l", Phrase(labels[0]))]
    cells += [(stop, "r", Phrase(label)) for stop, label in zip(stops, labels[1:], strict=True)]
    printer.row(*cells, emphasis=emphasis)
    if money.sign and rng.random() < 0.3:
        printer.row(*((stop, "r", Phrase(f"({money.sign})")) for stop in stops[-2:]), emphasis=emphasis)
    printer.rule()


def _labels(rng: random.Random) -> tuple[str, str, str, str]:
    """Heads of the columns for name, quantity, unit price and price."""
    found = (
        rng.choice(("Item", "Description", "ITEM", "Desc", "DESCRIPTION", "Article", "Particulars")),
        rng.choice(("Qty", "QTY", "Qty.", "Quan", "QTY")),
        rng.choice(("U.Price", "U/P", "Price", "S/Price", "UNIT", "Rate")),
        rng.choice(("Amount", "AMT", "Total", "AMOUNT", "Amt", "Sum")),
    )
    if rng.random() < 0.4:
        return found[0].upper(), found[1].upper(), found[2].upper(), found[3].upper()
    return found


def item_lines(rng: random.Random, printer: Printer, sale: Sale, money: Notation) -> None:
    """All goods with their quantities and prices, with heads of columns where the arrangement has them."""
    way = _choose_way(rng, sale, money)
    widest = max(printer.setting.type().measure(money.full(item.price) + " ZRL") for item in sale.items)
    span = printer.right - printer.left
    stops = (printer.left + 0.52 * span, printer.left + 0.75 * span, printer.right)
    tight = widest > 0.23 * span
    arrangement = "name above" if tight and way.arrangement in ("columns", "coded") else way.arrangement
    labels = _labels(rng)
    if arrangement in ("columns", "coded"):
        _header(rng, printer, stops, labels, money)
    elif rng.random() < 0.4:
        printer.pair(labels[0], f"{labels[3]} {money.sign}" if money.sign and rng.random() < 0.4 else labels[3])
        printer.rule()
    show_single = rng.random() < 0.5
    spaced = rng.random() < 0.12
    for k, item in enumerate(sale.items):
        name = f"item.{k}"
        shown = tagged(f"{name}.name", item.name)
        if way.numbered:
            shown = phrase(f"{k + 1}. ", shown)
        price, counted = _price(way, name, item), _counted(rng, way, name, item)
        several = item.quantity != 1000 or show_single
        code = item.code if way.coded else ""
        _ARRANGE[arrangement](printer, _Entry(name, item, shown, price, counted, code, several, stops, way, rng))
        _discount(rng, printer, way, item)
        if spaced:
            printer.gap(0.4)


@dataclass(frozen=True)
class _Entry:
    """One item, ready to be printed."""

    name: str
    item: Bought
    shown: Phrase
    price: Phrase
    counted: Phrase
    code: str
    several: bool
    stops: tuple[float, ...]
    way: _Way
    rng: random.Random

    @property
    def cells(self) -> tuple[Phrase, Phrase]:
        """Quantity and unit price for columns of their own."""
        return (
            tagged(f"{self.name}.quantity", write_quantity(self.rng, self.item.quantity)),
            tagged(f"{self.name}.unit_price", self.way.money.bare(self.item.unit_price)),
        )


def _one_row(printer: Printer, entry: _Entry) -> None:
    if entry.code:
        printer.text(entry.code)
    printer.pair(entry.shown, entry.price)
    if entry.item.quantity != 1000:
        printer.text(phrase("  ", entry.counted))


def _name_above(printer: Printer, entry: _Entry) -> None:
    if not entry.several:
        _one_row(printer, entry)
        return
    printer.text(entry.shown)
    lead = f"{entry.code} " if entry.code else "  "
    fits = (
        printer.setting.type().measure(lead + entry.counted.text + "  " + entry.price.text)
        < printer.right - printer.left
    )
    if not fits and entry.code:
        printer.text(entry.code)
    printer.pair(phrase(lead if fits else " ", entry.counted), entry.price)


def _name_below(printer: Printer, entry: _Entry) -> None:
    printer.pair(phrase(f"{entry.code} " if len(entry.code) < 9 and entry.code else "", entry.counted), entry.price)
    printer.text(entry.shown)


def _columns(printer: Printer, entry: _Entry) -> None:
    type_ = printer.setting.type()
    quantity, unit = entry.cells
    room = entry.stops[0] - printer.left - type_.measure(quantity.text + " ")
    first, *rest = entry.shown.wrap(type_, room)
    amounts = ((entry.stops[0], "r", quantity), (entry.stops[1], "r", unit), (entry.stops[2], "r", entry.price))
    if type_.measure(first.text) > room:
        printer.text(entry.shown)
        printer.row((printer.left, "l", Phrase(entry.code[:8])), *amounts)
        return
    printer.row((printer.left, "l", first), *amounts)
    for line in rest:
        printer.row((printer.left, "l", line))


def _coded(printer: Printer, entry: _Entry) -> None:
    type_ = printer.setting.type()
    quantity, unit = entry.cells
    amounts = ((entry.stops[0], "r", quantity), (entry.stops[1], "r", unit), (entry.stops[2], "r", entry.price))
    room = entry.stops[0] - printer.left - type_.measure(quantity.text + " ")
    code = Phrase(entry.item.code if type_.measure(entry.item.code) < room else "")
    printer.row((printer.left, "l", code), *amounts)
    printer.text(entry.shown)


def _counts_first(printer: Printer, entry: _Entry) -> None:
    """The quantity, then the name."""
    quantity = phrase(entry.cells[0], " ")
    indent = printer.left + max(printer.setting.type().measure("00 "), printer.setting.type().measure(quantity.text))
    type_ = printer.setting.type()
    room = printer.right - indent - type_.measure("  " + entry.price.text)
    first, *rest = entry.shown.wrap(type_, room)
    if type_.measure(first.text) > room:
        printer.pair(phrase(quantity, entry.shown), entry.price)
        return
    printer.row((printer.left, "l", quantity), (indent, "l", first), (printer.right, "r", entry.price))
    for line in rest:
        printer.row((indent, "l", line))


_ARRANGE = {
    "one row": _one_row,
    "name above": _name_above,
    "name below": _name_below,
    "columns": _columns,
    "coded": _coded,
    "counted": _counts_first,
}
