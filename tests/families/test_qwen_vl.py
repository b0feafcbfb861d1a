"""Qwen-VL's prompt, positions and geometry: what the model is fed, where tokens stand and what each shows."""

import itertools
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from reference import Loss, lossy_logits, masked_logits, plain_copy
from test_engine import ONE_AND_ANOTHER, dropped_places, picture, random_plan, row_inputs
from test_internvl import coordinates
from tiny import QWEN_TEMPLATE, QWEN_VL, save_tiny_qwen_vl

from stitchvlm import Sampling, Stitch, verify
from stitchvlm.engine import Engine
from stitchvlm.families import check_checkpoint, load_vlm
from stitchvlm.families.base import CutPictures, Decoder
from stitchvlm.families.tiles import shrink_grid
from stitchvlm.methods import Guided, make_method
from stitchvlm.passes import Plan
from stitchvlm.questions import make_question
from stitchvlm.records import Question
from stitchvlm.schedule import PruneStep, Schedule, Shrink

SIZES = [(640, 480), (480, 640), (1000, 250), (90, 1000), (300, 300), (2000, 40), (50, 61), (200, 1)]
N_LAYERS = 5

TALK = make_question(messages=[{"role": "user", "content": [*ONE_AND_ANOTHER, {"type": "text", "text": "which one?"}]}])
QUESTIONS = (TALK, Question("What is it?", (picture(64, 48),)), Question("no picture at all"))


@pytest.fixture(scope="module", params=QWEN_VL)
def folder(request, tmp_path_factory):
    return save_tiny_qwen_vl(tmp_path_factory.mktemp(request.param), request.param, n_layers=N_LAYERS)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(load_vlm(str(folder), device="cpu"))


@pytest.fixture(scope="module")
def plain(folder):
    return plain_copy(folder)


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    """What does not depend on which of the models it is."""
    return load_vlm(str(save_tiny_qwen_vl(tmp_path_factory.mktemp("qwen"), "qwen2_vl")), device="cpu")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    small = save_tiny_qwen_vl(root / "small", "qwen2_5_vl", n_layers=2, seed=1)
    return str(small), str(save_tiny_qwen_vl(root / "large", "qwen3_vl", n_layers=6, width=48, seed=2))


def layout_of(vlm, size, max_tiles=None, to=None):
    return vlm.family.prepare(vlm, [Question("where?", (coordinates(*size),))], max_tiles, to).layouts[0]


# Geometry


def shown_by(vlm, patches: torch.Tensor) -> torch.Tensor:
    """Mean red and green, which are the place, of the patches that make up each token, as the encoder lays them together."""
    processor = vlm.image_processor
    mean, std = (torch.tensor(values)[:2] for values in (processor.image_mean, processor.image_std))
    return patches.unflatten(0, (-1, 4)).unflatten(2, (3, -1))[:, :, :2].mean((1, 3)) * std + mean


@pytest.mark.parametrize("size", SIZES)
def test_every_token_shows_the_rectangle_it_claims(vlm, size):
    layout = layout_of(vlm, size)
    patches = vlm.image_processor([coordinates(*size)], return_tensors="pt")["pixel_values"]
    centre = (layout.box[:, :2] + layout.box[:, 2:]) / 2
    assert (shown_by(vlm, patches) - centre).abs().max() <= 0.005
    area = (layout.box[:, 2:] - layout.box[:, :2]).prod(1)
    assert area.sum() == pytest.approx(1, abs=1e-5) and area.max() - area.min() < 1e-6
    assert layout.image_sizes == (size,) and 4 <= layout.n_visual <= 64


def test_the_encoder_gives_tokens_in_the_order_of_the_layout(folder):
    """With attention silenced, a change of one token's pixels changes that token alone."""
    vlm = load_vlm(str(folder), device="cpu")
    inputs = vlm.family.prepare(vlm, [Question("?", (picture(126, 70),))], None)
    with torch.no_grad():
        for block in vlm.model.model.visual.blocks:
            block.attn.proj.weight.zero_()
            block.attn.proj.bias.zero_()
        before = vlm.family.encode(vlm, inputs)
        for ordinal in (0, 4, 17, 44):
            x, y = (inputs.layouts[0].box[ordinal, :2] * torch.tensor([126, 70])).round().long().tolist()
            changed = inputs.tiles[0].clone()
            changed[:, :, y : y + 14, x : x + 14] += 1
            differs = (vlm.family.encode(vlm, replace(inputs, tiles=(changed,))) != before).any(1)
            assert differs.nonzero().flatten().tolist() == [ordinal]


@pytest.mark.parametrize("most", [1, 2, 7])
def test_a_tile_is_256_tokens(vlm, most):
    def n_visual(size, most=None):
        question = [Question("?", (Image.new("RGB", size),))]
        return vlm.family.prepare(vlm, question, most).layouts[0].n_visual

    assert n_visual((1500, 1000)) <= 64, "the checkpoint's own bound"
    assert 0.85 * 256 * most <= n_visual((1500, 1000), most) <= 256 * most
    assert n_visual((3, 2), most) == n_visual((3, 2))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_shrunk_picture_is_all_there_with_fewer_tokens(vlm, size, share):
    question = [Question("where?", (coordinates(*size),))]
    whole, inputs = (vlm.family.prepare(vlm, question, None, to) for to in (None, Shrink(share)))
    layout, n_whole = inputs.layouts[0], whole.layouts[0].n_visual
    assert inputs.n_unshrunk == whole.n_unshrunk == (n_whole,)
    assert 1 <= layout.n_visual <= max(1, share * n_whole)
    assert share * n_whole <= layout_of(vlm, size, None, Shrink(share, larger=True)).n_visual <= n_whole
    patches = vlm.family.forward_inputs(vlm, inputs.token_ids[0][None], inputs)["pixel_values"]
    centre = (layout.box[:, :2] + layout.box[:, 2:]) / 2
    assert (shown_by(vlm, patches) - centre).abs().max() <= 0.005
    assert vlm.family.encode(vlm, inputs).shape[0] == layout.n_visual


def test_shrinking_keeps_the_shape():
    """48 tokens, worked out by hand: of what fits the share, the grid whose sides shrink most alike."""
    assert shrink_grid((6, 8), Shrink(0.25)) == (3, 4)
    assert shrink_grid((6, 8), Shrink(0.36)) == (
        3,
        5,
    )  # 17.3: 15 tokens, sides at 0.5 and 0.63; 4 x 4 are at 0.67 and 0.5
    assert shrink_grid((6, 8), Shrink(0.36, larger=True)) == (4, 5)  # 3 x 6 are at 0.5 and 0.75
    assert shrink_grid((1, 40), Shrink(0.25)) == (1, 10)
    assert shrink_grid((6, 8), Shrink(0.001)) == (1, 1)
    assert shrink_grid((6, 8), Shrink(0.999, larger=True)) == (6, 8)


def test_a_picture_is_resized_once_for_models_that_see_alike(pair):
    small, large = (load_vlm(source, device="cpu") for source in pair)
    cut = CutPictures()
    inputs = [vlm.family.prepare(vlm, [QUESTIONS[1], TALK], None, None, cut) for vlm in (small, large)]
    assert all(a is b for a, b in zip(*(some.tiles for some in inputs), strict=True)) and len(cut) == 3
    assert inputs[0].layouts[1].matches(inputs[1].layouts[1])


# Prompt and positions


def test_the_prompt_is_the_templates_with_one_placeholder_per_token(vlm):
    ids = vlm.family.prepare(vlm, [TALK], None).token_ids[0]
    first, second = ("<|vision_start|>" + "<|image_pad|>" * n + "<|vision_end|>" for n in (8, 10))
    assert vlm.tokenizer.decode(ids) == (
        "<|im_start|>system\nBe helpful.<|im_end|>\n<|im_start|>user\n"
        f"First this:{first}and then that:{second}which one?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("layer", [0, 2])
def test_positions_are_those_of_the_papers_rule_and_stay_with_their_tokens(engine, layer, monkeypatch):
    """Time stands still in a picture, rows and columns count on from there, and text goes on behind the longer side."""
    inputs, streams, run = engine.prepare(QUESTIONS), [], Decoder.run
    stream = engine.embed(inputs).stream
    monkeypatch.setattr(
        Decoder,
        "run",
        lambda self, stream, *given, **named: streams.append(stream) or run(self, stream, *given, **named),
    )
    kept = engine.prefill(engine.embed(inputs), random_plan((layer, 0.3)))
    for row, (layout, grids) in enumerate(zip(inputs.layouts, ([(2, 4), (5, 2)], [(3, 5)], []), strict=True)):
        expected, at, rest = [], 0, iter(grids)
        for is_visual, run in itertools.groupby(range(layout.n_tokens), lambda n, of=layout: n in of.index):
            if is_visual:
                rows, columns = next(rest)
                expected += [(at, at + r, at + c) for r in range(rows) for c in range(columns)]
                at += max(rows, columns)
            else:
                expected += [(at + n,) * 3 for n, _ in enumerate(run)]
                at = expected[-1][0] + 1
        assert stream.positions[:, row, -layout.n_tokens :].T.tolist() == list(map(list, expected))
        assert engine.embed(inputs).next_position[row] == at
        answer = engine.continued(engine.embed(inputs), [[5, 6]] * 3)
        assert answer.positions[:, row, -2:].T.tolist() == [[at] * 3, [at + 1] * 3]
        gone = dropped_places(layout, kept.kept[row].tolist())
        assert len(gone) == layout.n_visual - int(0.3 * layout.n_visual)
        left = [expected[place] for place in range(layout.n_tokens) if place not in gone]
        assert streams[-1].positions[:, row, -len(left) :].T.tolist() == list(map(list, left))


# Pruning


@pytest.mark.parametrize("layer", [0, 1, 2, 4])
def test_pruned_decode_with_text_between_pictures_equals_a_masked_forward(engine, plain, layer):
    """A padded batch of three; of Qwen3-VL states are added after layers 0, 1 and 2, to what is left of the pictures."""
    prompt = engine.embed(engine.prepare(QUESTIONS))
    prefilled = engine.prefill(prompt, random_plan((layer, 0.4)))
    generated = engine.decode(prefilled, Sampling(4), keep_logits=True)
    for row, question in enumerate(QUESTIONS):
        ids, pictures, layout = row_inputs(engine, question)
        steps = [(layer, dropped_places(layout, prefilled.kept[row].tolist()))]
        expected = masked_logits(plain, ids, pictures, generated.tokens[row][:-1], steps)
        ours = generated.logits[row, : len(generated.tokens[row])]
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()
    deepstack = prompt.stream.deepstack
    assert (deepstack is None) == (plain.config.model_type != "qwen3_vl")
    if deepstack is not None:
        without = engine.prefill(replace(prompt, stream=replace(prompt.stream, deepstack=None)))
        assert not torch.allclose(without.logits[0], engine.prefill(prompt).logits[0], atol=1e-2)


def test_what_is_added_flows_together_with_the_states(engine, plain):
    """Tokens merged before layer 1 get the weighted mean of what was to be added to them later."""
    reducer, decisions = make_method("tome"), []

    class Recorded(type(reducer)):
        def reduce(self, view, n_keep):
            decisions.append(super().reduce(view, n_keep))
            return decisions[-1]

    prompt = engine.embed(engine.prepare([TALK]))
    prefilled = engine.prefill(prompt, Plan(Schedule((PruneStep(1, 0.5),)), Recorded()))
    place, (merge,) = prompt.layouts[0].index.tolist(), decisions[0].merges
    flows: dict[int, dict[int, float]] = {}
    for source, target, weight in zip(*(part.tolist() for part in vars(merge).values()), strict=True):
        flows.setdefault(place[target], {})[place[source]] = weight
    dropped = [at for ordinal, at in enumerate(place) if ordinal not in prefilled.kept[0]]
    sizes = {target: len(sources) for target, sources in flows.items()}
    ids, pictures, _ = row_inputs(engine, TALK)
    expected = lossy_logits(plain, ids, pictures, [], [Loss(1, dropped, flows, sizes)])[0]
    assert (prefilled.logits[0] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_pictures_none_of_whose_tokens_stay_are_not_encoded(engine, monkeypatch):
    inputs = engine.prepare([TALK, QUESTIONS[1]])
    guides = [10.0 * (layout.image == 1) + torch.rand(layout.n_visual) for layout in inputs.layouts]
    plan = Plan(Schedule.single(0.3, 0), Guided(), guides)
    grids, visual = [], engine.vlm.model.model.visual.forward
    monkeypatch.setattr(
        engine.vlm.model.model.visual,
        "forward",
        lambda *args, **named: (grids.append(named["grid_thw"].tolist()), visual(*args, **named))[1],
    )
    whole, foreseen = engine.prefill(engine.embed(inputs), plan), engine.foresee(plan, inputs.layouts)
    part = engine.prefill(engine.embed(inputs, plan=foreseen), foreseen)
    assert grids == [[[1, 4, 8], [1, 10, 4], [1, 6, 10]], [[1, 10, 4], [1, 6, 10]]]
    torch.testing.assert_close(part.logits, whole.logits, rtol=1e-4, atol=1e-5)


def test_a_crop_is_encoded_as_if_it_had_been_cut_out_and_keeps_its_positions(engine):
    """Of 6 x 8 tokens those at (1, 2) and (3, 6) stay: rows 1 to 3 and columns 2 to 6 are seen, against the cut picture itself."""
    side, image = 14, picture(8 * 14, 6 * 14)
    inputs = engine.prepare([Question("What is it?", (image,)), Question("and this?", (picture(28, 28, 3), image))])
    layout, other = inputs.layouts
    assert layout.n_visual == 48
    kept = torch.tensor([8 + 2, 24 + 6])
    around = engine.vlm.family.encoded_around(layout, kept)
    assert around.tolist() == [8 * row + column for row in (1, 2, 3) for column in range(2, 7)]
    (seen,) = engine.vlm.family.encoded_tiles(engine.vlm, engine.prepare([Question("?", (image,))]), [around])
    assert seen.shape == (1, 3, 3 * side, 5 * side)
    cut = engine.prepare([Question("What is it?", (image.crop((2 * side, side, 7 * side, 4 * side)),))])
    expected = engine.vlm.family.encode(engine.vlm, cut)
    second = engine.vlm.family.encoded_around(other, 4 + kept)
    assert second.tolist() == (4 + around).tolist()
    found = engine.vlm.family.encode(engine.vlm, inputs, [around, second])
    torch.testing.assert_close(found, torch.cat([expected, expected]), rtol=1e-4, atol=1e-5)
    scores = torch.zeros(48).index_fill(0, kept, 1.0)
    plan = engine.foresee(Plan(Schedule.single(2 / 48, 0), Guided(crop=True), [scores]), [layout])
    one = engine.prepare([Question("What is it?", (image,))])
    whole, part = engine.embed(one), engine.embed(one, plan=plan)
    places = [
        place
        for place in range(layout.n_tokens)
        if place not in set(layout.index.tolist()) - set(layout.index[around].tolist())
    ]
    assert torch.equal(part.stream.positions[..., 0, :], whole.stream.positions[..., 0, places])
    assert torch.equal(part.next_position, whole.next_position)
    prefilled = engine.prefill(part, plan)
    assert prefilled.kept[0].tolist() == kept.tolist() and len(engine.decode(prefilled, Sampling(4)).tokens[0]) == 4


def test_a_verified_proposal_changes_no_token(engine):
    plan, prompt = random_plan((2, 0.4)), engine.embed(engine.prepare(QUESTIONS))
    alone = engine.decode(engine.prefill(prompt, plan), Sampling(7), keep_logits=True)
    proposed = [[*row[:n], 7, 7][:6] for row, n in zip(alone.tokens, (3, 0, 6), strict=True)]
    ours = engine.decode(engine.prefill(prompt, plan, proposed=proposed), Sampling(7), keep_logits=True)
    assert ours.tokens == alone.tokens and ours.n_accepted[0] >= min(3, len(alone.tokens[0]))
    torch.testing.assert_close(ours.logits, alone.logits, rtol=1e-4, atol=1e-4)


# The whole path


@pytest.mark.parametrize("method", ["guided", "downsample", "tome", "fastv", "large-alone"])
def test_a_pair_answers(pair, method):
    options = {"keep": 0.35, "exit": "never", "device": "cpu", "sampling": Sampling(5)}
    answers = Stitch.from_pretrained(*pair, method=method, **options).answer([TALK, QUESTIONS[1]])
    assert all(answer.answered_by == "large" for answer in answers)
    retention = answers[0].trace.average_retention
    assert retention == 1 if method == "large-alone" else 0.1 < retention <= 0.36
    if method == "guided":
        again = Stitch.from_pretrained(*pair, reuse_drafts=False, **options).answer([TALK, QUESTIONS[1]])
        assert [answer.text for answer in again] == [answer.text for answer in answers]


def test_every_check_on_users_weights_passes(pair):
    results = list(verify.run_checks(*pair, device="cpu"))
    assert len(results) == 12 and all(result.passed for result in results), results


def test_what_the_encoder_attends_to_is_not_shown_and_that_is_said_first(pair):
    with pytest.raises(ValueError, match="visionzip needs .*, which Qwen-VL models do not show: choose another method"):
        check_checkpoint(pair[1], make_method("visionzip"))
    with pytest.raises(ValueError, match="Qwen-VL models do not show"):
        Stitch.from_pretrained(*pair, method="visionzip", device="cpu")


# Bad input, beside what tests/test_bad_input.py asks of every family


@pytest.mark.parametrize(("size", "n_visual"), [((1, 1), 4), ((1, 3), 8), ((200, 1), 29), ((1, 200), 29)])
def test_tiny_and_thin_pictures_are_seen(vlm, size, n_visual):
    inputs = vlm.family.prepare(vlm, [Question("?", (Image.new("RGB", size, "red"),))], None)
    assert inputs.layouts[0].n_visual == len(vlm.family.encode(vlm, inputs)) == n_visual


@pytest.mark.parametrize("token", ["<|video_pad|>", "<|vision_end|>"])
def test_other_tokens_around_pictures_are_refused_in_the_text(vlm, token):
    with pytest.raises(ValueError, match="stands for a picture"):
        vlm.family.prepare(vlm, [Question(f"what is {token}?", (picture(30, 30),))], None)


def test_other_numbers_of_pictures_than_places_are_refused(vlm):
    with pytest.raises(ValueError, match="the chat has 1 picture place for 0 pictures"):
        vlm.family.prepare(vlm, [Question(messages=({"role": "user", "content": [{"type": "image"}]},))], None)


def test_context_that_is_too_long_is_refused(engine):
    question = Question("?", tuple(picture(200, 200, n) for n in range(33)))
    with pytest.raises(ValueError, match=r"more than the 2048 that .* can hold: use fewer or smaller pictures"):
        engine.check_context(engine.prepare([question]).layouts, Sampling(8))


def test_files_as_the_releases_wrote_them_load(folder, tmp_path):
    """The chat template in a file of its own, bounds in pixels, and an image processor of another class."""
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": QWEN_TEMPLATE}))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    bounds = {"min_pixels": settings.pop("size")["shortest_edge"], "max_pixels": 30 * 196}
    settings |= bounds | {"image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen2VLProcessor"}
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    vlm = load_vlm(str(tmp_path), device="cpu")
    assert 20 <= layout_of(vlm, (640, 480)).n_visual <= 30 and layout_of(vlm, (14, 14)).n_visual == 4
