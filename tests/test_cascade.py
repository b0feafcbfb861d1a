"""The whole path on tiny models: who is called, what is kept, what the account says."""

import pytest
import torch
from test_engine import QUESTIONS, picture
from tiny import save_tiny_internvl

from stitchvlm import Stitch, make_question
from stitchvlm.families import InternVL, load_vlm
from stitchvlm.guide import run_guide
from stitchvlm.maps import MapForm
from stitchvlm.methods import Guided, available_methods
from stitchvlm.methods.single_layer import SingleLayer
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling

SHORT = Sampling(5)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    small = save_tiny_internvl(root / "small", "qwen2", n_layers=3, seed=1)
    large = save_tiny_internvl(root / "large", "llama", n_layers=8, width=48, seed=2)
    return str(small), str(large)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model with larger and more tiles."""
    folder = tmp_path_factory.mktemp("other")
    return str(save_tiny_internvl(folder, "qwen2", n_layers=3, tile=56, max_patches=9))


def stitch(pair, **options) -> Stitch:
    return Stitch.from_pretrained(*pair, device="cpu", sampling=SHORT, **options)


def test_the_large_model_is_not_even_loaded_on_exit(pair, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "stitchvlm.stitch.load_vlm", lambda source, *rest: (loaded.append(source), load_vlm(source, *rest))[1]
    )
    vlm = stitch(pair, exit="always", lazy_large=True)
    answer = vlm("what?", image=picture(64, 48))
    assert loaded == [pair[0]] and answer.answered_by == "small" and answer.text == answer.trace.small_answer
    assert answer.trace.kept is None and answer.trace.average_retention == 0
    assert not any(stage.startswith("large") for stage in answer.trace.seconds)
    unsure = Stitch.from_pretrained(*pair, device="cpu", sampling=SHORT, exit=1.0, lazy_large=True)
    assert unsure("what?", image=picture(64, 48)).answered_by == "large" and loaded[-1] == pair[1]


def test_exit_does_not_call_a_loaded_large_model(pair, monkeypatch):
    vlm = stitch(pair, exit="always")
    monkeypatch.setattr(vlm.cascade.large(), "prepare", lambda *_: pytest.fail("the large model was called"))
    assert vlm("what?", image=picture(64, 48)).answered_by == "small"


def test_only_unsure_rows_reach_the_large_model(pair):
    scores = [a.trace.verdict.score for a in stitch(pair, exit="always").answer(QUESTIONS[:2])]
    answers = stitch(pair, exit=max(scores)).answer(QUESTIONS[:2])
    sure = scores.index(max(scores))
    assert [a.answered_by for a in answers] == ["small" if row == sure else "large" for row in range(2)]
    alone = stitch(pair, exit="never").answer([QUESTIONS[1 - sure]])[0]
    assert answers[1 - sure].text == alone.text


def test_guided_large_keeps_what_the_small_one_looked_at(pair):
    answer = stitch(pair, exit="never", keep=0.3, layer=2)("what?", image=picture(64, 48))
    best = answer.guide.scores.argsort(descending=True)[:6].sort().values
    assert answer.trace.kept == tuple(best.tolist()) and answer.trace.n_kept == 6
    assert answer.trace.kept_per_layer == (20, 20, 6, 6, 6, 6, 6, 6)
    assert answer.trace.average_retention == pytest.approx((2 * 20 + 6 * 6) / 160)


def test_keep_all_equals_the_large_model_alone(pair):
    kept = stitch(pair, exit="never", keep=1.0)("what?", image=picture(64, 48))
    alone = stitch(pair, exit="never", method=None)("what?", image=picture(64, 48))
    assert kept.text == alone.text and alone.trace.small_answer is None and alone.guide is None
    assert kept.trace.average_retention == alone.trace.average_retention == 1


@pytest.mark.parametrize("name", available_methods())
def test_every_method_answers_a_batch(pair, name):
    """Three questions with two pictures, one and none; what is kept agrees with the account."""
    vlm = stitch(pair, exit="never", method=name, keep=0.4)
    for answer, question in zip(vlm.answer(QUESTIONS), QUESTIONS, strict=True):
        trace, reducer = answer.trace, name not in ("downsample", "large-alone", "small-alone")
        assert trace.n_visual == (20 if question.images else 0)
        if name == "small-alone":
            assert answer.answered_by == "small" and trace.n_kept == 0 and trace.kept is None
            continue
        assert answer.answered_by == "large" and len(trace.kept) == trace.n_kept
        if reducer and trace.n_visual:
            assert trace.average_retention == pytest.approx(0.4, abs=0.07) and trace.n_kept < trace.n_visual


def test_the_small_model_alone_never_loads_or_asks_the_large_one(pair, monkeypatch):
    loaded = []
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda s, *rest: (loaded.append(s), load_vlm(s, *rest))[1])
    alone = Stitch.from_pretrained(pair[0], method="small-alone", device="cpu", sampling=SHORT)
    answer = alone("what?", image=picture(64, 48))
    assert loaded == [pair[0]] and answer.answered_by == "small" and answer.trace.verdict is None
    assert answer.text == stitch(pair, exit="always")("what?", image=picture(64, 48)).text
    scored = stitch(pair, method="small-alone", score_drafts=True)("what?", image=picture(64, 48))
    assert scored.trace.verdict.exit and scored.trace.verdict.score is not None


def test_the_large_model_alone_needs_no_small_one(pair):
    alone = Stitch.from_pretrained(large=pair[1], method="large-alone", device="cpu", sampling=SHORT)
    answer = alone("what?", image=picture(64, 48))
    assert answer.trace.n_kept == 20 and answer.text == stitch(pair, method=None)("what?", image=picture(64, 48)).text


def test_a_missing_model_is_named_with_what_to_add(pair):
    small, large = pair
    for given, said in (
        (
            {"large": large},
            f"--large {large} needs a small model beside it: add --small MODEL .stitch models lists pairs.",
        ),
        ({"large": large}, "or ask the large one alone with --method large-alone$"),
        ({"large": large, "method": "random", "exit": 0.5}, "or let no answer exit with --exit never$"),
        ({"large": large, "method": None, "speculate": 2}, "or ask without it with --speculate 0$"),
        ({"small": small}, f"--small {small} needs a large model beside it: add --large MODEL"),
        ({"small": small}, "or use the small one alone with --method small-alone$"),
        ({"large": "embedded:qwen2-vl"}, "add --small embedded:small, which goes with it, or"),
        ({"large": "OpenGVLab/InternVL2-26B"}, "add --small OpenGVLab/InternVL2-2B, which goes with it, or"),
        ({"small": "embedded:small"}, "add --large embedded:large, which goes with it, or"),
    ):
        with pytest.raises(ValueError, match=said):
            Stitch.from_pretrained(**given, device="cpu")


def test_the_small_model_alone_guides_another_engine(pair, monkeypatch):
    loaded = []
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda s, *rest: (loaded.append(s), load_vlm(s, *rest))[1])
    alone = Stitch.from_pretrained(pair[0], method="small-alone", device="cpu", sampling=SHORT)
    scores = alone.guide(picture(64, 48), "what?").drafts[0].guide.scores
    assert loaded == [pair[0]] and scores.shape == (20,)


def test_a_downsampled_picture_is_counted_against_the_whole_one(pair):
    trace = stitch(pair, method="downsample", keep=0.4)("what?", image=picture(64, 48)).trace
    assert (trace.n_visual, trace.n_kept, trace.kept) == (20, 4, (0, 1, 2, 3))  # 8 may stay: one tile of 4, not of 9
    assert trace.average_retention == pytest.approx(0.2) and trace.kept_per_layer == (4,) * 8
    assert trace.layout.n_visual == 4 and trace.layout.box[-1].tolist() == [0.5, 0.5, 1, 1]
    whole = stitch(pair, method="downsample", keep=1.0)("what?", image=picture(64, 48))
    assert whole.text == stitch(pair, method=None)("what?", image=picture(64, 48)).text


def test_the_oracle_looks_with_the_large_models_own_eyes(pair):
    """Its map is that of a guide pass of the large model; the single layer's is the part of one layer."""
    asked = make_question("what?", picture(64, 48))
    vlm = stitch(pair, method="oracle", keep=0.3, layer=2)
    large = vlm.cascade.large()
    prompt = large.embed(large.prepare([asked]))

    def best(form: MapForm) -> tuple[int, ...]:
        scores = run_guide(large, prompt, SHORT, form=form).drafts[0].guide.scores
        return tuple(scores.argsort(descending=True)[:6].sort().values.tolist())

    trace = vlm.answer([asked])[0].trace
    assert trace.kept == best(MapForm()) and "large_own_map" in trace.seconds and trace.small_answer is None
    for map_layer in (2, 5):
        one = stitch(pair, method=SingleLayer(map_layer=map_layer), keep=0.3, layer=2).answer([asked])[0].trace
        assert one.kept == best(MapForm(layers=map_layer)) != trace.kept


def test_a_question_without_picture_is_answered(pair):
    answer = stitch(pair, exit="never").answer([Question("why?")])[0]
    assert answer.trace.n_visual == 0 and answer.trace.average_retention == 1


def test_messages_equal_question_and_image(pair):
    vlm, image = stitch(pair, exit="never"), picture(64, 48)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "what?"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    assert vlm(messages=messages).text == vlm("what?", image=image, system="Be brief.").text


def test_guide_alone_gives_map_and_draft(pair):
    drafts = stitch(pair, exit="never", lazy_large=True).guide(picture(64, 48), "what?").drafts
    assert drafts[0].guide.scores.shape == (20,) and isinstance(drafts[0].text, str)


def test_guide_tokens_bound_the_draft_but_not_the_answer(pair):
    vlm = stitch(pair, exit="always", guide_tokens=2)
    answer = vlm("what?", image=picture(64, 48))
    assert answer.answered_by == "large", "a draft cut short can only guide"
    assert len(vlm.guide(picture(64, 48), "what?").drafts[0].tokens) == 2


def test_seed_and_question_decide_what_random_keeps(pair):
    vlm = stitch(pair, exit="never", method="random", keep=0.3, layer=0)
    one, same, other = (vlm("what?", image=picture(64, 48), sampling=Sampling(5, seed=s)).trace.kept for s in (1, 1, 2))
    assert one == same != other
    asked, looked = vlm("who?", image=picture(64, 48)).trace.kept, vlm("what?", image=picture(64, 48, 1)).trace.kept
    alone = vlm("what?", image=picture(64, 48)).trace.kept
    assert len({alone, asked, looked}) == 3
    batch = vlm.answer([make_question("who?", picture(64, 48)), make_question("what?", picture(64, 48))])
    assert [answer.trace.kept for answer in batch] == [asked, alone]


@pytest.mark.parametrize(
    "options", [{}, {"keep": "mass=0.5"}, {"method": Guided(tile_budget=2, skip_tiles=True)}, {"exit": 0.0}]
)
@pytest.mark.parametrize("other_guides", [True, False])
def test_a_pair_with_other_grids_guides_all_the_same(pair, other, other_guides, options):
    """More tiles and other tiles on one side; batches, what is kept by mass, tile options and exits do not mind."""
    asked = [make_question("what?", picture(300, 200)), make_question("no picture?")]
    models = (other, pair[1]) if other_guides else (pair[0], other)
    vlm = stitch(models, **({"exit": "never", "keep": 0.3} | options))
    together, alone = vlm.answer(asked), [vlm.answer([question])[0] for question in asked]
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.trace.kept for a in together] == [a.trace.kept for a in alone]
    seen = together[0]
    if "exit" in options:
        assert seen.answered_by == "small" and seen.trace.kept is None
    else:
        assert seen.guide.layout.n_visual != seen.trace.n_visual and 0 < seen.trace.n_kept < 0.6 * seen.trace.n_visual


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.5}, "keep must be a share"),
        ({"keep": "nan"}, "keep must be a share"),
        ({"exit": 2}, r"in \[0, 1\]"),
        ({"layer": 8}, "layer 8 is beyond the model, which has layers 0 to 7"),
        ({"layer": -1}, "layer must be 0 or more"),
        ({"method": "best"}, "there is no method 'best'"),
        ({"dtype": "int3"}, "dtype must be one of"),
        ({"max_tiles": 0}, "max_tiles must be at least 1"),
        ({"guide_tokens": 0}, "guide_tokens must be at least 1"),
        ({"guide_tokens": 3, "method": "small-alone"}, "with small-alone they are the answers: leave it out"),
        ({"method": "fastv"}, "fastv keeps everything up to layer 2, .* cannot come down to 9.0%"),
        ({"method": "fastv", "layer": 0}, "fastv looks at the layer before"),
        ({"method": "pyramiddrop", "layer": 2}, "several layers: leave the layer out"),
        ({"method": "downsample", "layer": 2}, "at one layer: leave the layer out"),
        ({"method": SingleLayer(map_layer=8)}, "no layer 8 to take a map from: the model has layers 0 to 7"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(pair, options, message):
    with pytest.raises(ValueError, match=message):
        stitch(pair, **options)


def test_a_family_that_does_not_show_its_encoder_is_named_before_it_is_loaded(pair, monkeypatch):
    monkeypatch.setattr(InternVL, "shows_vision", False)
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(ValueError, match="visionzip needs the vision encoder's attention and keys.*InternVL"):
        stitch(pair, method="visionzip")


def test_absent_devices_are_refused(pair):
    with pytest.raises(ValueError, match="cuda:9 is not here"):
        Stitch.from_pretrained(*pair, device="cuda:9")
    with pytest.raises(ValueError, match="no kind of device called 'gpu'"):
        Stitch.from_pretrained(*pair, device="gpu")


def test_questions_that_cannot_be_asked_are_refused(pair):
    with pytest.raises(ValueError, match="question is empty"):
        make_question("  ", picture(64, 48))
    with pytest.raises(ValueError, match="list of pictures is empty: put a picture in it, or leave image out"):
        stitch(pair, exit="never")("what?", image=[])
    with pytest.raises(ValueError, match="stands for a picture"):
        stitch(pair, exit="never")("what is <IMG_CONTEXT>?", image=picture(64, 48))
    with pytest.raises(ValueError, match="not both"):
        make_question("why?", messages=[{"role": "user", "content": "why?"}])


def test_layers_may_lie_on_different_places(pair, tmp_path):
    """accelerate's hooks move states between parts: half of the large model is read from disk here."""
    plain = stitch(pair, exit="never", keep=0.3, layer=2)
    parts = {
        "model.vision_tower": "cpu",
        "model.multi_modal_projector": "cpu",
        "model.language_model.embed_tokens": "cpu",
    }
    parts |= {f"model.language_model.layers.{i}": "cpu" if i < 4 else "disk" for i in range(8)}
    parts |= {"model.language_model.norm": "cpu", "model.language_model.rotary_emb": "cpu", "lm_head": "cpu"}
    spread = stitch(pair, exit="never", keep=0.3, layer=2, device_map=parts)
    assert hasattr(spread.cascade.large().decoder.layers[6], "_hf_hook")
    question = [make_question("what?", picture(64, 48))]
    assert spread.answer(question)[0].text == plain.answer(question)[0].text


def test_half_precision_runs_end_to_end(pair):
    answer = stitch(pair, exit="never", dtype="bf16")("what?", image=picture(64, 48))
    assert answer.trace.n_kept > 0 and answer.guide.scores.dtype == torch.float32


def test_never_costs_no_exit_check_unless_scores_are_wanted(pair):
    plain = stitch(pair, exit="never")("what?", image=picture(64, 48))
    scored = stitch(pair, exit="never", score_drafts=True)("what?", image=picture(64, 48))
    assert plain.trace.verdict is None and "exit_check" not in plain.trace.seconds
    assert scored.trace.verdict.score is not None and scored.text == plain.text


def test_the_small_model_is_not_loaded_for_nobody(pair, monkeypatch):
    loaded = []
    monkeypatch.setattr("stitchvlm.stitch.load_vlm", lambda s, *rest: (loaded.append(s), load_vlm(s, *rest))[1])
    assert stitch(pair, exit="never", method=None)("what?", image=picture(64, 48)).answered_by == "large"
    assert loaded == [pair[1]]


@pytest.mark.parametrize("exit", ["never", "always"])
def test_streamers_hear_the_answer_and_its_end(pair, exit):
    from transformers import TextIteratorStreamer

    vlm = stitch(pair, exit=exit)
    tokenizer = vlm.cascade.large().vlm.tokenizer
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=10)
    answer = vlm("what?", image=picture(64, 48), streamer=streamer)
    assert "".join(streamer).strip() == answer.text


def test_messages_that_cannot_be_used_are_refused():
    for messages, said in (
        ([{"content": "why?"}], "needs a role"),
        ([{"role": "user"}], "needs a role"),
        (["role"], "needs a role"),
        ([{"role": "user", "content": [{"type": "image", "url": "x.png"}]}], "path, PIL image or array"),
    ):
        with pytest.raises(ValueError, match=said):
            make_question(messages=messages)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"type": "image_url", "image_url": {"url": "cat.png"}}, "'image_url'"),
        ({"type": "video", "video": "cat.mp4"}, "'video'"),
        ({"type": "imag", "image": "cat.png"}, "'imag'"),
        ({"image": "cat.png"}, "cat.png"),
        ({"type": "text", "text": None}, "None"),
        ({"type": "text"}, "{'type': 'text'}"),
        ("What is it?", "What is it"),
        (None, "None"),
    ],
)
def test_parts_that_are_neither_pictures_nor_text_are_named(part, named):
    """They would be left out of the prompt, or break in the middle of a chat template."""
    asked = [part, {"type": "text", "text": "What is it?"}]
    with pytest.raises(
        ValueError, match="a part of a message is .* write it as one of these, a video as several"
    ) as told:
        make_question(messages=[{"role": "user", "content": asked}])
    assert named in str(told.value) and "\n" not in str(told.value)


def test_an_empty_batch_is_an_empty_list(pair):
    assert stitch(pair, exit="never").answer([]) == []


def test_a_wrong_large_checkpoint_is_found_although_it_is_lazy(pair, tmp_path):
    with pytest.raises(ValueError, match="config.json"):
        Stitch.from_pretrained(pair[0], str(tmp_path), lazy_large=True)
    with pytest.raises(ValueError, match="layer 8 is beyond"):
        stitch(pair, layer=8, lazy_large=True)


def test_an_overlong_prompt_is_refused_before_it_is_computed(pair):
    with pytest.raises(ValueError, match="more than the 2048"):
        stitch(pair, exit="never")("what? " * 500, image=picture(64, 48))


def test_answers_and_passes_are_printed_in_a_line(pair):
    """Neither tensors nor models; the pass of a batch with a question without a picture, too."""
    vlm = stitch(pair, exit="never", keep=0.3, layer=2)
    answer = vlm("what?", image=picture(64, 48))
    assert str(answer) == f"{answer}" == answer.text
    assert repr(answer) == f"Answer({answer.text!r}, by the large model, 6 of 20 visual tokens kept)"
    early = stitch(pair, exit="always")("what?", image=picture(64, 48))
    assert repr(early) == f"Answer({early.text!r}, by the small model)"
    seen = vlm.guide(picture(64, 48), "what?")
    assert str(seen) == repr(seen) == f"GuidePass({seen.drafts[0].text!r} from 20 visual tokens)"
    steps = len(seen.drafts[0].tokens) - 1
    assert repr(answer.guide) == f"GuideMap(20 visual tokens, {steps} decoded tokens)"
    for part in (*seen.drafts, answer.trace, vlm.guide(None, "what?")):
        assert "tensor" not in repr(part) and len(repr(part)) < 1200 and "\n" not in repr(part)
