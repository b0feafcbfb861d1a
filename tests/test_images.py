"""Every way of handing over a picture, and every broken one."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stitchvlm.images import load_image


def test_paths_images_and_arrays_give_the_same_pixels(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "p.png"
    Image.fromarray(values).save(path)
    for source in (path, str(path), Image.fromarray(values), values, values / 255.0):
        assert np.array_equal(np.asarray(load_image(source)), values)


def test_grey_and_transparent_pictures_become_rgb():
    assert load_image(np.full((4, 5), 9, dtype=np.uint8)).getpixel((0, 0)) == (9, 9, 9)
    assert load_image(np.zeros((4, 5, 4), dtype=np.uint8)).getpixel((0, 0)) == (255, 255, 255)


def test_pictures_are_turned_upright(tmp_path):
    image, exif = Image.new("RGB", (40, 20)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (20, 40)


def test_sixteen_bit_pictures_keep_their_brightness(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    loaded = np.asarray(load_image(tmp_path / "ramp.png"))[..., 0]
    assert np.abs(loaded[0].astype(int) - np.arange(256)).max() <= 1


def bomb(path, width: int, height: int) -> None:
    """A tiny PNG file that claims to be gigantic."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(20_000, 20_000), (60_000, 60_000)])
def test_gigantic_pictures_are_refused_before_decoding(tmp_path, size):
    bomb(tmp_path / "bomb.png", *size)
    with pytest.raises(ValueError, match="pixels"):
        load_image(tmp_path / "bomb.png")


def test_broken_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no picture"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(ValueError, match="is a folder"):
        load_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match="not a picture"):
        load_image(tmp_path / "text.png")
    (tmp_path / "broken.ppm").write_bytes(b"P6\n6x 6\n255\n")
    with pytest.raises(ValueError, match="is broken"):
        load_image(tmp_path / "broken.ppm")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match="not a picture"):
        load_image(tmp_path / "empty.png")
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200), "red").save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[:400])
    with pytest.raises(ValueError, match="is broken"):
        load_image(tmp_path / "half.jpg")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((5, 5), np.int64),
        np.full((5, 5), 2.0),
        np.full((5, 5), np.nan),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array):
    with pytest.raises(ValueError, match="picture"):
        load_image(array)


def test_zero_size_images_are_refused():
    with pytest.raises(ValueError, match="0x7"):
        load_image(Image.new("RGB", (0, 7)))
