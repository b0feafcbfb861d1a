"""Price lists and menus: sections of goods with dotted lines to their prices."""

import random

from .goods import GOODS
from .invoice import DARK_INKS, office_setting
from .money import Notation, choose_notation
from .names import goods_names, invent_company
from .page import BLACK, Ink, Page, rectangle
from .printer import Printer, tagged
from .sale import likely_price
from .typefaces import Faces

_BOARDS: tuple[tuple[Ink, Ink], ...] = (
    ((255, 255, 255), BLACK),
    ((255, 255, 255), (60, 20, 20)),
    ((250, 244, 228), (70, 45, 20)),
    ((35, 38, 40), (240, 240, 235)),
    ((24, 60, 50), (245, 240, 220)),
    ((255, 246, 200), (150, 20, 30)),
)
_TITLES = {
    "food": ("MENU", "Our Menu", "Today's Specials", "Lunch", "DRINKS & MORE", "Breakfast Menu"),
    "": ("PRICE LIST", "Price List", "OFFERS THIS WEEK", "Our Prices", "SPECIAL OFFERS", "SALE", "Catalogue"),
}
_SECTIONS = {
    "food": ("Starters", "Mains", "Drinks", "Sides", "Desserts", "For two", "Noodles", "From the grill"),
    "": ("New", "Favourites", "Clearance", "For members", "Aisle 3", "Top picks", "Basics", "Season"),
}


def compose_price_list(seed: str, faces: Faces, width: int) -> Page:
    """A list of up to sixteen goods and what each costs."""
    rng = random.Random(seed)
    company = invent_company(rng)
    ground, ink = rng.choice(_BOARDS)
    page = Page(width, colour=True)
    setting = office_setting(rng, faces, width, (30, 46))
    printer = Printer(page, setting)
    printer.ink = ink if ink != BLACK else rng.choice(DARK_INKS)
    group = company.trade if company.trade in _TITLES else ""
    if rng.random() < 0.7:
        printer.text(tagged("company", company.name), "c", rng.choice(("bold", "", "big")))
    printer.text(tagged("title", rng.choice(_TITLES[group])), "c", rng.choice(("bold big", "big", "bold tall")))
    printer.gap(0.6)
    money = choose_notation(rng)
    names = goods_names(rng, company.trade, rng.randint(4, 16))
    sections = rng.sample(_SECTIONS[group], rng.choice((0, 0, 2, 3)))
    every = -(-len(names) // max(1, len(sections)))
    dotted, cased = rng.choice((".", ".", " ", "_", " .")), rng.random() < 0.5
    lead = rng.choice(("", "", "bold"))
    for k, name in enumerate(names):
        if sections and k % every == 0:
            printer.gap(0.4)
            printer.text(sections[k // every], rng.choice("lc"), "bold")
        name = name.title().replace("'S", "'s") if cased else name
        _entry(printer, f"item.{k}", name, likely_price(rng, *GOODS[company.trade][3]), money, dotted, lead)
    printer.gap(0.8)
    if rng.random() < 0.4:
        printer.text(
            rng.choice(("Prices include tax", "Service not included", "While stocks last", "Ask our staff")),
            "c",
            "small",
        )
    page.height = round(printer.y + setting.margin)
    if ground != (255, 255, 255):
        page.printed.insert(0, rectangle(0, 0, page.width, page.height, ground))
    return page


def _entry(printer: Printer, key: str, name: str, price: int, money: Notation, dotted: str, emphasis: str) -> None:
    """One article; what lies between it and its price is decoration of the same row."""
    type_ = printer.setting.type(emphasis)
    amount = tagged(f"{key}.price", money.full(price))
    *before, last = tagged(f"{key}.name", name).wrap(
        type_, printer.right - printer.left - type_.measure(amount.text + "....")
    )
    for line in before:
        printer.row((printer.left, "l", line), emphasis=emphasis)
    begin = printer.left + type_.measure(last.text + " ")
    end = printer.right - type_.measure(" " + amount.text)
    count = max(0, int((end - begin) / type_.measure(dotted)))
    printer.row((printer.left, "l", last), (printer.right, "r", amount), emphasis=emphasis)
    printer.decorate(end - count * type_.measure(dotted), dotted * count, emphasis)
