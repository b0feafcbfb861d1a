"""As many tokens as hold a share of the guide's mass: hand-worked counts, and the whole path."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cascade import QUESTIONS, pair, stitch  # noqa: F401 (a fixture)

from stitchvlm.adaptive import MassKeep
from stitchvlm.methods import make_method
from stitchvlm.schedule import parse_keep, spell_keep

SCORES = torch.tensor([1.0, 5.0, 0.0, 2.0, 2.0])


def test_counts_worked_out_by_hand():
    assert [MassKeep(mass).count(SCORES) for mass in (0.1, 0.5, 0.51, 0.7, 0.75, 0.9, 0.91, 1.0)] == [
        1, 1, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip
    assert MassKeep(0.5, floor=0.5).count(SCORES) == 3 and MassKeep(1.0, ceiling=0.5).count(SCORES) == 2
    assert MassKeep(0.9).count(torch.zeros(0)) == 0 and MassKeep(0.9).count(torch.zeros(4)) == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_kept_hold_the_mass_and_one_fewer_does_not(scores, mass):
    found = torch.tensor(scores, dtype=torch.float64)
    count, best = MassKeep(mass, floor=0.0).count(found), found.sort(descending=True).values
    total = best.sum()
    assert best[:count].sum() >= mass * total - 1e-9
    assert count == 1 or best[: count - 1].sum() < mass * total + 1e-9


def test_written_and_read():
    assert parse_keep("mass=0.95") == MassKeep(0.95) == parse_keep("mass=95%")
    full = parse_keep("mass=0.9, floor=2%, ceiling=0.5")
    assert full == MassKeep(0.9, 0.02, 0.5) and parse_keep(str(full)) == full and parse_keep(full) is full
    assert spell_keep("mass=90%") == "mass=0.9" and spell_keep("9%") == 0.09


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mass=1.5", "mass must be a share in"),
        ("mass=0.9,floor=0.6,ceiling=0.5", "floor <= ceiling, not 0.6 and 0.5"),
        ("mass=much", "is written mass=0.95"),
        ("floor=0.5", "is written mass=0.95"),
        ("mass=0.5,roof=1", "is written mass=0.95"),
    ],
)
def test_bad_shares_are_named(text, told):
    with pytest.raises(ValueError, match=told):
        parse_keep(text)


def test_every_question_keeps_its_own_number(pair):  # noqa: F811
    vlm = stitch(pair, keep="mass=0.8", layer=2, exit="never")
    answers = vlm.answer(QUESTIONS)
    for answer in answers:
        scores = answer.guide.scores
        assert answer.trace.n_kept == MassKeep(0.8).count(scores)
        if len(scores):
            best = set(scores.argsort(descending=True, stable=True)[: answer.trace.n_kept].tolist())
            assert set(answer.trace.kept) == best
            assert answer.trace.kept_per_layer[:2] == (len(scores),) * 2
    assert [a.text for a in answers] == [vlm.answer([q])[0].text for q in QUESTIONS]


def test_without_a_layer_it_begins_where_the_papers_9_percent_does():
    schedule = make_method("guided").scheduler(MassKeep(0.9), None)
    assert [schedule(n).resolve(n, 100)[0][0] for n in (12, 24, 48)] == [0, 1, 2]


def test_methods_without_a_guide_map_are_refused(pair):  # noqa: F811
    with pytest.raises(ValueError, match="fastv has no guide map to take --keep mass=0.9 from"):
        stitch(pair, keep="mass=0.9", method="fastv")
