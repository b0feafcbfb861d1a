"""SEE's scores by hand, in regions where float32 gives up."""

import math

import pytest
import torch

from stitchvlm.exits import SmallEarlyExit, parse_exit
from stitchvlm.families.tiles import tiled_layout
from stitchvlm.records import Draft, GuideMap


class FakePass:
    """A guide pass whose consistency scores are given."""

    def __init__(self, drafts, consistent):
        self.drafts, self._consistent, self.asked = drafts, consistent, []

    def answer_log_probabilities(self, keep):
        self.asked.append(keep)
        return self._consistent


def draft(*probabilities: float, complete: bool = True) -> Draft:
    layout = tiled_layout(torch.arange(4), [(1, 1)], 2, [(28, 28)], n_tokens=6)
    guide = GuideMap(layout, torch.ones(4), torch.ones(len(probabilities) - 1, 4))
    return Draft(tuple(range(len(probabilities))), "text", tuple(map(math.log, probabilities)), guide, complete)


def test_scores_of_a_hand_computed_case():
    small = FakePass([draft(0.5, 0.8, 0.9)], [[math.log(0.4), math.log(0.5), math.log(1.0)]])
    verdict = SmallEarlyExit(0.45).judge(small)[0]
    confidence = (0.5 * 0.8 * 0.9) ** (1 / 3)
    assert verdict.parts["confidence"] == pytest.approx(confidence)
    assert verdict.parts["consistency"] == pytest.approx(0.2)
    assert verdict.score == pytest.approx((confidence + 0.2) / 2)
    assert verdict.exit is ((confidence + 0.2) / 2 >= 0.45) and small.asked == [0.05]


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("mean", (0.4 + 0.25) / 2),
        ("confidence", 0.4),
        ("consistency", 0.25),
        ("mean-per-token", (0.4 + 0.5) / 2),
        ("consistency-per-token", 0.5),
    ],
)
def test_every_score_by_hand(name, score):
    small = FakePass([draft(0.2, 0.8)], [[math.log(0.25), math.log(1.0)]])
    assert SmallEarlyExit(0.5, score=name).judge(small)[0].score == pytest.approx(score)


def test_confidence_alone_spares_the_consistency_pass():
    small = FakePass([draft(0.5, 0.5)], [])
    verdict = SmallEarlyExit(0.4, score="confidence").judge(small)[0]
    assert verdict.exit and small.asked == [] and set(verdict.parts) == {"confidence"}


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="no exit score 'product': choose one of mean, confidence"):
        SmallEarlyExit(0.5, score="product")  # type: ignore[arg-type]


def test_long_answers_do_not_underflow():
    n = 400
    small = FakePass([draft(*[0.01] * n)], [[math.log(0.2)] * n])
    parts = SmallEarlyExit(0.5).judge(small)[0].parts
    assert parts["confidence"] == pytest.approx(0.01)
    assert 0 < parts["consistency"] == pytest.approx(math.exp(n * math.log(0.2)), rel=1e-9)
    assert torch.tensor(0.2, dtype=torch.float32).pow(n) == 0


def test_exit_happens_at_the_threshold_itself():
    small = FakePass([draft(1.0)], [[0.0]])
    assert SmallEarlyExit(1.0).judge(small)[0].exit


def test_never_and_always_still_report_scores():
    small = FakePass([draft(0.9)], [[math.log(0.9)]])
    never, always = SmallEarlyExit("never"), SmallEarlyExit("always")
    assert not never.judge(small)[0].exit and always.judge(small)[0].exit
    assert never.judge(small)[0].score == always.judge(small)[0].score == pytest.approx(0.9)
    assert not never.needs_draft and always.needs_draft


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0, "always"])
def test_a_draft_cut_short_never_exits(threshold):
    assert not SmallEarlyExit(threshold).judge(FakePass([draft(1.0, complete=False)], [[0.0]]))[0].exit


@pytest.mark.parametrize("text", ["1.2", "-0.1", "nan", "often", ""])
def test_what_is_no_threshold_is_refused(text):
    with pytest.raises(ValueError, match=r"in \[0, 1\], never or always"):
        parse_exit(text)


def test_a_score_can_be_named_with_its_threshold():
    policy = parse_exit("confidence:0.8")
    assert (policy.score, policy.threshold, policy.spelling) == ("confidence", 0.8, "confidence:0.8")
    assert parse_exit(policy.spelling) == policy and parse_exit("0.7").spelling == 0.7
    with pytest.raises(ValueError, match="no exit score 'product'"):
        parse_exit("product:0.8")


def test_thresholds_as_users_write_them():
    assert (
        parse_exit("0.8").threshold == 0.8 and parse_exit("never").threshold == "never" and parse_exit(0).threshold == 0
    )
