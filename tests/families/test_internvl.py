"""InternVL's prompt and geometry: what the model is fed and which part of the picture each token shows."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import CHAT_TEMPLATE, save_tiny_internvl

from stitchvlm.families import load_hollow, load_vlm
from stitchvlm.families.tiles import Cut, shrink
from stitchvlm.records import Question
from stitchvlm.schedule import Shrink

SIZES = [(640, 480), (480, 640), (300, 100), (50, 50), (1000, 90), (28, 28), (200, 201)]


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return load_vlm(str(save_tiny_internvl(tmp_path_factory.mktemp("internvl"), max_patches=6)), device="cpu")


@pytest.fixture(scope="module")
def shrinking_vlm(tmp_path_factory):
    """Tiles of 4 x 4 tokens, so that there is something to shrink."""
    folder = save_tiny_internvl(tmp_path_factory.mktemp("shrinking"), tile=56, max_patches=6)
    return load_vlm(str(folder), device="cpu")


def coordinates(width: int, height: int) -> Image.Image:
    """A picture whose red is the horizontal and whose green is the vertical place, both as a fraction."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([(x + 0.5) / width, (y + 0.5) / height, np.zeros_like(x)], axis=2)
    return Image.fromarray((values * 255).round().astype(np.uint8))


@pytest.mark.parametrize("size", SIZES)
def test_every_token_shows_the_rectangle_it_claims(vlm, size):
    inputs = vlm.family.prepare(vlm, [Question("where?", (coordinates(*size),))], None)
    processor, layout = vlm.image_processor, inputs.layouts[0]
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    pixels = inputs.pixels * std + mean
    patches = pixels.unfold(2, 14, 14).unfold(3, 14, 14).mean((-1, -2))  # tiles, 3, 2, 2: one cell per visual token
    shown = patches[:, :2].permute(0, 2, 3, 1).reshape(-1, 2)
    centre = (layout.box[:, :2] + layout.box[:, 2:]) / 2
    assert shown.shape[0] == layout.n_visual
    assert (shown - centre).abs().max() <= 0.005


@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_picture_once_and_the_thumbnail_again(vlm, size):
    layout = vlm.family.prepare(vlm, [Question("where?", (coordinates(*size),))], None).layouts[0]
    area = (layout.box[:, 2] - layout.box[:, 0]) * (layout.box[:, 3] - layout.box[:, 1])
    assert area[~layout.coarse_mask].sum() == pytest.approx(1, abs=1e-5)
    assert area[layout.coarse_mask].sum() == pytest.approx(1 if layout.coarse_mask.any() else 0, abs=1e-5)
    assert layout.image_sizes == (size,)


def test_the_prompt_is_the_templates_with_one_placeholder_per_token(vlm):
    question = Question("what?", (coordinates(28, 28), coordinates(300, 100)), system="Be brief.")
    inputs = vlm.family.prepare(vlm, [question], None)
    one, several = "<IMG_CONTEXT>" * 4, "<IMG_CONTEXT>" * 4 * 4
    expected = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
        f"<img>{one}</img>\n<img>{several}</img>\nwhat?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert vlm.tokenizer.decode(inputs.token_ids[0]) == expected
    layout = inputs.layouts[0]
    assert layout.image.tolist() == [0] * 4 + [1] * 16
    assert (inputs.token_ids[0][layout.index] == vlm.placeholder_id).all()
    assert layout.first_text_after_visual == int(layout.index[-1]) + 1


def test_tiles_can_be_bounded(vlm):
    for most, n_tiles in ((1, 1), (2, 3), (6, 7)):
        inputs = vlm.family.prepare(vlm, [Question("?", (coordinates(640, 400),))], most)
        assert inputs.pixels.shape[0] <= n_tiles and inputs.layouts[0].n_visual == 4 * inputs.pixels.shape[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_shrunk_picture_is_all_there_with_fewer_tokens(shrinking_vlm, size, share):
    """Tiles of up to 4 x 4 tokens: what they show is still where the layout says, and the share is never exceeded."""
    vlm, question = shrinking_vlm, Question("where?", (coordinates(*size),))
    whole, inputs = (vlm.family.prepare(vlm, [question], None, to) for to in (None, Shrink(share)))
    layout, n_whole = inputs.layouts[0], whole.layouts[0].n_visual
    assert inputs.n_unshrunk == whole.n_unshrunk == (n_whole,)
    assert 1 <= layout.n_visual <= max(1, share * n_whole)
    larger = vlm.family.prepare(vlm, [question], None, Shrink(share, larger=True)).layouts[0]
    assert share * n_whole <= larger.n_visual <= n_whole
    assert (inputs.token_ids[0] == vlm.placeholder_id).sum() == layout.n_visual
    processor = vlm.image_processor
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    patches = (inputs.pixels * std + mean).unfold(2, 14, 14).unfold(3, 14, 14).mean((-1, -2))
    shown = patches[:, :2].permute(0, 2, 3, 1).reshape(-1, 2)
    assert (shown - (layout.box[:, :2] + layout.box[:, 2:]) / 2).abs().max() <= 0.005
    area = (layout.box[:, 2] - layout.box[:, 0]) * (layout.box[:, 3] - layout.box[:, 1])
    assert area[~layout.coarse_mask].sum() == pytest.approx(1, abs=1e-5)
    assert vlm.family.encode(vlm, inputs).shape[0] == layout.n_visual


def test_shrinking_takes_the_cut_with_most_detail():
    """5 tiles of 8 x 8 tokens, 320 in all: as the rule says, worked out by hand."""
    one, pair, four = Cut(1, 1, 8), Cut(2, 1, 8), Cut(2, 2, 8)

    def cut(share: float, larger: bool = False) -> Cut:
        return shrink(four, [one, pair, four], Shrink(share, larger))

    assert cut(0.64) == Cut(2, 2, 6)  # 204: five tiles of 36 show 144 beside the thumbnail, three of 64 only 128
    assert cut(0.35) == Cut(2, 1, 6)  # 112: three tiles of 36 show 72, five of 16 and one of 64 only 64
    assert cut(0.2) == Cut(1, 1, 8)  # 64: one tile as it is
    assert cut(0.09) == Cut(1, 1, 5)  # 28: one tile of 25
    assert cut(0.001) == Cut(1, 1, 1)
    assert cut(0.64, larger=True) == Cut(
        2, 2, 7
    )  # 204.8: five tiles of 49 are 245, of 36 only 180; three of 64 only 192
    assert cut(0.35, larger=True) == Cut(2, 2, 5)  # 112: five of 25 are 125, three of 49 are 147
    assert cut(0.2, larger=True) == Cut(1, 1, 8)  # 64: met by one tile as it is
    assert cut(0.09, larger=True) == Cut(1, 1, 6)  # 28.8: one tile of 36; five of 9 are 45
    assert cut(0.99, larger=True) == four


def test_pictures_shrunk_to_different_tiles_go_in_one_batch(shrinking_vlm):
    vlm = shrinking_vlm
    questions = [Question("a?", (coordinates(*size),)) for size in ((640, 480), (50, 50), (300, 100))]
    questions.insert(1, Question("none?"))
    together = vlm.family.prepare(vlm, questions, None, Shrink(0.5))
    assert len({tiles.shape[1:] for tiles in together.tiles}) > 1
    alone = [vlm.family.prepare(vlm, [question], None, Shrink(0.5)) for question in questions]
    expected = torch.cat([vlm.family.encode(vlm, inputs) for inputs in alone])
    torch.testing.assert_close(vlm.family.encode(vlm, together), expected, rtol=1e-4, atol=1e-4)


def test_what_the_encoder_shows_equals_its_eager_attention(shrinking_vlm):
    """Layer last but one, the summary token's row, averaged over heads and over the patches that make up a token."""
    vlm = shrinking_vlm
    inputs = vlm.family.prepare(vlm, [Question("?", (coordinates(300, 100),)), Question("?")], None)
    visual, (shown, nothing) = vlm.family.encode_and_show(vlm, inputs)
    assert torch.equal(visual, vlm.family.encode(vlm, inputs)) and not len(nothing.attention)
    tower, heard = vlm.model.model.vision_tower, []
    layer = tower.encoder.layer[-2].attention
    hook = layer.k_proj.register_forward_hook(lambda module, given, keys: heard.append(keys))
    vlm.model.set_attn_implementation({"vision_config": "eager"})
    try:
        with torch.no_grad():
            maps = tower(pixel_values=inputs.pixels, output_attentions=True).attentions[-2]
    finally:
        hook.remove()
        vlm.model.set_attn_implementation({"vision_config": "sdpa"})
    patches = {"attention": maps.mean(1)[:, 0, 1:, None]}
    patches["keys"] = heard[0].unflatten(-1, (layer.num_heads, -1)).mean(-2)[:, 1:]
    for name, values in patches.items():
        grid = values.unflatten(1, (4, 2, 4, 2))  # token row, patch row, token column, patch column
        expected = grid.mean((2, 4)).flatten(0, 2)
        ours = getattr(shown, name)
        torch.testing.assert_close(ours.reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)


def test_layouts_match_by_geometry_not_by_text(vlm):
    image = coordinates(640, 480)
    one, other, small = (
        vlm.family.prepare(vlm, [Question(text, (image,))], most).layouts[0]
        for text, most in (("a", None), ("a longer question", None), ("a", 1))
    )
    scores = torch.arange(float(one.n_visual))
    assert one.matches(other) and torch.equal(one.resample(scores, onto=other), scores)
    assert not small.matches(one) and small.resample(torch.ones(4), onto=one)[one.coarse_mask].tolist() == [1.0] * 4


def test_checkpoints_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder with a checkpoint nor a hub id"):
        load_vlm(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="has no config.json"):
        load_vlm(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match=r"is a bert checkpoint, not a vision-language model .*InternVL"):
        load_vlm(str(tmp_path))
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_vlm(str(tmp_path))


def test_a_chat_template_in_a_file_of_its_own_is_read(tmp_path):
    folder = save_tiny_internvl(tmp_path)
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    vlm = load_hollow(str(folder))
    (ids,) = vlm.family.prepare(vlm, [Question("what?")], None).token_ids
    assert vlm.tokenizer.decode(ids) == "<|im_start|>user\nwhat?<|im_end|>\n<|im_start|>assistant\n"


def test_broken_weights_are_refused(tmp_path):
    folder = save_tiny_internvl(tmp_path)
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[: len(good) // 2])
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_vlm(str(folder), device="cpu")
    weights.unlink()
    with pytest.raises(ValueError, match="no \\*.safetensors"):
        load_vlm(str(folder), device="cpu")


def test_missing_weights_are_named(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_tiny_internvl(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if "down_proj" in name))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="missing keys.*down_proj"):
        load_vlm(str(folder), device="cpu")


def test_sharded_weights_load(tmp_path):
    from reference import plain_copy

    folder = save_tiny_internvl(tmp_path / "one")
    plain_copy(folder).save_pretrained(tmp_path / "many", max_shard_size="40KB")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja"):
        (tmp_path / "many" / name).write_bytes((folder / name).read_bytes())
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = (load_vlm(str(tmp_path / which), device="cpu").model for which in ("one", "many"))
    for (name, expected), value in zip(one.state_dict().items(), many.state_dict().values(), strict=True):
        assert torch.equal(expected, value), name
