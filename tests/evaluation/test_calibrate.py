"""The promise of a calibration holds over redraws of whole data sets: pictures with several questions, partial credits."""

import math

import numpy as np
import pytest

from stitchvlm.errors import NoPromiseError
from stitchvlm.evaluation.calibrate import calibrate
from stitchvlm.evaluation.recorded import Recorded
from stitchvlm.evaluation.target import Target

SETTINGS = {"task": "simulated", "small": "small 1", "large": "large 2", "method": "guided", "keep": 0.09}
PICTURES, RISK = 250, 0.05
SAFE, SPOILED, IMPROVED, CREDIT = 0.3, 0.13, 0.0389, 0.2
"""Shares of pictures that exit early and lose nothing, and among the others of those where all exits lose ``1 - CREDIT`` and
gain as much; so exits everywhere lose a little more than what is to be promised, and no other share of exits loses anything."""
TARGET = Target("accuracy-loss", 0.05)
TRUE_LOSS = (1 - SAFE) * (1 - CREDIT) * (SPOILED - IMPROVED)


def test_the_case_is_a_hard_one():
    assert TARGET.value < TRUE_LOSS < 1.03 * TARGET.value


def draw_pictures(random: np.random.Generator) -> Recorded:
    """Seven to eleven questions a picture, which fare alike."""
    records = []
    for picture in range(PICTURES):
        safe, chance = random.random() < SAFE, random.random()
        small = large = 1.0
        if not safe and chance < SPOILED:
            small = CREDIT
        elif not safe and chance < SPOILED + IMPROVED:
            large = CREDIT
        record = {"group": f"{picture}.jpg", "small_score": small, "large_score": large, "small_answer": "a"}
        record |= {"scores": {"confidence": 0.9 if safe else 0.5}, "large_answer": "b"}
        records += [record | {"id": f"{picture}-{number}"} for number in range(random.integers(7, 12))]
    return Recorded(records, SETTINGS, "simulated.jsonl")


def breaks_its_promise(recorded: Recorded, seed: int, group: str | None = None) -> bool:
    """Whether exits everywhere are promised, which lose more than that."""
    try:
        found = calibrate([recorded], TARGET, risk=RISK, score="confidence", seed=seed, group=group)
    except NoPromiseError:
        return False
    return found.calibration.threshold <= 0.5


@pytest.mark.parametrize("redraws", [120, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_promise_holds_for_dependent_questions_with_partial_credits(redraws):
    """And it would not if questions about one picture were taken for independent ones, as ``--group`` with whole ids does."""
    random, broken, ignoring = np.random.default_rng(11), 0, 0
    for seed in range(redraws):
        recorded = draw_pictures(random)
        broken += breaks_its_promise(recorded, seed)
        ignoring += breaks_its_promise(recorded, seed, group=".*")
    expected, margin = redraws * RISK, 4 * math.sqrt(redraws * RISK * (1 - RISK))
    assert 0 < broken <= expected + margin < ignoring
