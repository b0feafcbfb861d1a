"""The small table of tax that many receipts have below their total."""

import random

from .money import Notation
from .page import rectangle
from .printer import Phrase, Printer
from .sale import Sale


def tax_summary(rng: random.Random, printer: Printer, sale: Sale, tax: str, money: Notation) -> None:
    """A small table of what was taxed at which rate."""
    printer.gap(rng.choice((0.3, 0.8, 1.2)))
    framed = rng.random() < 0.15
    if not framed and rng.random() < 0.4:
        printer.rule()
    top = printer.y
    span = printer.right - printer.left
    stops = printer.left + rng.choice((0.55, 0.62)) * span, printer.left + rng.choice((0.85, 0.95, 1.0)) * span
    sign = f"({money.sign})" if money.sign and rng.random() < 0.6 else ""
    heads = rng.choice(
        (
            (f"{tax} Summary", f"Amount{sign}", f"Tax{sign}"),
            ("Code", f"Amt{sign}", f"{tax}{sign}"),
            ("Tax Code", f"Net{sign}", f"{tax} Amt"),
            (f"{tax} Summary", f"Item Amt{sign}", f"Tax{sign}"),
        )
    )
    if printer.setting.type().measure(heads[0] + heads[1] + " ") > stops[0] - printer.left:
        heads = ("Code", money.sign or "Amt", heads[2])
    if printer.setting.type().measure(heads[2] + " ") > stops[1] - stops[0]:
        heads = (*heads[:2], "Tax")
    printer.row(*_table_row(printer, stops, heads))
    if rng.random() < 0.3:
        printer.rule("thin" if framed else None)
    code = rng.choice(("SR", "S", "A", "T1"))
    rate = rng.choice(("{c} @ {r}%", "{c} = {r}%", "{c} {r}%", "{c} (@ {r}%)", "{c}")).format(
        c=code, r=money.rate(sale.rate)
    )
    if printer.setting.type().measure(rate + money.bare(sale.taxable) + " ") > stops[0] - printer.left:
        rate = code
    printer.row(*_table_row(printer, stops, (rate, money.bare(sale.taxable), money.bare(sale.tax))))
    exempt = sale.untaxed - sale.taxable
    if exempt > 0:
        zero = rng.choice(("ZRL", "Z", "B", "ZR")) + (" @ 0%" if "@" in rate else "")
        printer.row(*_table_row(printer, stops, (zero, money.bare(exempt), money.bare(0))))
    if rng.random() < 0.2:
        printer.row(*_table_row(printer, stops, ("Total", money.bare(sale.untaxed), money.bare(sale.tax))))
    if framed:
        edges = (printer.left - 4, top - 2, printer.right + 4, printer.y + 4)
        printer.page.printed.append(rectangle(*edges, printer.ink, 1))


def _table_row(
    printer: Printer, stops: tuple[float, float], texts: tuple[str, str, str]
) -> list[tuple[float, str, Phrase]]:
    return [
        (printer.left, "l", Phrase(texts[0])),
        *((x, "r", Phrase(t)) for x, t in zip(stops, texts[1:], strict=True)),
    ]
