"""What the goods of a receipt come to: subtotal, tax, rounding, total, what was paid, and the summary of tax."""

import random

from .money import Notation
from .printer import Phrase, Printer, phrase, tagged
from .sale import Sale
from .tax_summary import tax_summary

TOTAL = (
    *(
        "TOTAL",
        "TOTAL",
        "Total",
        "TOTAL:",
        "Total :",
        "GRAND TOTAL",
        "Grand Total",
        "NET TOTAL",
        "Nett Total:",
        "AMOUNT DUE",
    ),
    *(
        "Total Amount",
        "TOTAL AMOUNT",
        "Total Due",
        "BALANCE DUE",
        "Amount Payable",
        "TOTAL TO PAY",
        "Net Amount",
        "Final Total",
    ),
    *("TOTAL PAYABLE", "Bill Total :", "Total Sales", "NET TTL", "SUMME", "To Pay"),
)
_ROUNDED = (
    "Rounded Total",
    "TOTAL ROUNDED",
    "Total After Rounding",
    "NET TOTAL ROUNDED",
    "Total Rounded :",
    "Rounding Total",
)
_WITH_TAX = (
    "Total Incl. {tax}",
    "TOTAL (INCL. {tax})",
    "Total Inclusive of {tax}",
    "TOTAL INCL. {tax} @{rate}%",
    "Total Sales (Inclusive {tax})",
)
_SUBTOTAL = ("SUBTOTAL", "Sub Total", "SUB-TOTAL", "Subtotal:", "SUB TOTAL :", "Sub-Total", "Gross Amount", "Amount")
_UNTAXED = (
    "Total Excl. {tax}",
    "TOTAL (EXCL. {tax})",
    "Total Sales (Excluding {tax})",
    "Net of {tax}",
    "Amount before {tax}",
    "Taxable Amt",
)
_TAX = (
    "{tax} {rate}%",
    "{tax} @ {rate}%",
    "{tax} ({rate}%)",
    "{tax}",
    "Total {tax}",
    "{tax} Amount",
    "{tax} {rate}% :",
    "Add {tax} @{rate}%",
)
_INCLUDED = (
    "{tax} {rate}% included in total",
    "Incl. {tax} {rate}%",
    "Includes {tax} of",
    "{tax} Incl. @{rate}%",
    "Total {tax} incl.",
)
_DISCOUNT = ("Discount", "DISC", "Less Discount", "Voucher", "Promo Discount", "Member Disc.", "Total Discount")
_SERVICE = ("Service Charge", "Svc Chg", "SERVICE CHARGE", "S.Charge", "Serv. Charge")
_ROUNDING = (
    "Rounding",
    "ROUNDING",
    "Rounding Adj",
    "Rounding Adjustment",
    "Round Adj",
    "RND ADJ:",
    "Bill Rounding",
    "5 Cents Adj",
)
_CASH = (
    "CASH",
    "Cash",
    "CASH :",
    "Cash Tendered",
    "PAID",
    "Payment (CASH)",
    "CASH RECEIVED",
    "Tendered",
    "Cash Paid",
    "AMT TENDERED",
)
_CHANGE = ("CHANGE", "Change", "CHANGE DUE", "Change :", "Balance", "CHANGE RM", "Your change", "Cash Change")
_CARDS = (
    "VISA",
    "MASTERCARD",
    "Visa Card",
    "DEBIT CARD",
    "CREDIT CARD",
    "E-WALLET",
    "AMEX",
    "MyDebit",
    "EC-Karte",
    "Contactless",
)
_PIECES = ("Total Qty", "TOTAL QUANTITY", "Qty(s) :", "No. of pieces", "Total Qty:", "ITEMS SOLD", "Total Pcs")


def _lower_some(rng: random.Random, label: str) -> str:
    return label.upper() if rng.random() < 0.25 else label


def _label(rng: random.Random, choices: tuple[str, ...], tax: str, money: Notation, rate: int) -> str:
    return _lower_some(rng, rng.choice(choices).format(tax=tax, rate=money.rate(rate)))


def _total_label(rng: random.Random, sale: Sale, tax: str, money: Notation) -> str:
    if sale.rounding and rng.random() < 0.35:
        return rng.choice(_ROUNDED)
    if sale.rate and not sale.rounding and rng.random() < 0.3:
        return _label(rng, _WITH_TAX, tax, money, sale.rate)
    label = rng.choice(TOTAL)
    return f"{label.rstrip(' :')} ({money.sign})" if money.sign and rng.random() < 0.2 else label


class _Sums:
    """Prints labelled amounts of one receipt in one manner."""

    def __init__(self, rng: random.Random, printer: Printer, money: Notation) -> None:
        self.printer, self.money = printer, money
        self.signed = rng.random() < 0.35
        self.apart = bool(money.sign) and not self.signed and rng.random() < 0.15
        self.colon = rng.random() < 0.25
        self.loud = rng.choice((0.0, 0.0, 0.35))
        self.rng = rng
        self.align = rng.choice(("l", "l", "r"))
        span = printer.right - printer.left
        self.begin = printer.left + (rng.choice((0.0, 0.0, 0.25, 0.35)) if self.align == "l" else 0.0) * span
        self.end = printer.right - rng.choice((0.0, 0.0, 0.0, 0.08)) * span

    def add(self, label: str, amount: int, field: str = "", emphasis: str = "", inverted: bool = False) -> None:
        """One label and its amount, which stands for the field if one is named."""
        text = self.money.full(amount) if self.signed else self.money.bare(amount)
        shown = tagged(field, text) if field else Phrase(text)
        if self.apart:
            label = f"{label} {self.money.sign}"
        if self.colon and not label.endswith(":"):
            label += " :"
        if not emphasis and self.rng.random() < self.loud:
            emphasis = "bold"
        begin, fits = (
            self.begin,
            self.printer.setting.type(emphasis).measure(f"{label} {text}") <= self.end - self.begin,
        )
        if not fits:
            begin = self.printer.left
            if self.printer.setting.type(emphasis).measure(f"{label} {text}") > self.end - begin:
                emphasis = "bold" if emphasis else ""
        self.printer.pair(label, shown, emphasis, begin, self.end, self.align, inverted)


def total_lines(rng: random.Random, printer: Printer, sale: Sale, money: Notation) -> None:
    """From the subtotal to the change, and a summary of tax below or above."""
    tax = rng.choice(("GST", "GST", "GST", "SST", "VAT", "Tax", "Service Tax", "Sales Tax", "MwSt"))
    sums = _Sums(rng, printer, money)
    if rng.random() < 0.35:
        pieces = tagged("pieces", str(sale.pieces))
        if rng.random() < 0.4:
            label, count = rng.choice((("Item(s) : ", "Qty(s) : "), ("Items: ", "Pcs: "), ("No.of items ", "Qty ")))
            printer.pair(phrase(label, tagged("item_count", str(len(sale.items)))), phrase(count, pieces))
        else:
            printer.pair(rng.choice(_PIECES), pieces)
        if rng.random() < 0.5:
            printer.rule()
    _before_total(rng, sums, sale, tax)
    emphasis = rng.choice(("", "", "bold", "bold", "wide", "tall", "wide tall", "bold big"))
    ruled = rng.random() < 0.25
    if ruled:
        printer.rule(rng.choice(("-", "=", "thin", printer.setting.rule)))
    label = _total_label(rng, sale, tax, money)
    sums.add(label, sale.total, "total", emphasis, inverted=rng.random() < 0.04)
    if ruled or rng.random() < 0.1:
        printer.rule(rng.choice(("=", "-", "thin", printer.setting.rule)))
    _payment(rng, sums, sale, emphasis if rng.random() < 0.3 else "")
    if sale.rate and rng.random() < 0.6:
        tax_summary(rng, printer, sale, tax, money)


def _before_total(rng: random.Random, sums: _Sums, sale: Sale, tax: str) -> None:
    money, quiet = sums.money, sale.subtotal == sale.total
    if not quiet or rng.random() < 0.5:
        label = rng.choice(_SUBTOTAL)
        sums.add(label, sale.subtotal, "subtotal" if "sub" in label.lower() else "")
    if sale.discount or rng.random() < 0.12:
        sums.add(rng.choice(_DISCOUNT), -sale.discount, "discount" if sale.discount else "")
    if sale.service:
        sums.add(rng.choice(_SERVICE), sale.service, "service")
    if sale.rate and rng.random() < 0.35:
        sums.add(_label(rng, _UNTAXED, tax, money, sale.rate), sale.untaxed, "untaxed")
    if sale.rate and not sale.tax_included:
        sums.add(_label(rng, _TAX, tax, money, sale.rate), sale.tax, "tax")
    elif sale.rate and rng.random() < 0.4:
        sums.add(_label(rng, _INCLUDED, tax, money, sale.rate), sale.tax, "tax")
    if sale.rounding or rng.random() < 0.2:
        if rng.random() < 0.4 and sale.before_rounding != sale.subtotal:
            sums.add(
                _label(rng, _WITH_TAX, tax, money, sale.rate) if sale.rate else "Total before rounding",
                sale.before_rounding,
            )
        sums.add(rng.choice(_ROUNDING), sale.rounding, "rounding")


def _payment(rng: random.Random, sums: _Sums, sale: Sale, emphasis: str) -> None:
    if rng.random() < 0.12:
        return
    if sale.cash:
        sums.add(rng.choice(_CASH), sale.cash, "cash", emphasis)
        if sale.change or rng.random() < 0.7:
            sums.add(rng.choice(_CHANGE), sale.change, "change", emphasis)
        return
    sums.add(rng.choice(_CARDS), sale.total)
    if rng.random() < 0.4:
        sums.printer.text(f"**** **** **** {rng.randint(1000, 9999)}")
    if rng.random() < 0.3:
        sums.printer.text(f"{rng.choice(('APPROVAL CODE ', 'Auth: ', 'APPR CODE: '))}{rng.randint(100_000, 999_999)}")
