"""What is bought adds up to what is paid, on paper and in the pictures' ground truth."""

import random
import re

import pytest

from stitchvlm.training.documents.goods import GOODS
from stitchvlm.training.documents.money import Notation, choose_notation
from stitchvlm.training.documents.sale import invent_sale


@pytest.mark.parametrize("trade", GOODS)
def test_the_arithmetic_of_a_sale_is_exact(trade):
    for seed in range(60):
        sale = invent_sale(random.Random(seed), trade)
        for item in sale.items:
            assert abs(1000 * (item.price + item.discount) - item.quantity * item.unit_price) <= 500
        assert sale.subtotal == sum(item.price for item in sale.items)
        before = sale.subtotal - sale.discount + sale.service + (0 if sale.tax_included else sale.tax)
        assert sale.before_rounding == before and sale.total == before + sale.rounding > 0
        assert abs(sale.rounding) <= 2 and (not sale.rounding or sale.total % 5 == 0)
        assert abs(10_000 * sale.tax - sale.taxable * sale.rate) <= 10_000
        assert sale.change == (sale.cash - sale.total if sale.cash else 0) >= 0


def test_sales_vary():
    sales = [invent_sale(random.Random(seed), "food") for seed in range(200)]
    for trait in ("discount", "service", "tax", "rounding", "cash", "change"):
        assert 10 < sum(bool(getattr(sale, trait)) for sale in sales) < 200, trait
    assert {sale.tax_included for sale in sales} == {True, False}
    assert len({len(sale.items) for sale in sales}) > 8


@pytest.mark.parametrize(
    ("notation", "amount", "text"),
    [
        (Notation("RM"), 123456, "RM1,234.56"),
        (Notation("RM", grouped=False, spaced=True), 123456, "RM 1234.56"),
        (Notation("€", after=True, comma=True, spaced=True), 123456, "1.234,56 €"),
        (Notation("$"), -5, "-$0.05"),
        (Notation(""), 0, "0.00"),
    ],
)
def test_amounts_are_written_as_the_notation_says(notation, amount, text):
    assert notation.full(amount) == text


def _hundredths(text: str) -> int:
    return int(re.sub(r"[^\d-]", "", text))


def test_amounts_in_documents_add_up(documents):
    checked = 0
    for document in documents:
        fields = {
            name: _hundredths(document.fields[name].text)
            for name in ("total", "cash", "change")
            if name in document.fields
        }
        if len(fields) == 3:
            checked += 1
            assert fields["total"] == fields["cash"] - fields["change"]
    assert checked > 3


def test_no_currency_is_rare_and_none_is_missing():
    signs = [choose_notation(random.Random(seed)).sign for seed in range(300)]
    assert set(signs) == {"RM", "", "$", "€", "£"}
