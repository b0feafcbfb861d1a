"""LLaVA-OneVision's prompt, crops and geometry, at the size of the published checkpoints and on tiny random ones."""

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from released import load_released
from safetensors.torch import load_file, save_file
from tiny import LLAVA_TEMPLATE, LLAVA_TOKENS, byte_tokenizer, save_tiny_llava_onevision
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
)

from stitchvlm import Stitch, make_question
from stitchvlm.engine import Engine
from stitchvlm.families import VLM, LlavaOnevision, load_vlm
from stitchvlm.families.anyres import anyres_layout
from stitchvlm.families.llava_onevision import anyres_cut
from stitchvlm.families.tiles import shrink
from stitchvlm.methods import Guided, ReductionView
from stitchvlm.passes import Plan
from stitchvlm.records import Question
from stitchvlm.sampling import Sampling
from stitchvlm.schedule import Schedule, Shrink
from stitchvlm.verify import run_checks

SIZES = [(640, 480), (480, 640), (1000, 90), (300, 1000), (384, 384), (200, 201), (2500, 1900), (1200, 2300)]
"""Of pictures; the last two make more tokens than nine crops do, and are resampled."""

# --- the published configurations: width, inner width, layers, heads, key heads, vocabulary, tied, billions of parameters

PUBLISHED = {
    "0.5b": (896, 4864, 24, 14, 2, 152000, True, 0.894),
    "7b": (3584, 18944, 28, 28, 4, 152128, False, 8.03),
    "72b": (8192, 29568, 80, 64, 8, 152128, False, 73.2),
}


def published_config(size: str) -> LlavaOnevisionConfig:
    width, inner, layers, heads, key_heads, vocabulary, tied, _ = PUBLISHED[size]
    vision = {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "image_size": 384}
    vision |= {"num_attention_heads": 16, "num_hidden_layers": 26, "patch_size": 14, "vision_use_head": False}
    text = {"model_type": "qwen2", "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    text |= {"num_attention_heads": heads, "num_key_value_heads": key_heads, "vocab_size": vocabulary}
    text |= {"tie_word_embeddings": tied, "max_position_embeddings": 32768, "rope_theta": 1000000.0}
    sides = range(384, 2305, 384)
    return LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=151646,
        video_token_index=151647,
        image_grid_pinpoints=[[height, width] for height in sides for width in sides],
        vision_aspect_ratio="anyres_max_9",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


def published_shapes(size: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a checkpoint's weights, in the names that the published files have."""
    width, inner, layers, heads, key_heads, vocabulary, tied, _ = PUBLISHED[size]

    def linear(name: str, rows: int, columns: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (rows, columns)
        if bias:
            yield f"{name}.bias", (rows,)

    yield "image_newline", (width,)
    yield from linear("multi_modal_projector.linear_1", width, 1152)
    yield from linear("multi_modal_projector.linear_2", width, width)
    tower = "vision_tower.vision_model"
    yield f"{tower}.embeddings.patch_embedding.weight", (1152, 3, 14, 14)
    yield f"{tower}.embeddings.patch_embedding.bias", (1152,)
    yield f"{tower}.embeddings.position_embedding.weight", (27 * 27, 1152)
    norms = [f"encoder.layers.{layer}.layer_norm{n}" for layer in range(26) for n in (1, 2)]
    for norm in (*norms, "post_layernorm"):
        yield f"{tower}.{norm}.weight", (1152,)
        yield f"{tower}.{norm}.bias", (1152,)
    for layer in range(26):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{tower}.encoder.layers.{layer}.self_attn.{part}", 1152, 1152)
        yield from linear(f"{tower}.encoder.layers.{layer}.mlp.fc1", 4304, 1152)
        yield from linear(f"{tower}.encoder.layers.{layer}.mlp.fc2", 1152, 4304)
    language, head = "language_model.model", width // heads
    yield f"{language}.embed_tokens.weight", (vocabulary, width)
    yield f"{language}.norm.weight", (width,)
    if not tied:
        yield "language_model.lm_head.weight", (vocabulary, width)
    for layer in range(layers):
        name = f"{language}.layers.{layer}"
        yield from linear(f"{name}.self_attn.q_proj", heads * head, width)
        yield from linear(f"{name}.self_attn.k_proj", key_heads * head, width)
        yield from linear(f"{name}.self_attn.v_proj", key_heads * head, width)
        yield from linear(f"{name}.self_attn.o_proj", width, heads * head, bias=False)
        yield from linear(f"{name}.mlp.gate_proj", inner, width, bias=False)
        yield from linear(f"{name}.mlp.up_proj", inner, width, bias=False)
        yield from linear(f"{name}.mlp.down_proj", width, inner, bias=False)
        yield f"{name}.input_layernorm.weight", (width,)
        yield f"{name}.post_attention_layernorm.weight", (width,)


@pytest.mark.parametrize("size", PUBLISHED)
def test_every_weight_of_a_published_size_has_its_place(size):
    kind, billions = LlavaOnevisionForConditionalGeneration, PUBLISHED[size][-1]
    model = load_released(kind, published_config(size), dict(published_shapes(size)), billions)
    decoder = LlavaOnevision().decoder(VLM(size, LlavaOnevision(), model, None, None, (), 151646))
    assert len(decoder.layers) == PUBLISHED[size][2] and decoder.max_positions == 32768


@pytest.fixture(scope="module")
def published() -> VLM:
    """All of a published checkpoint that decides how pictures are cut, without its weights."""
    tokenizer, config = byte_tokenizer(LLAVA_TOKENS, LLAVA_TEMPLATE), published_config("7b")
    processor = LlavaOnevisionImageProcessorPil(image_grid_pinpoints=config.image_grid_pinpoints)
    placeholder_id = tokenizer.convert_tokens_to_ids("<image>")
    return VLM("7b", LlavaOnevision(), SimpleNamespace(config=config), tokenizer, processor, (), placeholder_id)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_llava_onevision(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def vlm(folder):
    return load_vlm(str(folder), device="cpu")


def prepared(vlm, *sizes, max_tiles=None, to=None):
    question = Question("where?", tuple(coordinates(*size) for size in sizes))
    return vlm.family.prepare(vlm, [question], max_tiles, to)


def coordinates(width: int, height: int) -> Image.Image:
    """A picture whose red is the horizontal and whose green is the vertical place, both as a fraction; its blue is full."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([(x + 0.5) / width, (y + 0.5) / height, np.ones_like(x)], axis=2)
    return Image.fromarray((values * 255).round().astype(np.uint8))


# --- which part of the picture a token shows


def shown_colours(vlm, inputs) -> torch.Tensor:
    """The mean colour under every visual token, stitched as the model stitches encodings; newlines are black."""
    processor, patch, colours, begin = vlm.image_processor, vlm.model.config.vision_config.patch_size, [], 0
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    cells = (inputs.pixels * std + mean).unfold(2, patch, patch).unfold(3, patch, patch).mean((-1, -2))
    for cut in inputs.layouts[0].cuts:
        tiles = cells[begin : begin + cut.n_tiles].flatten(2).transpose(1, 2)
        colours.append(cut.stitch(tiles, torch.zeros(3)))
        begin += cut.n_tiles
    return torch.cat(colours)


def check_geometry(vlm, inputs, tolerance: float) -> None:
    """Tokens have the colours of their centres; which of them stick out into padding is seen by the blue they lack."""
    layout, colours = inputs.layouts[0], shown_colours(vlm, inputs)
    assert colours.shape[0] == layout.n_visual
    box, blue, rest = layout.box, colours[:, 2], ~layout.structural_mask
    assert not colours[layout.structural_mask].any() and not layout.shows_mask[layout.structural_mask].any()
    inside = blue > 0.999
    assert layout.shows_mask[inside].all()
    assert ((colours[:, :2] - (box[:, :2] + box[:, 2:]) / 2)[inside].abs() <= tolerance).all()
    at_an_edge = ((box < 0.02) | (box > 0.98)).any(1)
    assert at_an_edge[~inside].all(), "only tokens that stick out of the picture are partly padding"
    assert not layout.shows_mask[rest & (blue < 0.42)].any(), "black beside crops, grey around a whole picture"


@pytest.mark.parametrize("size", SIZES)
def test_every_token_shows_the_rectangle_it_claims(published, size):
    inputs = prepared(published, size)
    check_geometry(published, inputs, 0.005)
    layout, (cut,) = inputs.layouts[0], inputs.layouts[0].cuts
    assert (cut.grid != cut.unpadded) == (size in SIZES[-2:])
    assert shown_colours(published, inputs)[~layout.coarse_mask, 2].gt(0.999).sum() > 0.7 * cut.detail
    assert layout.coarse_mask.sum() == 27 * 27 and layout.structural_mask.sum() == cut.grid[0]
    area = (layout.box[:, 2] - layout.box[:, 0]) * (layout.box[:, 3] - layout.box[:, 1])
    assert area[~layout.coarse_mask].sum() == pytest.approx(1, abs=0.1), "a part row may be cut off as padding"
    assert area[layout.coarse_mask].sum() == pytest.approx((378 / 384) ** 2, abs=1e-4)


@pytest.mark.parametrize("sizes", [[(640, 480), (90, 700)], [(384, 384), (50, 51), (900, 300)]])
def test_several_pictures_are_shown_whole_in_a_square(published, sizes):
    inputs = prepared(published, *sizes)
    check_geometry(published, inputs, 0.005)
    layout = inputs.layouts[0]
    assert layout.image.tolist() == [n for n in range(len(sizes)) for _ in range(730)]
    assert not layout.coarse_mask.any() and not layout.tile.any() and layout.structural_mask.sum() == len(sizes)
    theirs = published.image_processor([[coordinates(*size) for size in sizes]], return_tensors="pt")
    assert torch.equal(inputs.pixels, theirs["pixel_values"].flatten(0, 1))


def test_crops_are_those_of_the_processor(published):
    for size in ((640, 480), (300, 1000)):
        theirs = published.image_processor([[coordinates(*size)]], return_tensors="pt")["pixel_values"][0]
        assert torch.equal(prepared(published, size).pixels, theirs)


def test_as_many_tokens_as_the_processor_counts(published):
    processor = object.__new__(LlavaOnevisionProcessor)  # a whole one would want a video processor and torchvision
    processor.image_processor, processor.num_image_tokens = published.image_processor, 27 * 27
    processor.vision_aspect_ratio = published.model.config.vision_aspect_ratio
    some = np.random.default_rng(0).integers(2, 3000, (150, 2)).tolist()
    for width, height in [*SIZES, (1, 1), (10, 2000), (2000, 10), *some]:
        counted = processor._get_number_of_features(height, width, 384, 384)
        assert anyres_cut(published, (width, height), None).n_visual == counted, (width, height)


@pytest.mark.parametrize("most", [2, 4, 9])
def test_crops_are_bounded(published, most):
    for size in SIZES:
        cut, free = anyres_cut(published, size, most), anyres_cut(published, size, None)
        assert 1 <= cut.columns * cut.rows <= most
        assert cut == free or free.columns * free.rows > most


def test_at_most_one_tile_is_the_whole_picture(published):
    inputs = prepared(published, (640, 480), max_tiles=1)
    assert inputs.layouts[0].n_visual == 730 and inputs.layouts[0].n_tiles == 1
    two = prepared(published, (640, 480), (640, 480))
    assert torch.equal(inputs.pixels[0], two.pixels[0])
    check_geometry(published, inputs, 0.005)


@pytest.mark.parametrize("size", [(640, 480), (1000, 90), (2500, 1900)])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.6])
def test_a_shrunk_picture_is_all_there_with_fewer_tokens(published, size, share):
    inputs = prepared(published, size, to=Shrink(share))
    n_whole = anyres_cut(published, size, None).n_visual
    assert inputs.n_unshrunk == (n_whole,) and 2 <= inputs.layouts[0].n_visual <= max(2, share * n_whole)
    check_geometry(published, inputs, 0.01)
    fewer = [anyres_cut(published, size, most) for most in range(1, 37)]
    larger = shrink(anyres_cut(published, size, None), fewer, Shrink(share, larger=True))
    assert share * n_whole <= larger.n_visual <= n_whole


@pytest.mark.parametrize("size", [(640, 480), (1000, 90), (2500, 1900)])
def test_smoothing_finds_the_neighbours(published, size):
    """By their places in the grid of tokens, whatever their rectangles are."""
    layout, (cut,) = (layouts := prepared(published, size).layouts)[0], layouts[0].cuts
    scores = torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(0))
    fine, rows = ~layout.coarse_mask & ~layout.structural_mask, cut.grid[0]
    (given,) = Guided(smooth=True).score(ReductionView([layout], [torch.arange(layout.n_visual)], 0, [scores]))
    values, tile = (of[fine].view(rows, -1) for of in (scores, layout.tile))
    total, count = torch.zeros_like(values), torch.zeros_like(values)
    for down in (-1, 0, 1):
        for along in (-1, 0, 1):
            there = [max(0, down), rows + min(0, down)], [max(0, along), cut.grid[1] + min(0, along)]
            here = [max(0, -down), rows + min(0, -down)], [max(0, -along), cut.grid[1] + min(0, -along)]
            (a, b), (c, d) = ([slice(*part) for part in place] for place in (here, there))
            same = tile[a, b] == tile[c, d]
            total[a, b] += values[c, d] * same
            count[a, b] += same
    torch.testing.assert_close(given[fine], (total / count).flatten())
    assert torch.equal(given[layout.structural_mask], scores[layout.structural_mask])


# --- what the model is fed


def test_the_prompt_is_the_templates_with_one_placeholder_per_token(vlm):
    picture = coordinates(64, 48)
    content = [{"type": "text", "text": "first"}, {"type": "image", "image": picture}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "and this?"}]},
    ]
    inputs = vlm.family.prepare(vlm, [make_question(messages=messages)], None)
    whole = "<image>" * 17
    assert vlm.tokenizer.decode(inputs.token_ids[0]) == (
        f"<|im_start|>system \nBe brief.<|im_end|><|im_start|>user {whole}\nfirst<|im_end|>"
        f"<|im_start|>assistant \nyes<|im_end|><|im_start|>user {whole}\nand this?<|im_end|><|im_start|>assistant\n"
    )
    assert inputs.layouts[0].image.tolist() == [0] * 17 + [1] * 17


def test_weights_and_template_load_as_they_were_published(vlm, folder, tmp_path):
    for file in folder.iterdir():
        if file.name not in ("model.safetensors", "chat_template.jinja"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": LLAVA_TEMPLATE}))
    weights = load_file(folder / "model.safetensors")
    published = {name.replace("vision_tower.", "vision_tower.vision_model."): weights[name] for name in weights}
    assert set(published) <= set(dict(published_shapes("7b")))
    save_file(published, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = load_vlm(str(tmp_path), device="cpu")
    for (name, expected), value in zip(vlm.model.state_dict().items(), loaded.model.state_dict().values(), strict=True):
        assert torch.equal(expected, value), name
    assert torch.equal(prepared(loaded, (64, 48)).token_ids[0], prepared(vlm, (64, 48)).token_ids[0])


def test_tied_embeddings_load(tmp_path):
    model = load_vlm(str(save_tiny_llava_onevision(tmp_path, n_layers=1, tie_word_embeddings=True)), device="cpu").model
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_other_models_of_the_name_are_not_taken_for_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llavaonevision1_5"}')
    with pytest.raises(
        ValueError, match="is a llavaonevision1_5 checkpoint, not a vision-language model of a supported"
    ):
        load_vlm(str(tmp_path))


@pytest.mark.parametrize(
    "sizes", [[(90, 30)], [(30, 90)], [(100, 60)], [(1, 1)], [(200, 1)], [(70, 20), (20, 70), (9, 9)]]
)
def test_embeddings_equal_transformers(vlm, sizes):
    """Those of the processor's own tiles, whatever way they are stitched."""
    inputs = prepared(vlm, *sizes)
    theirs = dict(vlm.image_processor([[coordinates(*size) for size in sizes]], return_tensors="pt"))
    with torch.no_grad():
        expected = torch.cat(vlm.model.get_image_features(**theirs, return_dict=True).pooler_output)
        torch.testing.assert_close(vlm.family.encode(vlm, inputs), expected, rtol=1e-5, atol=1e-5)
    ours = vlm.family.forward_inputs(vlm, inputs.token_ids[0][None], inputs)
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


# --- which crops have to be encoded


@pytest.mark.parametrize("size", [(90, 90), (100, 60), (90, 30), (70, 20)])
def test_tokens_change_with_the_tiles_they_are_made_of_and_with_no_other(vlm, size):
    inputs = prepared(vlm, size)
    layout, before = inputs.layouts[0], vlm.family.encode(vlm, inputs)
    assert (layout.cuts[0].grid != layout.cuts[0].unpadded) == (size in [(90, 90), (100, 60)])
    assert layout.made_of.shape == (layout.n_visual, layout.cuts[0].n_tiles)
    for tile in range(layout.cuts[0].n_tiles):
        tiles = inputs.pixels.clone()
        tiles[tile] += torch.randn(tiles[tile].shape, generator=torch.Generator().manual_seed(tile))
        changed = (vlm.family.encode(vlm, replace(inputs, tiles=(tiles,))) != before).any(1)
        assert torch.equal(changed, layout.made_of[:, tile])


@pytest.mark.parametrize("most", [None, 6, 12])
@pytest.mark.parametrize("side", [1, 2, 3, 20, 27])
def test_tokens_are_made_of_the_crops_that_resampling_mixes(published, side, most):
    """Every crop's tokens carry its number; what is more than 0 of it after stitching says whose parts there are."""
    some = np.random.default_rng(side).integers(200, 3000, (20, 2)).tolist()
    for size in [*SIZES, *map(tuple, some)]:
        cut = replace(anyres_cut(published, size, most), side=side)
        if not all(cut.grid):
            continue
        numbers = torch.eye(cut.n_tiles)[:, None].expand(-1, side**2, -1)
        assert torch.equal(cut.stitch(numbers, torch.zeros(cut.n_tiles)) > 0, cut.places()[2]), size


@pytest.mark.parametrize("size", [(90, 90), (90, 30)])
def test_a_token_alone_needs_few_tiles(vlm, size, monkeypatch):
    inputs, seen = prepared(vlm, size), []
    layout, whole, encode = inputs.layouts[0], vlm.family.encode(vlm, inputs), vlm.model.get_image_features
    monkeypatch.setattr(
        vlm.model, "get_image_features", lambda **named: seen.append(len(named["pixel_values"])) or encode(**named)
    )
    for wanted in range(layout.n_visual):
        seen.clear()
        there = vlm.family.encoded_with(layout, torch.tensor([wanted]))
        part = vlm.family.encode(vlm, inputs, [there])
        torch.testing.assert_close(part, whole[there], rtol=1e-4, atol=1e-5)
        assert wanted in there and sum(seen) == int(layout.made_of[wanted].sum()) <= 4
        assert layout.n_tiles_shown(there) == sum(seen)
        assert bool(layout.structural_mask[wanted]) == (not seen)


@pytest.mark.parametrize("size", [(91, 90), (100, 60), (90, 30)])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_a_budget_of_tiles_bounds_what_is_encoded(vlm, size, budget):
    """By the tiles that go through the encoder, also where tokens are made of several crops; the best token may need more."""
    engine, inputs = Engine(vlm), prepared(vlm, size)
    layout = inputs.layouts[0]
    scores = torch.rand(layout.n_visual, generator=torch.Generator().manual_seed(budget))
    scores[layout.made_of.sum(1).argmax()] = 2.0
    plan = Plan(Schedule.single(0.3, 0), Guided(tile_budget=budget), [scores])
    foreseen = engine.foresee(plan, inputs.layouts)
    encoded = vlm.family.encoded_tiles(vlm, inputs, engine.encoded(inputs, foreseen))
    assert 1 <= sum(map(len, encoded)) <= budget
    assert not layout.structural_mask[foreseen.foreseen.kept[0]].all()


def test_tiles_that_no_token_lies_in_are_counted(vlm):
    """One token a crop, and three rows of crops that are resampled to two rows of tokens."""
    cut = replace(anyres_cut(vlm, (90, 90), None), side=1)
    layout = anyres_layout(torch.arange(cut.n_visual), [cut], cut.n_visual)
    assert (cut.grid, cut.n_tiles) == ((2, 2), 10)
    assert layout.n_tiles == layout.n_tiles_shown(torch.arange(layout.n_visual)) == 10


# --- pictures and questions that are hard to serve, beside what tests/test_bad_input.py asks of every family


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (2, 400), (1, 3000)])
def test_pictures_of_any_shape_are_answered(vlm, size):
    engine = Engine(vlm)
    inputs = prepared(vlm, size)
    generated = engine.decode(engine.prefill(engine.embed(inputs)), Sampling(2), keep_logits=True)
    assert generated.logits.isfinite().all() and inputs.layouts[0].shows_mask.any()


def test_pictures_that_shrink_to_nothing_but_newlines_are_still_seen(vlm):
    for share in (0.05, 0.3, 0.6):
        inputs = prepared(vlm, (600, 3), to=Shrink(share))
        assert len(vlm.family.encode(vlm, inputs)) == inputs.layouts[0].n_visual >= 2


def test_more_pictures_than_the_context_holds_are_refused(vlm):
    engine = Engine(vlm)
    with pytest.raises(ValueError, match="the prompt has .* more than the 2048 that"):
        engine.check_context(prepared(vlm, *[(8, 9)] * 125).layouts, Sampling(1))


# --- the whole path


def test_a_small_one_guides_a_large_one(folder, tmp_path, monkeypatch):
    """Pictures are cut once, the draft is verified on the way, and crops that keep nothing are not encoded."""
    large = str(save_tiny_llava_onevision(tmp_path, n_layers=6, width=48, seed=2))
    pair = Stitch.from_pretrained(
        str(folder), large, exit="never", keep=0.1, layer=0, device="cpu", sampling=Sampling(5)
    )
    cut, preprocess = [], LlavaOnevisionImageProcessorPil.preprocess
    monkeypatch.setattr(
        LlavaOnevisionImageProcessorPil,
        "preprocess",
        lambda *given, **named: cut.append(1) or preprocess(*given, **named),
    )
    trace = pair("what?", image=coordinates(90, 30)).trace
    assert len(cut) == 1
    assert (trace.n_visual, trace.n_kept, trace.n_tiles) == (16 + 4 * 13, 6, 4)
    assert trace.n_tiles_encoded <= 4 and trace.n_proposed == 4
    alone = Stitch.from_pretrained(large=large, method="large-alone", device="cpu", sampling=Sampling(5))
    whole = Stitch.from_pretrained(large, large, exit="never", keep=1.0, device="cpu", sampling=Sampling(5))
    answer = whole("what?", image=coordinates(90, 30))
    assert answer.text == alone("what?", image=coordinates(90, 30)).text and answer.trace.n_accepted >= 4


def test_methods_that_look_at_the_encoder_say_that_they_cannot(folder):
    with pytest.raises(ValueError, match="visionzip needs the vision encoder.*LLaVA-OneVision models do not show"):
        Stitch.from_pretrained(str(folder), str(folder), method="visionzip", device="cpu")


def test_a_checkpoint_can_be_verified(tmp_path):
    folder = str(save_tiny_llava_onevision(tmp_path, n_layers=3, seed=1))
    results = list(run_checks(folder, folder, device="cpu"))
    assert len(results) == 12 and not [result for result in results if not result.passed]
