"""Tiles and pixels of the image processor, against the release's rule written down a second time."""

import math
import random

import numpy as np
import pytest
import torch
from PIL import Image

from stitchvlm.families.internvl2_checkpoint import load_image_processor

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _config(**changes) -> dict:
    config = {"force_image_size": 56, "dynamic_image_size": True, "use_thumbnail": True}
    return {**config, "vision_config": {"image_size": 56}, "min_dynamic_patch": 1, "max_dynamic_patch": 12, **changes}


def _grid(width: int, height: int, least: int, most: int, tile: int) -> tuple[int, int]:
    """Columns and rows: the allowed grid whose aspect ratio is nearest to the picture's.

    Among equally near ones, taken from few tiles to many, a later grid wins when the picture has more than half as many
    pixels as that grid.
    """
    grids = [(n, m) for n in range(1, most + 1) for m in range(1, most + 1) if least <= n * m <= most]
    nearest = min(abs(width / height - n / m) for n, m in grids)
    tied = sorted((g for g in grids if abs(width / height - g[0] / g[1]) == nearest), key=math.prod)
    large_enough = [grid for grid in tied[1:] if width * height > 0.5 * tile * tile * math.prod(grid)]
    return large_enough[-1] if large_enough else tied[0]


def _pictures() -> list[tuple[int, int]]:
    """200 sizes: every exact ratio of small numbers at several scales, and random ones."""
    chooser = random.Random(0)
    ties = [(n * scale, m * scale) for n in range(1, 5) for m in range(1, 5) for scale in (20, 56, 80, 112, 200)]
    midway = [(5 * scale, 4 * scale) for scale in (10, 30, 60)] + [(5 * scale, 2 * scale) for scale in (10, 30, 60)]
    random_sizes = [(chooser.randint(8, 700), chooser.randint(8, 700)) for _ in range(200 - len(ties) - len(midway))]
    return ties + midway + random_sizes


@pytest.mark.parametrize(("least", "most"), [(1, 12), (1, 6), (2, 8)])
def test_tile_grid_on_200_pictures(least: int, most: int) -> None:
    processor = load_image_processor(_config(min_dynamic_patch=least, max_dynamic_patch=most, force_image_size=448))
    pictures = _pictures()
    assert len(pictures) == 200
    for width, height in pictures:
        tiles = math.prod(_grid(width, height, least, most, 448))
        assert processor.get_number_of_image_patches(height, width) == tiles + (tiles > 1), (width, height)


@pytest.mark.parametrize(("width", "height"), [(56, 56), (300, 100), (97, 211), (640, 480), (20, 230)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_of_every_tile(width: int, height: int, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    pixels = load_image_processor(_config())(images=picture, return_tensors="pt")["pixel_values"]

    columns, rows = _grid(width, height, 1, 12, 56)
    resized = picture.convert("RGB").resize((56 * columns, 56 * rows), Image.Resampling.BICUBIC)
    boxes = [(56 * c, 56 * r, 56 * c + 56, 56 * r + 56) for r in range(rows) for c in range(columns)]
    tiles = [resized.crop(box) for box in boxes]
    if len(tiles) > 1:
        tiles.append(picture.convert("RGB").resize((56, 56), Image.Resampling.BICUBIC))
    mean, std = torch.tensor(_MEAN)[:, None, None], torch.tensor(_STD)[:, None, None]
    expected = torch.stack([(torch.from_numpy(np.array(tile)).permute(2, 0, 1) / 255 - mean) / std for tile in tiles])
    torch.testing.assert_close(pixels, expected, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_without_tiling_gets_one_tile() -> None:
    processor = load_image_processor(_config(dynamic_image_size=False, force_image_size=None))
    pixels = processor(images=Image.new("RGB", (300, 100)), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 56, 56)


def test_tiling_without_a_thumbnail_is_refused() -> None:
    with pytest.raises(ValueError, match="use_thumbnail is false"):
        load_image_processor(_config(use_thumbnail=False))
