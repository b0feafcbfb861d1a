"""What the embedded pair promises: it reads pictures that others draw, and the guide finds what is asked for."""

import random

import pytest
from plain_pictures import draw_plain

from stitchvlm import Stitch
from stitchvlm.exits import CalibratedExit
from stitchvlm.families.fingerprint import fingerprint
from stitchvlm.methods import Guided
from stitchvlm.methods.options import options_of
from stitchvlm.models import EXIT_FILE, pair_path, recommended_exit
from stitchvlm.stitch import make_question

N = 60


@pytest.fixture(scope="module")
def questions():
    rng = random.Random(20261121)
    return [draw_plain(rng) for _ in range(N)]


def share_right(questions, **settings) -> float:
    vlm = Stitch.from_pretrained(device="cpu", **settings)
    answers = [vlm.answer([make_question(question, picture)])[0].text for picture, question, _ in questions]
    return sum(answer == gold for answer, (_, _, gold) in zip(answers, questions, strict=True)) / N


def test_plain_pictures_are_read_and_guided_pruning_keeps_what_is_asked_for(questions):
    whole = share_right(questions, method=None, exit="never")
    guided = share_right(questions, keep="9%", exit="never")
    drawn = share_right(questions, keep="9%", method="random", exit="never")
    assert whole >= 0.9 and guided >= 0.9 * whole and drawn < 0.3 * guided


def test_the_exit_that_ships_was_fitted_for_the_weights_that_ship():
    """New weights need a new calibration: benchmarks/calibrate_pair.py."""
    fitted = CalibratedExit.load(EXIT_FILE)
    models = {which: fingerprint(str(pair_path(which))) for which in ("small", "large")}
    way = {"method": "guided", "options": options_of(Guided()), "keep": 0.09, "layer": None, "max_tiles": None}
    fitted.check(models | way)
    assert fitted.threshold == recommended_exit() and fitted.score == "mean"
