"""What stands above and below the goods of a receipt: who issued it, its numbers, and what is said in parting."""

import random

from .moments import write_moment
from .names import Company, cashier, coined, digits, person, phone_number
from .printer import Phrase, Printer, phrase, tagged
from .words import LOYALTY, POLICIES, THANKS, TITLES

_PHONE_LABELS = ("TEL: ", "Tel: ", "Tel : ", "TEL:", "Phone: ", "Tel No.: ", "T: ", "Contact : ", "Ph ", "")
_TAX_LABELS = (
    "GST NO: ",
    "GST ID : ",
    "GST Reg No: ",
    "(GST ID No: ",
    "VAT No. ",
    "GST REG #",
    "SST No: ",
    "VAT Reg. ",
    "Tax ID: ",
)
_NUMBER_LABELS = (
    *(
        "Receipt No: ",
        "RECEIPT #: ",
        "Invoice No : ",
        "INV NO: ",
        "Bill No: ",
        "Doc No : ",
        "Document No : ",
        "Slip No. ",
    ),
    *("Trans#: ", "Check #", "Order No. ", "Bill#: ", "Rcpt ", "Invoice # : ", "TXN: ", "CS No: "),
)
_DATE_LABELS = (
    "Date: ",
    "DATE : ",
    "Date ",
    "Date :",
    "Bill Date: ",
    "Invoice Date : ",
    "Trans. Date: ",
    "DATE: ",
    "",
    "",
    "",
)
_TIME_LABELS = ("Time: ", "TIME : ", "", "", "")
_CASHIER_LABELS = (
    "Cashier: ",
    "CASHIER : ",
    "Served by ",
    "Server: ",
    "Salesperson : ",
    "Staff: ",
    "Operator ",
    "User : ",
    "OP ",
)


def document_number(rng: random.Random) -> str:
    """A number as a till or an office counts its papers."""
    length = rng.choice((3, 4, 5, 6, 6, 7, 8))
    prefix = rng.choice(("", "", "CS", "INV-", "OR", "R", "A0", "CS-", "B", "V001-", "IV-", "CSP0", "#"))
    middle = rng.choice(("", "", "", f"{digits(rng, 4)}/", f"{digits(rng, 2)}-", f"{digits(rng, 4)}-"))
    return prefix + middle + digits(rng, length)


def company_lines(rng: random.Random, printer: Printer, company: Company, align: str, emphasis: str) -> None:
    """The name, registration, address and ways to reach the company."""
    printer.text(tagged("company", company.name), align, emphasis)
    if rng.random() < 0.06:
        printer.text(f"(formerly {coined(rng).upper()} TRADING)", align)
    if company.registration:
        form = rng.choice(("({})", "({})", "{}", "Co. Reg. No: {}", "CO REG : {}", "Reg No. {}", "(Co.Reg: {})"))
        before, after = form.split("{}")
        printer.text(phrase(before, tagged("registration", company.registration), after), align)
    for line in company.address:
        printer.text(line, align)
    number = phrase(rng.choice(_PHONE_LABELS), tagged("phone", company.phone)) if rng.random() < 0.8 else Phrase("")
    if number.text and company.fax and rng.random() < 0.6:
        number = phrase(number, rng.choice(("  FAX: ", " Fax:", " / Fax : ")), company.fax)
    if number.text:
        printer.text(number, align)
    if rng.random() < 0.12:
        printer.text(rng.choice((f"www.{company.site}.com", f"info@{company.site}.com", f"{company.site}.net")), align)
    if company.tax_number:
        label = rng.choice(_TAX_LABELS)
        after = ")" if label.startswith("(") else ""
        printer.text(phrase(label, tagged("tax_number", company.tax_number), after), align)


def title(rng: random.Random, printer: Printer, align: str, choices: tuple[str, ...] = TITLES) -> None:
    """What kind of paper it is, with some room around."""
    printer.gap(rng.choice((0.3, 0.6, 1.0)))
    emphasis = rng.choice(("", "", "bold", "wide", "bold tall", "tall"))
    underlined = rng.random() < 0.1
    printer.text(rng.choice(choices), align, emphasis, inverted=not underlined and rng.random() < 0.05)
    if underlined:
        printer.underline()
    printer.gap(rng.choice((0.0, 0.3, 0.6)))


def _details(rng: random.Random) -> list[Phrase]:
    """Labelled numbers of one purchase, a phrase each; the date and the number come first."""
    date, time = write_moment(rng)
    label = rng.choice(_DATE_LABELS)
    when = phrase(label, tagged("date", date))
    moment = phrase(rng.choice(_TIME_LABELS), tagged("time", time))
    if rng.random() < 0.6:
        found = [phrase(when, rng.choice((" ", "  ", "   ", " - ")), moment)]
    else:
        found = [when, moment] if rng.random() < 0.8 else [when]
    if rng.random() < 0.85:
        found.append(phrase(rng.choice(_NUMBER_LABELS), tagged("number", document_number(rng))))
    if rng.random() < 0.7:
        found.append(phrase(rng.choice(_CASHIER_LABELS), tagged("cashier", cashier(rng))))
    table = rng.choice(("Table: ", "TABLE NO: ", "Tbl ", "Table "))
    more = (
        phrase(
            table, tagged("table", rng.choice((str(rng.randint(1, 40)), f"{rng.choice('ABCT')}{rng.randint(1, 20)}")))
        ),
        phrase(
            rng.choice(("Terminal: ", "Till ", "Counter : ", "POS: ", "Reg ")), rng.choice(("01", "T1", "02", "POS-3"))
        ),
        Phrase(rng.choice(("CASH", "Cash Sales", "DINE IN", "TAKE AWAY", "COUNTER SALES", "Ref. :", "Pax(s): 2"))),
        phrase("Customer: ", rng.choice(("CASH", person(rng), "WALK-IN", person(rng).upper()))),
    )
    found += [each for each in more if rng.random() < 0.22]
    return found


def detail_lines(rng: random.Random, printer: Printer) -> None:
    """Date, time, number, cashier and the like: below each other or two in a row."""
    found = _details(rng)
    if rng.random() < 0.5:
        rng.shuffle(found)
    aligned = rng.random() < 0.3
    two = rng.random() < 0.4
    type_ = printer.setting.type()
    half = (printer.left + printer.right) / 2
    while found:
        first = found.pop(0)
        width = type_.measure(first.text)
        if two and found and width + type_.measure(found[0].text + "  ") < printer.right - printer.left:
            second = found.pop(0)
            if rng.random() < 0.5 and width < half - printer.left and type_.measure(second.text) < printer.right - half:
                printer.row((printer.left, "l", first), (half, "l", second))
            else:
                printer.row((printer.left, "l", first), (printer.right, "r", second))
        elif aligned and ":" in first.text and len(first.text.split(":", 1)[0]) < 12 and first.tags:
            cut = first.tags[0].begin
            rest = Phrase(first.text[cut:], tuple(type(t)(t.name, t.begin - cut, t.end - cut) for t in first.tags))
            column = printer.left + 13 * type_.measure("0")
            if column + type_.measure(": " + rest.text) < printer.right:
                head = phrase(first.text[:cut].replace(":", "").strip())
                printer.row((printer.left, "l", head), (column, "l", phrase(": ", rest)))
            else:
                printer.text(first)
        else:
            printer.text(first)


def _said(line: str, phone: str) -> Phrase:
    """The line; a phone number in it is another one than that of the company's head."""
    before, found, after = line.partition(phone) if phone else (line, "", "")
    return phrase(before, tagged("other phone", found), after) if found else phrase(line)


def parting_lines(rng: random.Random, printer: Printer, align: str) -> None:
    """Thanks, rules of exchange and loyalty, in any order."""
    said = rng.sample(POLICIES, rng.choice((0, 0, 1, 1, 2, 3))) + rng.sample(THANKS, rng.choice((0, 1, 1, 1, 2)))
    care = ""
    for line in rng.sample(LOYALTY, rng.choice((0, 0, 0, 1, 2))):
        values = {
            "n": rng.randint(2, 980),
            "long": digits(rng, 10),
            "four": digits(rng, 4),
            "two": digits(rng, 2),
            "name": person(rng),
            "site": coined(rng).lower(),
            "phone": phone_number(rng),
        }
        said.append(line.format(**values))
        if "{phone}" in line:
            care = str(values["phone"])
    rng.shuffle(said)
    upper, spaced = rng.random() < 0.4, rng.random() < 0.25
    for line in said:
        printer.text(_said(line.upper() if upper else line, care), align, "bold" if rng.random() < 0.08 else "")
        if spaced:
            printer.gap(0.5)
