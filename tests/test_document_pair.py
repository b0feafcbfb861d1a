"""What the document pair promises: it reads receipts that others draw, and the guide finds what is asked for."""

import random

import pytest
from plain_receipts import draw_receipt

from stitchvlm import Stitch, make_question
from stitchvlm.embedded import DOCUMENT_PAIR, embedded_folder

QUESTIONS = {
    "total": "What is the total amount?",
    "date": "What is the date on the receipt?",
    "company": "Which company issued the receipt?",
}
N = 8


@pytest.fixture(scope="module")
def receipts():
    rng = random.Random(20261129)
    return [draw_receipt(rng) for _ in range(N)]


def share_right(receipts, **settings) -> float:
    small, large = DOCUMENT_PAIR
    vlm = Stitch.from_pretrained(small=small, large=large, exit="never", device="cpu", **settings)
    asked = [(picture, QUESTIONS[field], text) for picture, fields in receipts for field, text in fields.items()]
    answers = [vlm.answer([make_question(question, picture)])[0].text for picture, question, _ in asked]
    return sum(answer == gold for answer, (*_, gold) in zip(answers, asked, strict=True)) / len(asked)


@pytest.mark.slow
def test_plain_receipts_are_read_and_random_tokens_do_not_do(receipts):
    whole, guided, drawn = (
        share_right(receipts, method=None),
        share_right(receipts, keep="35%"),
        share_right(receipts, keep="9%", method="random"),
    )
    assert whole >= 0.8 and guided >= 0.8 * whole and drawn < 0.3 * guided


def test_the_pair_is_within_what_is_promised_of_its_size():
    folders = [embedded_folder(name) for name in DOCUMENT_PAIR]
    files = [file for folder in folders if folder for file in folder.glob("*.safetensors")]
    assert max(file.stat().st_size for file in files) <= 16_000_000
    assert sum(file.stat().st_size for file in files) <= 40_000_000
