"""Receipts: what a till prints on a roll of paper."""

import random

from .marks import barcode, logo, square_code, write_over
from .money import choose_notation
from .names import digits, invent_company
from .page import Page
from .printer import Printer, Setting, tagged
from .receipt_head import company_lines, detail_lines, parting_lines, title
from .receipt_items import item_lines
from .receipt_totals import total_lines
from .sale import invent_sale
from .typefaces import Faces, Type


def till_setting(rng: random.Random, faces: Faces, width: int) -> Setting:
    """A random way in which tills print on paper `width` pixels wide: most at one pitch, narrow and tall, some in dots."""
    fixed = rng.random() < 0.72
    margin = round(width * rng.choice((0.03, 0.05, 0.07, 0.1)))
    columns = rng.choice((30, 32, 34, 36, 38, 40, 40, 42, 42, 44, 48))
    pitch = (width - 2 * margin) / columns
    face = rng.choice(faces.fixed if fixed else faces.plain)
    dots = rng.choice((8, 9, 10)) if fixed and pitch > 8.5 and rng.random() < 0.22 else 0
    tall = rng.choice((1.0, 1.15, 1.3, 1.45)) if fixed else rng.choice((1.0, 1.0, 1.15))
    wide = 1.0 if fixed or rng.random() < 0.7 else rng.uniform(0.8, 0.95)
    size = max(9, round(pitch / 0.6 if fixed else pitch / 0.52))
    leading = rng.uniform(1.38, 1.9) * (1.1 if tall == 1.0 else 1.0)
    least = 7.5 / Type(face, size, 1.0, 1.0, 0.0, 0, False).capitals
    return Setting(
        face,
        faces.bold_of(face, rng),
        size,
        wide,
        max(tall, least),
        pitch if fixed else 0.0,
        dots,
        heavy=pitch > 10 and rng.random() < 0.2,
        leading=leading,
        margin=margin,
        rule=rng.choice(("-", "-", "-", "-", "=", "=", "*", "_", "thin", "thick", ".")),
    )


def compose_receipt(seed: str, faces: Faces, width: int) -> Page:
    """A receipt on paper about `width` pixels wide; the same seed at another width says the same."""
    rng = random.Random(seed)
    company = invent_company(rng)
    sale = invent_sale(rng, company.trade)
    money = choose_notation(rng)
    page = Page(width)
    printer = Printer(page, till_setting(random.Random(f"setting {seed}"), faces, width))
    printer.y = width * rng.choice((0.02, 0.05, 0.1, 0.2, 0.3))
    align = rng.choice(("c", "c", "c", "l"))
    if rng.random() < 0.2:
        height = width * rng.uniform(0.1, 0.2)
        logo(rng, page, faces, width / 2 if align == "c" else 0.25 * width, printer.y, height, printer.ink)
        printer.y += height + printer.step * 0.4
    early_title = rng.random() < 0.15
    if early_title:
        title(rng, printer, align)
    company_lines(rng, printer, company, align, rng.choice(("", "", "bold", "wide", "bold tall", "tall", "bold big")))
    if not early_title and rng.random() < 0.7:
        title(rng, printer, rng.choice((align, align, "c")))
    details_first = rng.random() < 0.8
    printer.gap(rng.choice((0.0, 0.4, 1.0)))
    if details_first:
        if rng.random() < 0.5:
            printer.rule()
        detail_lines(rng, printer)
    printer.rule()
    item_lines(rng, printer, sale, money)
    printer.rule()
    total_lines(rng, printer, sale, money)
    if rng.random() < 0.5:
        printer.rule()
    if not details_first:
        detail_lines(rng, printer)
    printer.gap(rng.choice((0.3, 1.0, 2.0)))
    parting_lines(rng, printer, rng.choice((align, "c")))
    _codes(rng, printer)
    page.height = round(printer.y + width * rng.choice((0.03, 0.08, 0.15, 0.25)))
    if rng.random() < 0.3:
        write_over(rng, page, faces, colour=False)
    return page


def _codes(rng: random.Random, printer: Printer) -> None:
    """A barcode with its number, or a square code, at times."""
    page, kind = printer.page, rng.random()
    if kind < 0.16:
        printer.gap(0.5)
        height = page.width * rng.uniform(0.08, 0.14)
        barcode(rng, page, page.width / 2, printer.y, page.width * rng.uniform(0.45, 0.7), height, printer.ink)
        printer.y += height
        printer.text(tagged("barcode", digits(rng, rng.choice((12, 13, 18)))), "c")
    elif kind < 0.23:
        printer.gap(0.5)
        side = page.width * rng.uniform(0.2, 0.35)
        square_code(rng, page, page.width / 2, printer.y, side, printer.ink)
        printer.y += side + printer.step
