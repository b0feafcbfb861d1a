"""Drafts reused by the whole path: the same answers, other costs, across tokenizers and batches."""

import json

import pytest
from test_cascade import QUESTIONS, pair, picture, stitch  # noqa: F401 (a fixture)
from tiny import save_tiny_internvl

from stitchvlm import Stitch
from stitchvlm.proposals import proposals, same_words
from stitchvlm.records import Draft
from stitchvlm.sampling import Sampling


@pytest.mark.parametrize("options", [{}, {"method": "guided", "layer": 0}, {"method": "large-alone", "exit": 1.0}])
@pytest.mark.parametrize("speculate", [0, 3])
def test_answers_are_the_same(pair, options, speculate):  # noqa: F811
    options = {"exit": "never"} | options
    reused = stitch(pair, speculate=speculate, **options).answer(QUESTIONS)
    anew = stitch(pair, reuse_drafts=False, **options).answer(QUESTIONS)
    assert [a.text for a in reused] == [a.text for a in anew]
    assert [a.trace.kept for a in reused] == [a.trace.kept for a in anew]
    assert all(a.trace.n_proposed == 4 for a in reused) and not any(a.trace.n_proposed for a in anew)


def test_a_model_that_guides_itself_accepts_its_draft(pair):  # noqa: F811
    twin = Stitch.from_pretrained(pair[1], pair[1], keep=1.0, exit="never", device="cpu", sampling=Sampling(6))
    for answer in twin.answer(QUESTIONS):
        assert answer.trace.n_accepted == answer.trace.n_proposed == 5
        assert answer.text == answer.trace.small_answer


def test_rows_that_exit_leave_the_others_their_guesses(pair):  # noqa: F811
    scores = [a.trace.verdict.score for a in stitch(pair, exit="always").answer(QUESTIONS)]
    mixed = stitch(pair, exit=sorted(scores)[1], speculate=2).answer(QUESTIONS)
    anew = stitch(pair, exit=sorted(scores)[1], reuse_drafts=False).answer(QUESTIONS)
    assert {a.answered_by for a in mixed} == {"small", "large"}
    assert [a.text for a in mixed] == [a.text for a in anew]


def test_drafts_cross_tokenizers_as_text(tmp_path):
    """The large model writes every byte with another id."""
    small = save_tiny_internvl(tmp_path / "small", n_layers=2, seed=1)
    large = save_tiny_internvl(tmp_path / "large", n_layers=3, seed=2)
    _turn_vocabulary(large)
    vlm = Stitch.from_pretrained(str(small), str(large), exit="never", keep=0.5, device="cpu", sampling=Sampling(5))
    a, b = vlm.cascade.small().vlm, vlm.cascade.large().vlm
    assert not same_words(a.tokenizer, b.tokenizer)
    ids = a.tokenizer("grey cat", add_special_tokens=False).input_ids
    draft = Draft((*ids, a.stop_ids[0]), "grey cat", (0.0,), None)
    (proposed,) = proposals([draft], a, b, 64)
    assert proposed != list(ids) and b.tokenizer.decode(proposed) == "grey cat"
    (short,) = proposals([draft], a, b, 4)
    assert short == proposed[:3]
    anew = Stitch.from_pretrained(
        str(small), str(large), exit="never", keep=0.5, device="cpu", sampling=Sampling(5), reuse_drafts=False
    )
    question = QUESTIONS[:2]
    assert [x.text for x in vlm.answer(question)] == [x.text for x in anew.answer(question)]
    guessing = Stitch.from_pretrained(str(small), str(large), exit="never", device="cpu", speculate=2)
    with pytest.raises(ValueError, match="cannot guess token by token"):
        guessing.answer(question)


def test_a_draft_with_a_placeholder_is_not_fed(pair):  # noqa: F811
    vlm = stitch(pair, exit="never").cascade.small().vlm
    draft = Draft((5, vlm.placeholder_id, 6), "", (0.0,), None)
    assert proposals([draft], vlm, vlm, 9) == [[]]


def test_a_picture_is_cut_once_for_models_that_cut_alike(pair, monkeypatch):  # noqa: F811
    vlm = stitch(pair, exit="never")
    cut = []
    processor = type(vlm.cascade.large().vlm.image_processor)
    call = processor.__call__
    monkeypatch.setattr(processor, "__call__", lambda self, *a, **named: cut.append(1) or call(self, *a, **named))
    together = vlm.answer(QUESTIONS[:2])
    assert len(cut) == 3  # one picture and two
    vlm.cascade.small().vlm.image_processor.image_mean = [0.4, 0.4, 0.4]
    vlm.answer(QUESTIONS[:2])
    assert len(cut) == 9  # both models cut for themselves now
    assert [a.trace.n_visual for a in together] == [20, 20]


def test_fewer_than_no_guesses_are_refused(pair):  # noqa: F811
    with pytest.raises(ValueError, match="speculate must be a number of tokens"):
        stitch(pair, speculate=-1)


def _turn_vocabulary(folder):
    """The same bytes under other ids, in the tokenizer alone: the model's weights are random anyway."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    n = len(vocabulary)
    content["model"]["vocab"] = {piece: (number + 7) % n for piece, number in vocabulary.items()}
    path.write_text(json.dumps(content), encoding="utf-8")
