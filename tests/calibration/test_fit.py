"""Thresholds keep their promise over 1,000 redraws, without giving away what they could allow."""

import numpy as np
import pytest

from stitchvlm.calibration.fit import THRESHOLDS, fit_exits, fit_loss, fit_seconds, paired_losses
from stitchvlm.errors import NoPromiseError

N, REDRAWS = 2000, 1000
NOBODY = 1e-9  # a share of false alarms of these tests that nobody will meet


class Pair:
    """A simulated pair: the small model is right at ``accuracy``, the large one where it is and elsewhere with given chances.

    A normal score, ``signal`` standard deviations higher for right drafts, goes through the logistic function.
    """

    def __init__(self, accuracy: float, signal: float, keeps: float, repairs: float, sharpness: float = 1.5):
        self.accuracy, self.signal, self.keeps, self.repairs = accuracy, signal, keeps, repairs
        self.sharpness = sharpness
        score, small, large = self.draw(np.random.default_rng(99), 500_000)
        order = np.argsort(-score)
        reach = len(score) - np.searchsorted(score[order][::-1], THRESHOLDS)
        lost = np.append(0, np.cumsum((large.astype(int) - small)[order]))
        changed = np.append(0, np.cumsum((large != small)[order]))
        self.exits, self.loss, self.changed = (column / len(score) for column in (reach, lost[reach], changed[reach]))

    def draw(self, random: np.random.Generator, n: int = N):
        small = random.random(n) < self.accuracy
        score = 1 / (1 + np.exp(0.3 - self.sharpness * (random.normal(size=n) + self.signal * small)))
        return score, small, random.random(n) < np.where(small, self.keeps, self.repairs)

    def at(self, threshold: float) -> tuple[float, float, float]:
        """The true shares of exits, of lost answers (gained ones taken off) and of changed ones at a tested threshold."""
        place = int(np.flatnonzero(threshold == THRESHOLDS)[0])
        return self.exits[place], self.loss[place], self.changed[place]

    def oracle(self, target: float) -> float:
        """The most exits that any threshold allows at this true loss."""
        return self.exits[self.loss <= target].max()


PAIRS = {
    "as 2B and 26B on TextVQA": Pair(0.73, 1.19, 0.95, 0.48),
    "a poorer score": Pair(0.73, 0.95, 0.95, 0.48),
    "a weak small model": Pair(0.65, 1.19, 0.95, 0.5),
    "an easy task": Pair(0.86, 1.19, 0.98, 0.55),
    "hardly better than small": Pair(0.62, 0.95, 0.8, 0.35),
    "certain of everything": Pair(0.73, 1.19, 0.95, 0.48, sharpness=8),
}


def wrong_at_most(n: int, risk: float) -> int:
    """So many failures of n at that risk that more are next to impossible."""
    return int(n * risk + 5 * np.sqrt(n * risk * (1 - risk)))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("target", "risk"), [(0.01, 0.05), (0.02, 0.1)])
def test_the_promise_holds_and_is_not_vacuous(name, target, risk):
    pair, random = PAIRS[name], np.random.default_rng(1)
    broken, exits = 0, []
    for _ in range(REDRAWS if target == 0.01 else REDRAWS // 4):
        score, small, large = pair.draw(random)
        fit = fit_loss(score, *paired_losses(small, large), target, risk)
        share, loss, _ = pair.at(fit.threshold)
        broken += loss > target
        exits.append(share)
    assert broken <= wrong_at_most(len(exits), risk)
    assert np.mean(exits) >= 0.5 * pair.oracle(target)
    assert np.quantile(exits, 0.1) >= 0.4 * pair.oracle(target)


def test_the_promise_holds_where_it_is_hardest_to_keep():
    """Below a safe threshold the true loss is barely over the target at once, so that every wrong step breaks the promise."""
    random, target, risk, broken = np.random.default_rng(2), 0.02, 0.1, 0
    for _ in range(REDRAWS):
        score = np.where(random.random(N) < 0.3, 0.9, 0.5)
        chance = random.random(N)
        lost = np.where(score > 0.7, chance < 0.002, chance < 0.2)
        gained = (score < 0.7) & (chance > 0.83)
        # true loss when all exit: 0.7 * (0.2 - 0.17) = 0.021 + 0.3 * 0.002 = 0.0216
        fit = fit_loss(score, lost.astype(float) - gained, np.zeros(N), target, risk)
        broken += fit.threshold <= 0.5
    assert 0.01 * REDRAWS <= broken <= wrong_at_most(REDRAWS, risk)


def test_the_promise_holds_for_one_chosen_among_several_ways():
    """Five ways that all lose a little too much: chosen by luck alone, and still seldom promised."""
    random, target, risk, n_ways = np.random.default_rng(6), 0.02, 0.1, 5
    broken = {n_ways: 0, 1: 0}
    for _ in range(300):
        ways = [np.where(random.random(N) < 0.0205, 1.0, 0.0) for _ in range(n_ways)]
        for told in broken:
            broken[told] += any(promised(lost, target, risk, told) for lost in ways)
    assert broken[n_ways] <= wrong_at_most(300, risk) < broken[1]


def promised(lost, target: float, risk: float, n_ways: int) -> bool:
    """Whether exits of everything are promised to lose no more."""
    try:
        fit_loss(np.full(N, 0.9), lost, np.zeros(N), target, risk, n_ways=n_ways)
    except NoPromiseError:
        return False
    return True


def test_agreement_stands_in_for_labels():
    """Answers that nobody judged: the share of changed answers is promised, and with it the accuracy."""
    pair, random, broken = PAIRS["as 2B and 26B on TextVQA"], np.random.default_rng(3), 0
    for _ in range(REDRAWS):
        score, small, large = pair.draw(random)
        agrees = small == large
        fit = fit_loss(score, *paired_losses(agrees, np.ones(N)), 0.05, 0.05, gains=False)
        broken += pair.at(fit.threshold)[2] > 0.05
    assert broken <= wrong_at_most(REDRAWS, 0.05)


def test_a_reference_counts_what_reduction_costs():
    """Against the unreduced model the loss of the reduced one counts as well, exits or not."""
    random = np.random.default_rng(4)
    score, small, large = PAIRS["an easy task"].draw(random)
    reference = large | (random.random(N) < 0.5)
    exit_loss, stay_loss = paired_losses(small, large, reference)
    assert stay_loss.mean() == pytest.approx(reference.mean() - large.mean())
    with pytest.raises(ValueError, match="every threshold loses more than that"):
        fit_loss(score, exit_loss, stay_loss, 0.01)
    assert fit_loss(score, exit_loss, stay_loss, 0.2).exits > 0.3


def test_too_few_questions_are_refused_with_the_number_that_could_do():
    score, small, large = PAIRS["an easy task"].draw(np.random.default_rng(5), 300)
    with pytest.raises(
        ValueError,
        match=r"at most 0.01 at risk 0.05 cannot be promised from 300 questions: it takes 430 questions even",
    ):
        fit_loss(score, *paired_losses(small, large), 0.01)


def test_nothing_to_promise_says_about_how_many_questions_would_do():
    """All scores alike: 4 % of answers lost and 3.5 % gained could be within 1 %, but 800 questions cannot tell."""
    score, lost = np.full(800, 0.9), np.array([1] * 32 + [-1] * 28 + [0] * 740)
    with pytest.raises(
        ValueError,
        match=r"from 800 questions: about 11,000 questions would do for 100% of exits if they are like these; record",
    ):
        fit_loss(score, lost, np.zeros(800), 0.01)
    assert fit_loss(np.full(12_000, 0.9), np.tile(lost, 15), np.zeros(12_000), 0.01).exits == 1.0
    with pytest.raises(ValueError, match="every threshold loses more than that"):
        fit_loss(score, np.abs(lost), np.zeros(800), 0.01)


@pytest.mark.parametrize(("target", "risk"), [(0.0, 0.05), (1.0, 0.05), (float("nan"), 0.05), (0.1, 0.0), (0.1, 0.6)])
def test_senseless_targets_are_refused(target, risk):
    with pytest.raises(ValueError, match="must lie between"):
        fit_loss([0.5], [0], [0], target, risk)


def test_partial_credits_keep_their_mean_and_cancel():
    random = np.random.default_rng(7)
    small, large = random.random(20_000), random.random(20_000)
    exit_loss, stay_loss = paired_losses(small, large)
    assert set(np.unique(exit_loss)) == {-1, 0, 1} and not stay_loss.any()
    assert exit_loss.mean() == pytest.approx((large - small).mean(), abs=0.02)
    assert np.abs(exit_loss).mean() == pytest.approx(np.abs(large - small).mean(), abs=0.02)
    assert not paired_losses(small, small)[0].any()


def test_what_is_no_credit_is_refused():
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        paired_losses([1.5], [1.0])
    with pytest.raises(ValueError, match="same length"):
        paired_losses([1.0, 0.0], [1.0])


def test_an_exit_share_is_met_on_average():
    """The mean over redraws is k / (n + 1) exactly; here 8 / 20."""
    random = np.random.default_rng(8)
    shares = [1 - fit_exits(random.random(19), 0.4).threshold for _ in range(20_000)]
    assert np.mean(shares) == pytest.approx(0.4, abs=5 * np.std(shares) / np.sqrt(len(shares)))
    assert fit_exits(np.linspace(0, 1, 9), 1.0).threshold == 0.0
    assert fit_exits([0.5] * 9, 0.2).exits == 1.0
    with pytest.raises(ValueError, match="not 1.5"):
        fit_exits([0.5], 1.5)


def test_seconds_take_the_highest_threshold_that_is_quick_enough():
    score = np.array([0.9, 0.7, 0.5, 0.3])
    small, large = np.full(4, 1.0), np.array([4.0, 4.0, 4.0, 4.0])
    for target, threshold, exits in ((5.0, 1.0, 0.0), (4.0, 0.9, 0.25), (3.5, 0.7, 0.5), (1.0, 0.3, 1.0)):
        fit = fit_seconds(score, small, large, target)
        assert (fit.threshold, fit.exits) == (threshold, exits) and fit.value <= target
    with pytest.raises(ValueError, match="small model alone takes 1"):
        fit_seconds(score, small, large, 0.5)


def test_a_draft_that_may_not_exit_does_not():
    """Cut drafts are given a score below every threshold."""
    fit = fit_loss([0.9] * 500 + [-1.0] * 500, [0] * 500 + [1] * 500, [0] * 1000, 0.02)
    assert fit.threshold == 0.0 and fit.exits == 0.5
    scores = [0.9, 0.8, 0.7, -1.0]
    assert fit_exits(scores, 0.6).threshold == 0.7, "the third of five ranks"
    with pytest.raises(ValueError, match="1 of 4 drafts were cut short, which never exit; ask for fewer exits"):
        fit_exits(scores, 0.8)
    assert fit_seconds(scores, np.ones(4), np.full(4, 4.0), 2.0).exits == 0.75
    with pytest.raises(ValueError, match="with every exit that may be it takes 2; give more"):
        fit_seconds(scores, np.ones(4), np.full(4, 4.0), 1.9)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        fit_exits([0.5, float("nan")], 0.5)
    with pytest.raises(ValueError, match="at least one question"):
        fit_exits([], 0.5)
