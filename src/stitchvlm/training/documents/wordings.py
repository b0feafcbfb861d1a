"""What users ask about documents, by kind of question. Braces are filled with names, texts or boxes."""


def _each(wordings: str) -> tuple[str, ...]:
    return tuple(wordings.split("|"))


FIELDS: dict[str, tuple[str, ...]] = {
    "total": _each(
        "What is the total?|What is the total amount?|How much is the total?|What does it come to in total?|"
        "How much has to be paid?|What is the amount to pay?|Tell me the total.|Give the final total.|total?|"
        "What was the bill?|How much did all of it cost?|What is the sum total on this paper?|Read the total amount."
    ),
    "date": _each(
        "What is the date?|What is the date on it?|When was this issued?|Which date is printed?|date?|"
        "On what day was this printed?|Give the date.|What date does it show?|What day was the purchase?|"
        "Read the date.|What is the date on the receipt?"
    ),
    "time": _each(
        "What time is printed?|At what time was this?|What is the time?|Give the time of day.|Read the time.|time?|"
        "What time does it show?|When during the day was it issued?"
    ),
    "company": _each(
        "Which company issued this?|What is the name of the company?|Who is it from?|What is the shop called?|"
        "Name the company.|Which business is named at the top?|Who issued it?|What company is this from?|company?|"
        "Read the name of the seller.|From which shop is it?|Which company issued the receipt?"
    ),
    "tax": _each(
        "How much is the tax?|What is the tax amount?|How much tax is in it?|Give the amount of tax.|tax amount?|"
        "What was paid in tax?|Read the tax.|How much of it is tax?"
    ),
    "subtotal": _each(
        "What is the subtotal?|How much is the subtotal?|Give the subtotal.|subtotal?|Read the subtotal.|"
        "What does the subtotal come to?|Which amount is the subtotal?"
    ),
    "cash": _each(
        "How much cash was given?|How much was paid in cash?|What is the cash amount?|Give the cash received.|cash?|"
        "How much did the customer hand over?|What was tendered?"
    ),
    "change": _each(
        "How much change was given?|What is the change?|How much came back?|Give the change.|change?|"
        "What change did the customer get?|How much money was returned?"
    ),
    "rounding": _each(
        "What is the rounding?|By how much was it rounded?|Give the rounding adjustment.|How large is the rounding?"
    ),
    "discount": _each("What is the discount?|How much was taken off?|Give the discount.|How large is the discount?"),
    "service": _each("How much is the service charge?|What is charged for service?|Give the service charge."),
    "number": _each(
        "What is the document number?|What is the receipt number?|Which number does this document have?|"
        "Give the number of this document.|Read the document number.|document number?|"
        "Under which number was it issued?"
    ),
    "phone": _each(
        "What is the phone number?|Which telephone number is given?|How can they be called?|Give the phone number.|"
        "phone?|Read the telephone number.|What number can be called?"
    ),
    "registration": _each(
        "What is the company's registration number?|Give the registration number.|Under which number is it registered?"
    ),
    "tax_number": _each("What is the tax number?|Give the tax registration number.|Which tax ID is printed?"),
    "cashier": _each("Who was the cashier?|Who served?|Which cashier is named?|Name the cashier."),
    "table": _each("Which table was it?|What is the table number?|Give the table."),
    "customer": _each("Who is the customer?|To whom is it addressed?|Who is billed?|Name the customer."),
    "due date": _each("When is it due?|What is the due date?|By when must it be paid?|Give the due date."),
    "pieces": _each("What is the total quantity?|How many pieces were bought?|Give the number of pieces."),
    "barcode": _each("What number is below the barcode?|Read the number of the barcode."),
    "title": _each("What is the title?|What is it headed?|Read the title.|What does the heading say?|title?"),
    "sign": _each(
        "What does the sign say?|Read the sign.|What is written on the sign?|What is the text of the sign?|"
        "What can be read here?|sign?|What words are on the board?"
    ),
}
LABELLED = _each(
    "What is the {label}?|{label}?|What is given for {label}?|What stands under {label}?|Read the {label}.|"
    "What was entered for {label}?|Which {label} is shown?|Give the {label}."
)
PRICE = _each(
    "How much is {name}?|What does {name} cost?|What is the price of {name}?|How much was {name}?|Price of {name}?|"
    "How much does {name} cost?|Read the price of {name}.|What was charged for {name}?"
)
AMOUNT = _each(
    "Which amount is printed for {name}?|What does the line for {name} come to?|Amount for {name}?|"
    "What is the amount for all {name} together?|How much do all {name} come to?"
)
UNIT_PRICE = _each(
    "What is the unit price of {name}?|How much is one {name}?|What does a single {name} cost?|Unit price of {name}?|"
    "What is the price of each {name}?"
)
QUANTITY = _each(
    "How many {name} were bought?|What is the quantity of {name}?|How much of {name} was bought?|Quantity of {name}?|"
    "Which quantity stands at {name}?|How many are there of {name}?"
)
COUNT = _each(
    "How many items are listed?|How many different items are there?|Count the items.|"
    "How many kinds of goods are listed?|How many lines of goods are there?"
)
AFTER = _each(
    'What is the line after "{text}"?|Read the line below "{text}".|What stands under "{text}"?|'
    'Which line follows "{text}"?|What comes right after the line "{text}"?|Read the next line after "{text}".'
)
BEGINS = _each(
    'Read the line that begins with "{text}".|Which line starts with "{text}"?|'
    'What does the line beginning "{text}" say?|Read all of the line that starts "{text}".|'
    'Complete the line "{text}".'
)
FIRST = _each("What is the first line?|Read the first line.|What stands at the very top?|Which text is the uppermost?")
LAST = _each("What is the last line?|Read the last line.|What stands at the very bottom?|Which text is the lowest?")
WHERE = _each(
    'Where is "{text}"?|Where does it say "{text}"?|Find "{text}".|Give the box of "{text}".|Locate "{text}".|'
    'At which place is "{text}" written?'
)
WHERE_FIELD = _each(
    "Where is the {name}?|Where does the {name} stand?|Find the {name}.|Locate the {name}.|Box of the {name}?"
)
AT = _each("What is written at {box}?|Read {box}.|Which text stands in {box}?|What does it say at {box}?")
VALUE = _each(
    "What is the value for {name}?|How much is {name}?|Which value does {name} have?|What value is shown for {name}?|"
    "Value of {name}?|How high is {name}?"
)
LARGEST = _each(
    "Which has the largest value?|What is the highest in the chart?|Which one is the largest?|"
    "Name the one with the most.|Which name has the greatest value?|Whose value is the highest?"
)
SMALLEST = _each(
    "Which has the smallest value?|Which one is the lowest?|Name the one with the least.|Whose value is the lowest?"
)
FIGURES: dict[str, tuple[str, ...]] = {
    "bars": _each(
        "How many bars are there?|Count the bars.|How many bars does the chart have?|What is the number of bars?"
    ),
    "curve": _each("How many points does the line have?|Count the points on the line.|How many values are plotted?"),
    "pie": _each("How many slices are there?|Count the slices.|How many parts does the pie have?"),
}
