"""Invoices and quotations on office paper: letterhead, customer, a ruled table of goods, totals, terms."""

import random

from .marks import logo, write_over
from .moments import write_moment
from .money import Notation, choose_notation, write_quantity
from .names import Company, invent_company, phone_number
from .page import BLACK, Ink, Mark, Page, rectangle
from .printer import Phrase, Printer, Setting, phrase, tagged
from .receipt_head import company_lines, document_number
from .sale import Sale, invent_sale
from .typefaces import Faces

DARK_INKS: tuple[Ink, ...] = (BLACK, BLACK, (30, 30, 40), (20, 40, 90), (60, 20, 20), (10, 70, 60))
_ACCENTS: tuple[Ink, ...] = (
    (30, 60, 120),
    (150, 30, 40),
    (20, 100, 80),
    (70, 70, 75),
    (200, 110, 20),
    (90, 50, 120),
    BLACK,
)
_TITLES = (
    "INVOICE",
    "Tax Invoice",
    "TAX INVOICE",
    "Invoice",
    "QUOTATION",
    "Delivery Order",
    "Sales Invoice",
    "CREDIT NOTE",
)
_TERMS = (
    "Net 30 days",
    "C.O.D.",
    "Payable within 14 days.",
    "Cash on delivery",
    "Terms: 30 days",
    "Payment due on receipt",
)


def office_setting(rng: random.Random, faces: Faces, width: int, per_row: tuple[int, int] = (62, 84)) -> Setting:
    """Proportional type (now and then a typewriter's) of about that many characters a row of paper `width` pixels wide."""
    typed = rng.random() < 0.15
    size = max(10, round(width / rng.uniform(*per_row) / (0.6 if typed else 0.5)))
    face = rng.choice(faces.fixed if typed else faces.plain)
    return Setting(
        face,
        faces.bold_of(face, rng),
        size,
        leading=rng.uniform(1.7, 2.2),
        margin=round(width * rng.uniform(0.05, 0.09)),
        rule="thin",
        ink=rng.choice(DARK_INKS),
    )


def compose_invoice(seed: str, faces: Faces, width: int) -> Page:
    """An invoice on paper `width` pixels wide; the same seed at another width says the same."""
    rng = random.Random(seed)
    company, customer = invent_company(rng), invent_company(rng)
    sale = invent_sale(rng, company.trade, 10)
    money = choose_notation(rng)
    page = Page(width, colour=rng.random() < 0.6)
    printer = Printer(page, office_setting(random.Random(f"setting {seed}"), faces, width))
    accent = rng.choice(_ACCENTS) if page.colour else BLACK
    _letterhead(rng, printer, company, faces, accent)
    printer.gap(1)
    _parties(rng, printer, customer)
    printer.gap(1)
    _table(rng, printer, sale, money, accent)
    _sums(rng, printer, sale, money)
    printer.gap(rng.uniform(1, 3))
    for line in (
        rng.choice(_TERMS),
        f"Bank: {rng.choice(('Account', 'IBAN', 'A/C'))} {rng.randint(10**9, 10**10)}",
        "E. & O. E.",
    ):
        if rng.random() < 0.6:
            printer.text(line, emphasis="small")
    page.height = max(round(width * rng.choice((0.7, 1.0, 1.41))), round(printer.y + printer.setting.margin))
    if rng.random() < 0.25:
        write_over(rng, page, faces, page.colour)
    return page


def _letterhead(rng: random.Random, printer: Printer, company: Company, faces: Faces, accent: Ink) -> None:
    page, top = printer.page, printer.y
    left_part = printer.narrower(printer.left, printer.left + 0.58 * (printer.right - printer.left))
    if rng.random() < 0.5:
        height = page.width * rng.uniform(0.06, 0.1)
        logo(rng, page, faces, printer.left + height, top, height, accent)
        left_part.left += 2.25 * height
    company_lines(rng, left_part, company, "l", rng.choice(("bold", "bold big", "big")))
    right_part = printer.narrower(left_part.right, printer.right)
    right_part.y = top
    right_part.ink = accent
    right_part.text(tagged("title", rng.choice(_TITLES)), "r", rng.choice(("bold big", "big", "bold tall")))
    right_part.ink = printer.ink
    date, _ = write_moment(rng)
    due, _ = write_moment(rng)
    right_part.gap(0.5)
    found = [
        phrase(rng.choice(("Invoice No: ", "No. ", "Invoice # ", "Ref: ")), tagged("number", document_number(rng))),
        phrase(rng.choice(("Date: ", "Invoice date: ", "Date ", "Issued ")), tagged("date", date)),
    ]
    if rng.random() < 0.4 and due != date:
        found.append(phrase(rng.choice(("Due date: ", "Due: ", "Pay by ")), tagged("due date", due)))
    for line in found:
        right_part.text(line, "r")
    printer.y = max(left_part.y, right_part.y)
    if rng.random() < 0.5:
        y = round(printer.y + 4)
        page.printed.append(Mark("line", ((printer.left, y), (printer.right, y)), accent, rng.choice((1, 2, 4))))
        printer.y += 8


def _parties(rng: random.Random, printer: Printer, customer: Company) -> None:
    printer.text(rng.choice(("Bill to:", "BILL TO", "Customer", "Sold to:", "To:")), emphasis="bold")
    printer.text(tagged("customer", customer.name))
    for line in customer.address:
        printer.text(line)
    if rng.random() < 0.4:
        printer.text(phrase("Attn: ", tagged("other phone", phone_number(rng))))


def _table(rng: random.Random, printer: Printer, sale: Sale, money: Notation, accent: Ink) -> None:
    page, span = printer.page, printer.right - printer.left
    numbered = rng.random() < 0.5
    begin = printer.left + (0.06 * span if numbered else 0.01 * span)
    stops = (printer.left + 0.62 * span, printer.left + 0.8 * span, printer.right - 0.01 * span)
    top = printer.y
    heads = rng.choice(
        (
            ("Description", "Qty", "Unit price", "Amount"),
            ("Item", "Quantity", "Price", "Total"),
            ("DESCRIPTION", "QTY", "RATE", "AMOUNT"),
            ("Particulars", "Qty", "U/Price", "Amt"),
        )
    )
    cells = [
        (begin, "l", Phrase(heads[0])),
        *((x, "r", Phrase(head)) for x, head in zip(stops, heads[1:], strict=True)),
    ]
    if numbered:
        cells.insert(0, (printer.left + 3, "l", Phrase("#")))
    look = rng.choice(("filled", "ruled", "boxed"))
    header = printer.narrower(printer.left, printer.right)
    header.ink = accent if look == "filled" else printer.ink
    header.row(*cells, emphasis="bold", inverted=look == "filled")
    printer.y = header.y
    if look != "filled":
        printer.rule("thin")
    type_ = printer.setting.type()
    room = stops[0] - begin - type_.measure("0.000  ")
    for k, item in enumerate(sale.items):
        name = f"item.{k}"
        if page.colour and look == "filled" and k % 2:
            pale = tuple(255 - (255 - c) // 9 for c in accent)
            shade = rectangle(printer.left - 4, printer.y, printer.right + 4, printer.y + printer.step, pale)
            page.printed.append(shade)
        amount = money.bare(item.price + item.discount)
        first, *rest = tagged(f"{name}.name", item.name).wrap(type_, room)
        printer.row(
            (printer.left + 3, "l", Phrase(str(k + 1) if numbered else "")),
            (begin, "l", first),
            (stops[0], "r", tagged(f"{name}.quantity", write_quantity(rng, item.quantity))),
            (stops[1], "r", tagged(f"{name}.unit_price", money.bare(item.unit_price))),
            (stops[2], "r", Phrase(amount) if item.discount else tagged(f"{name}.price", amount)),
        )
        for line in rest:
            printer.row((begin, "l", line))
        if item.discount:
            printer.row(
                (begin, "l", Phrase("Discount")),
                (stops[2], "r", tagged("item discount", f"-{money.bare(item.discount)}")),
            )
    if look == "boxed":
        page.printed.append(rectangle(printer.left - 4, top, printer.right + 4, printer.y + 3, printer.ink, 1))
        for x in (*stops[:2], begin):
            x += 6 if x != begin else -4
            page.printed.append(Mark("line", ((x, top), (x, printer.y + 3)), printer.ink, 1))
    else:
        printer.rule("thin")
    printer.gap(0.3)


def _sums(rng: random.Random, printer: Printer, sale: Sale, money: Notation) -> None:
    begin = printer.left + rng.choice((0.5, 0.58)) * (printer.right - printer.left)
    end = printer.right - 0.01 * (printer.right - printer.left)
    tax = rng.choice(("VAT", "GST", "Sales tax", "Tax"))
    rows = [("Subtotal", money.bare(sale.subtotal), "subtotal")]
    if sale.discount:
        rows.append(("Discount", money.bare(-sale.discount), "discount"))
    if sale.service:
        rows.append(("Service charge", money.bare(sale.service), "service"))
    if sale.rate:
        included = " (included)" if sale.tax_included else ""
        rows.append((f"{tax} {money.rate(sale.rate)}%{included}", money.bare(sale.tax), "tax"))
    if sale.rounding:
        rows.append(("Rounding", money.bare(sale.rounding), "rounding"))
    for label, amount, name in rows:
        printer.pair(label, tagged(name, amount), begin=begin, end=end)
    total = tagged("total", money.full(sale.total))
    label = rng.choice(("Total", "TOTAL", "Amount due", "Grand total", "Balance due", "Total payable"))
    printer.pair(label, total, rng.choice(("bold", "bold big", "bold")), begin=begin, end=end)
