"""What the document pair promises: it reads receipts that others draw, and the guide finds what is asked for."""

import random

import pytest
from plain_pictures import share_right
from plain_receipts import draw_receipt

from stitchvlm.embedded import DOCUMENT_PAIR, embedded_folder

QUESTIONS = {
    "total": "What is the total amount?",
    "date": "What is the date on the receipt?",
    "company": "Which company issued the receipt?",
}
N = 8


@pytest.fixture(scope="module")
def questions():
    rng = random.Random(20261129)
    drawn = [draw_receipt(rng) for _ in range(N)]
    return [(picture, QUESTIONS[field], text) for picture, fields in drawn for field, text in fields.items()]


@pytest.mark.slow
def test_plain_receipts_are_read_and_random_tokens_do_not_do(questions):
    small, large = DOCUMENT_PAIR
    pair = {"small": small, "large": large, "exit": "never"}
    whole = share_right(questions, method=None, **pair)
    guided = share_right(questions, keep="35%", **pair)
    drawn = share_right(questions, keep="9%", method="random", **pair)
    assert whole >= 0.8 and guided >= 0.8 * whole and drawn < 0.3 * guided


def test_the_pair_is_within_what_is_promised_of_its_size():
    folders = [embedded_folder(name) for name in DOCUMENT_PAIR]
    files = [file for folder in folders if folder for file in folder.glob("*.safetensors")]
    assert max(file.stat().st_size for file in files) <= 16_000_000
    assert sum(file.stat().st_size for file in files) <= 40_000_000
