"""Filled forms and tickets: short labels, each with a value of its own."""

import random
from collections.abc import Callable

from .invoice import DARK_INKS, office_setting
from .marks import barcode, logo, scribble, square_code
from .moments import write_moment
from .money import choose_notation
from .names import coined, digits, invent_company, person, phone_number
from .page import BLACK, Ink, Mark, Page, rectangle
from .printer import Phrase, Printer, phrase, tagged
from .typefaces import Faces
from .words import FIRST_NAMES

_PALE: tuple[Ink, ...] = (
    (255, 255, 255),
    (255, 255, 255),
    (240, 246, 255),
    (255, 250, 235),
    (238, 250, 240),
    (255, 240, 240),
)
_BANDS: tuple[Ink, ...] = ((20, 70, 140), (160, 30, 50), (20, 110, 90), (50, 50, 60), (210, 120, 20), (100, 50, 130))

Maker = Callable[[random.Random], str]
_FORM_VALUES: dict[str, Maker] = {
    "Full name": lambda rng: f"{rng.choice(FIRST_NAMES)} {coined(rng)}",
    "Date of birth": lambda rng: write_moment(rng)[0],
    "Telephone": phone_number,
    "Passport no.": lambda rng: f"{rng.choice('ABCEHK')}{digits(rng, 8)}",
    "Member ID": lambda rng: f"{rng.choice('MXQ')}-{digits(rng, 5)}",
    "Street": lambda rng: f"{rng.randint(1, 99)} {coined(rng)} Road",
    "Town": coined,
    "Postcode": lambda rng: digits(rng, 5),
    "E-mail": lambda rng: f"{rng.choice(FIRST_NAMES).lower()}@{coined(rng).lower()}.com",
    "Employer": lambda rng: f"{coined(rng)} {rng.choice(('Ltd', 'Group', 'Works', 'Bank'))}",
    "Department": lambda rng: rng.choice(("Sales", "Stores", "Accounts", "Kitchen", "Workshop", "Design")),
    "Nationality": lambda rng: rng.choice(("Malaysian", "Irish", "Kenyan", "Peruvian", "Dutch", "Thai", "Canadian")),
    "Occupation": lambda rng: rng.choice(("Nurse", "Driver", "Teacher", "Welder", "Clerk", "Baker", "Pilot", "Farmer")),
    "Vehicle no.": lambda rng: (
        f"{rng.choice('BJVWK')}{rng.choice('ACDFL')}{rng.choice('RTXY')} {rng.randint(10, 9999)}"
    ),
    "Amount": lambda rng: choose_notation(rng).full(rng.randint(500, 900_000)),
    "Reference": lambda rng: f"{rng.choice('RQZ')}{digits(rng, 6)}",
    "Blood group": lambda rng: rng.choice(("A+", "B+", "O+", "AB-", "O-")),
    "Next of kin": person,
    "Height": lambda rng: f"{rng.randint(150, 198)} cm",
    "Date signed": lambda rng: write_moment(rng)[0],
}
_FORM_TITLES = (
    *("APPLICATION FORM", "Registration", "Membership Application", "CLAIM FORM", "Leave Request", "Visitor Record"),
    *("Patient Details", "DELIVERY NOTE", "Change of Address", "Expense Claim", "Enrolment Form", "Job Sheet"),
)
_TICKET_VALUES: dict[str, Maker] = {
    "From": coined,
    "To": coined,
    "Date": lambda rng: write_moment(rng)[0],
    "Departs": lambda rng: write_moment(rng)[1],
    "Seat": lambda rng: f"{rng.randint(1, 42)}{rng.choice('ABCDEF')}",
    "Gate": lambda rng: f"{rng.choice('ABCD')}{rng.randint(1, 38)}",
    "Coach": lambda rng: rng.choice("ABCDEFGH"),
    "Row": lambda rng: rng.choice("ABCDEFGHJKLMNP"),
    "Platform": lambda rng: str(rng.randint(1, 24)),
    "Hall": lambda rng: str(rng.randint(1, 12)),
    "Class": lambda rng: rng.choice(("Economy", "First", "Standard", "Business", "2nd")),
    "Passenger": lambda rng: f"{rng.choice(FIRST_NAMES)} {coined(rng)}".upper(),
    "Ticket no.": lambda rng: digits(rng, rng.choice((7, 9, 12))),
    "Price": lambda rng: choose_notation(rng).full(rng.randint(150, 24_000)),
    "Booking": lambda rng: "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=6)),
    "Valid until": lambda rng: write_moment(rng)[0],
}
_TICKET_TITLES = (
    *(
        "BOARDING PASS",
        "ADMIT ONE",
        "DAY TICKET",
        "PARKING TICKET",
        "CONCERT",
        "CINEMA TICKET",
        "BUS TICKET",
        "RAIL TICKET",
    ),
    *("MUSEUM ENTRY", "FERRY", "RAFFLE TICKET", "GATE PASS"),
)
LABEL = "label:"
"""Begins the names of fields that are called by a label printed beside or above them."""


def compose_form(seed: str, faces: Faces, width: int) -> Page:
    """A form that was filled in by typewriter or computer."""
    rng = random.Random(seed)
    page = Page(width, colour=rng.random() < 0.5)
    printer = Printer(page, office_setting(rng, faces, width, (44, 66)))
    entry_face = rng.choice((*faces.fixed, rng.choice(faces.plain)))
    entries = printer.with_setting(face=entry_face, ink=rng.choice(DARK_INKS))
    entries.ink = entries.setting.ink
    band = rng.choice(_BANDS) if page.colour else (rng.randint(0, 110),) * 3
    printer.ink = band
    printer.text(
        tagged("title", rng.choice(_FORM_TITLES)),
        rng.choice("lc"),
        rng.choice(("bold big", "big", "bold tall")),
        rng.random() < 0.3,
    )
    printer.ink = printer.setting.ink
    if rng.random() < 0.6:
        printer.text(tagged("company", invent_company(rng).name), emphasis="small")
    printer.gap(0.8)
    labels = rng.sample(list(_FORM_VALUES), rng.randint(5, 13))
    style = rng.choice(("box", "line", "colon", "grid"))
    colons = rng.random() < 0.5
    column = printer.left + max(printer.setting.type().measure(label) for label in labels) + 1.2 * printer.setting.size
    for label in labels:
        value = tagged(LABEL + label, _FORM_VALUES[label](rng))
        top = printer.y
        entries.y = top
        if style == "grid":
            printer.row((printer.left + 4, "l", Phrase(label)), emphasis="small")
            entries.y = printer.y
            entries.row((printer.left + 4, "l", value))
            printer.y = entries.y
            page.printed.append(rectangle(printer.left, top, printer.right, printer.y, printer.ink, 1))
            continue
        shown = Phrase(label + (":" if colons or style == "colon" else ""))
        number = page.rows
        printer.row((printer.left, "l", shown))
        page.rows = number
        entries.row((column, "l", value))
        page.rows = number + 1
        printer.y = max(printer.y, entries.y) + 0.25 * printer.step
        if style == "box":
            page.printed.append(rectangle(column - 5, top - 1, printer.right, printer.y - 0.2 * printer.step, band, 1))
        elif style == "line":
            y = round(printer.y - 0.3 * printer.step)
            page.printed.append(Mark("line", ((column - 5, y), (printer.right, y)), printer.ink, 1))
    printer.gap(1.2)
    if rng.random() < 0.6:
        size = 2.4 * printer.setting.size
        scribble(
            rng,
            page,
            printer.left,
            printer.y + size,
            size,
            rng.randint(4, 8),
            rng.choice(((20, 30, 110), (20, 20, 20))),
            2,
        )
        printer.y += 1.1 * size
        printer.rule()
        printer.text(rng.choice(("Signature", "Signed", "Authorised signature")), emphasis="small")
    page.height = round(printer.y + printer.setting.margin)
    return page


def compose_ticket(seed: str, faces: Faces, width: int) -> Page:
    """A ticket lying on its side: labels above values in a few columns, a code, sometimes a stub."""
    rng = random.Random(seed)
    page = Page(width, colour=rng.random() < 0.7)
    ground = len(page.printed)
    printer = Printer(page, office_setting(rng, faces, width, (40, 56)))
    band = rng.choice(_BANDS) if page.colour else BLACK
    title, issuer = rng.choice(_TICKET_TITLES), invent_company(rng).name
    printer.ink = band
    printer.text(
        tagged("title", title), rng.choice("lc"), rng.choice(("bold big", "bold tall", "bold wide")), rng.random() < 0.4
    )
    printer.ink = printer.setting.ink
    printer.text(tagged("company", issuer))
    printer.gap(0.4)
    chosen = rng.sample(list(_TICKET_VALUES), rng.randint(4, 9))
    per_row = rng.choice((2, 3))
    span = (printer.right - printer.left) * rng.choice((1.0, 0.75))
    large = rng.choice(("bold", "", "bold"))
    while chosen:
        row, chosen = chosen[:per_row], chosen[per_row:]
        xs = [printer.left + span * k / per_row for k in range(len(row))]
        values = [tagged(LABEL + label, _TICKET_VALUES[label](rng)) for label in row]
        if max(printer.setting.type(large).measure(value.text) for value in values) > 0.94 * span / per_row:
            for label, value in zip(row, values, strict=True):
                printer.text(phrase(f"{label}: ", value))
            continue
        printer.row(*((x, "l", Phrase(label)) for x, label in zip(xs, row, strict=True)), emphasis="small")
        printer.row(*((x, "l", value) for x, value in zip(xs, values, strict=True)), emphasis=large)
        printer.gap(0.3)
    if span < printer.right - printer.left:
        x = printer.left + 1.03 * span
        for y in range(0, round(printer.y), 8):
            page.printed.append(Mark("line", ((x, y), (x, y + 4)), band, 1))
        side = printer.right - x
        if rng.random() < 0.6:
            square_code(rng, page, x + side / 2 + 4, 0.35 * printer.y, 0.8 * side, BLACK)
        else:
            logo(rng, page, faces, x + side / 2 + 4, 0.35 * printer.y, 0.5 * side, band)
    elif rng.random() < 0.6:
        barcode(rng, page, page.width / 2, printer.y + 4, 0.7 * page.width, 0.09 * page.width, BLACK)
        printer.y += 0.1 * page.width + 8
    page.height = round(printer.y + printer.setting.margin * 0.6)
    pale = rng.choice(_PALE)
    if page.colour and pale != (255, 255, 255):
        page.printed.insert(ground, rectangle(0, 0, page.width, page.height, pale))
    return page
