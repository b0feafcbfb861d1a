"""The small model alone: nobody draws a map that nobody reads, and the answer is heard while it is made."""

import pytest
import torch
from test_engine import QUESTIONS, picture
from transformers import TextIteratorStreamer
from transformers.generation.streamers import BaseStreamer

from stitchvlm import Stitch, make_question
from stitchvlm.attention import AttentionTap
from stitchvlm.decoding import Decoding
from stitchvlm.sampling import Sampling
from stitchvlm.timing import Stopwatch

LONG = Sampling(12)


def stitch(pair, **options) -> Stitch:
    return Stitch.from_pretrained(*pair, device="cpu", sampling=LONG, **{"method": "small-alone", **options})


@pytest.fixture
def heard(monkeypatch) -> list[int]:
    """The layers whose attention rows anybody has worked out."""
    layers: list[int] = []
    hear = AttentionTap.hear
    monkeypatch.setattr(AttentionTap, "hear", lambda tap, *rest: (layers.append(rest[0]), hear(tap, *rest)))
    return layers


def test_it_looks_without_a_map_and_says_the_same(tiny_pair, heard):
    """To the token, in a padded batch, against drafts that were made with a map."""
    alone = stitch(tiny_pair, exit="never")
    answers = alone.answer(QUESTIONS)
    assert not heard
    drafts = [alone.guide(list(q.images) or None, q.text).drafts[0] for q in QUESTIONS]
    assert heard, "who asks for the map gets it"
    assert [answer.text for answer in answers] == [draft.text for draft in drafts]
    looked = alone.cascade.look(QUESTIONS, LONG, Stopwatch(), with_maps=False).drafts
    for ours, drawn in zip(looked, drafts, strict=True):
        assert ours.tokens == drawn.tokens and ours.complete == drawn.complete
        assert ours.log_probabilities == pytest.approx(drawn.log_probabilities, abs=1e-4)
    for answer, draft in zip(answers, drafts, strict=True):
        assert answer.guide is None and answer.trace.layout.matches(draft.guide.layout)
    with pytest.raises(ValueError, match="made without a guide map: ask for one"):
        _ = looked[0].guide


@pytest.mark.parametrize("options", [{"exit": 0.5}, {"exit": "never", "score_drafts": True}])
def test_who_judges_drafts_reads_their_maps(tiny_pair, heard, options):
    answer = stitch(tiny_pair, **options)("what?", image=picture(64, 48))
    assert heard and answer.guide.scores.shape == (20,) and answer.trace.verdict.score is not None


def test_a_method_that_is_guided_still_reads_them(tiny_pair, heard):
    answer = stitch(tiny_pair, method="guided", exit="never", keep=0.4)("what?", image=picture(64, 48))
    assert heard and answer.guide is not None and answer.trace.n_kept > 0


class Order(BaseStreamer):
    """Notes how far the model was when tokens came."""

    def __init__(self):
        self.tokens, self.steps, self.n_steps, self.ended = [], [], 0, 0

    def put(self, value: torch.Tensor) -> None:
        self.tokens += value.flatten().tolist()
        self.steps.append(self.n_steps)

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def order(monkeypatch) -> Order:
    listener, step = Order(), Decoding.feed

    def counted(*arguments):
        listener.n_steps += 1
        return step(*arguments)

    monkeypatch.setattr(Decoding, "feed", counted)
    return listener


@pytest.mark.parametrize("options", [{}, {"exit": 0.5}, {"exit": "never", "score_drafts": True}])
def test_its_answer_is_heard_token_by_token(tiny_pair, order, options):
    """The first token comes before the second is computed, and every token once; the prompt does not."""
    alone = stitch(tiny_pair, **options)
    alone("what?", image=picture(64, 48), streamer=order)
    heard, steps = list(order.tokens), list(order.steps)
    expected = alone.guide(picture(64, 48), "what?").drafts[0].tokens
    assert len(expected) > 2 and heard == list(expected) and order.ended == 1
    assert steps == list(range(len(expected)))


def test_a_draft_that_must_be_judged_is_heard_when_it_stands(tiny_pair, order):
    answer = stitch(tiny_pair, method="guided", exit="always")("what?", image=picture(64, 48), streamer=order)
    assert answer.answered_by == "small" and len(order.steps) == 1 and order.ended == 1


def test_several_questions_are_heard_one_after_the_other(tiny_pair, order):
    alone = stitch(tiny_pair, exit="never")
    alone.answer(QUESTIONS[:2], streamer=order)
    assert len(order.steps) == order.ended == 2
    drafts = [alone.guide(list(q.images), q.text).drafts[0] for q in QUESTIONS[:2]]
    assert order.tokens == [token for draft in drafts for token in draft.tokens]


def test_text_comes_as_text_and_no_large_model_is_loaded_for_it(tiny_pair, order, monkeypatch):
    """The listener's own tokenizer, which may be another model's, is not asked."""
    alone = stitch(tiny_pair, exit="never", lazy_large=True)
    monkeypatch.setattr(type(alone.cascade), "reply", lambda *_: pytest.fail("the large model was asked"))
    streamer = TextIteratorStreamer(None, skip_prompt=True, timeout=10)
    answer = alone.answer([make_question("what?", picture(64, 48))], streamer=streamer)[0]
    assert "".join(streamer).strip() == answer.text and answer.text


def test_its_first_token_is_timed_when_it_is_heard(tiny_pair, scenes):
    """In a study as in live use: before the rest of the draft is computed."""
    from stitchvlm.evaluation.archive import load_archive
    from stitchvlm.evaluation.settings import RunSettings
    from stitchvlm.evaluation.study import Study

    study = Study({"small": RunSettings(*tiny_pair, method="small-alone", max_new_tokens=6)}, "cpu")
    record = study.record(load_archive(scenes)[0], "small", live=True)
    seconds = record["seconds"]
    assert (
        record["first_token"] == pytest.approx(seconds["total"] - seconds["small_decode"])
        and seconds["small_decode"] > 0
    )
    assert 0 < record["live"]["first_token"] < record["live"]["total"]
