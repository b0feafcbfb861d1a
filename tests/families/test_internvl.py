"""InternVL's prompt and geometry: what the model is fed and which part of the picture each token shows."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import save_tiny_internvl

from stitchvlm.families import load_vlm
from stitchvlm.records import Question

SIZES = [(640, 480), (480, 640), (300, 100), (50, 50), (1000, 90), (28, 28), (200, 201)]


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return load_vlm(str(save_tiny_internvl(tmp_path_factory.mktemp("internvl"), max_patches=6)), device="cpu")


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
    assert (shown - centre).abs().max() < 0.01


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


def test_layouts_match_by_geometry_not_by_text(vlm):
    image = coordinates(640, 480)
    one, other, small = (
        vlm.family.prepare(vlm, [Question(text, (image,))], most).layouts[0]
        for text, most in (("a", None), ("a longer question", None), ("a", 1))
    )
    scores = torch.arange(float(one.n_visual))
    assert one.matches(other) and torch.equal(one.resample(scores, onto=other), scores)
    with pytest.raises(ValueError, match="cannot guide each other yet"):
        small.resample(torch.ones(4), onto=one)


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
