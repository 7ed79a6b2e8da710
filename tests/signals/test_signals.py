# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import json
import os

import numpy as np
import pytest
from PIL import Image

from dhq_brevitas.signals import grid, metrics
from dhq_brevitas.signals import pictures as signals
from dhq_brevitas.signals.grid import grid_codes, regular_codes, regularity
from dhq_brevitas.util import files


def picture_file(tmp_path, array, name="picture.png", mode=None):
    path = tmp_path / name
    Image.fromarray(array, mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


def ramp(*shape):
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape)


def test_bundled_color_and_grey():
    color = signals.load_image("astronaut", 32)
    assert color.pixels.shape == (32, 32, 3)
    assert color.pixels.dtype == np.float32
    assert color.notes == ()
    grey = signals.load_image("camera", 32)
    assert (grey.shape, grey.channels) == ((32, 32), 1)
    assert signals.load_image("astronaut", 32, grey=True).channels == 1


def test_original_pixels_map_linearly(tmp_path):
    path = picture_file(tmp_path, (ramp(8, 8) * 4 % 256).astype(np.uint8))
    pixels = signals.load_image(path).pixels
    np.testing.assert_allclose(pixels[..., 0], (ramp(8, 8) * 4 % 256) / 127.5 - 1, atol=1e-7)


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    values = (ramp(16, 16) * 257 % 65536).astype(np.uint16)
    pixels = signals.load_image(picture_file(tmp_path, values)).pixels[..., 0]
    np.testing.assert_allclose(pixels, values / 32767.5 - 1, atol=1e-6)
    assert len(np.unique(pixels)) == 256


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_color_tiff(tmp_path, dtype):
    tifffile = pytest.importorskip("tifffile")
    values = (ramp(16, 16, 3) * 83 % 65536).astype(np.uint16)
    stored = values if dtype == np.uint16 else (values / 65535).astype(np.float32)
    tifffile.imwrite(tmp_path / "deep.tif", stored, photometric="rgb")
    picture = signals.load_image(tmp_path / "deep.tif")
    if dtype == np.uint16:
        assert "read as 8-bit" in picture.notes[0]
    tolerance = 1e-6 if dtype == np.float32 else 1 / 127
    np.testing.assert_allclose(picture.pixels, values / 32767.5 - 1, atol=tolerance)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_dropped_with_a_note(tmp_path, channels):
    values = (ramp(8, 8, channels) % 256).astype(np.uint8)
    picture = signals.load_image(picture_file(tmp_path, values))
    assert "alpha" in picture.notes[0]
    expected = values[..., :-1] / 127.5 - 1
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)


def test_palette_and_cmyk_become_rgb(tmp_path):
    rgb = Image.fromarray((ramp(8, 8, 3) % 256).astype(np.uint8))
    rgb.convert("P").save(tmp_path / "palette.png")
    rgb.convert("CMYK").save(tmp_path / "print.jpg")
    assert signals.load_image(tmp_path / "palette.png").channels == 3
    assert signals.load_image(tmp_path / "print.jpg").channels == 3


def test_first_of_several_frames(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (0, 255)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    picture = signals.load_image(tmp_path / "two.tif")
    assert "2 frames" in picture.notes[0]
    assert (picture.pixels == -1).all()


def test_size_is_the_longer_side(tmp_path):
    path = picture_file(tmp_path, np.zeros((40, 100), np.uint8))
    assert signals.load_image(path, 50).shape == (20, 50)
    assert signals.load_image(picture_file(tmp_path, np.zeros((100, 40), np.uint8)), 50).shape == (
        50,
        20,
    )


def test_resizing_is_anti_aliased(tmp_path):
    checks = ((np.indices((64, 64)).sum(0) % 2) * 255).astype(np.uint8)
    small = signals.load_image(picture_file(tmp_path, checks), 16).pixels
    assert np.abs(small).max() < 0.1  # taking every fourth pixel would give -1 or 1


def test_enlarging_is_noted(tmp_path):
    path = picture_file(tmp_path, np.zeros((8, 8), np.uint8))
    assert "enlarged" in signals.load_image(path, 16).notes[0]


def test_float_pictures_must_be_in_unit_range(tmp_path):
    good = picture_file(tmp_path, np.full((8, 8), 0.5, np.float32), "half.tif")
    assert (signals.load_image(good).pixels == 0).all()
    bad = picture_file(tmp_path, np.full((8, 8), 3.0, np.float32), "bad.tif")
    with pytest.raises(ValueError, match="span 3 to 3"):
        signals.load_image(bad)
    holes = picture_file(tmp_path, np.full((8, 8), np.nan, np.float32), "nan.tif")
    with pytest.raises(ValueError, match="its float32 pixels hold NaN or infinity"):
        signals.load_image(holes)


def test_missing_picture_lists_the_bundled_ones():
    with pytest.raises(ValueError, match=r"no picture 'astronot'.*astronaut.*rocket"):
        signals.load_image("astronot")


def test_unreadable_pictures(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match="cannot read the picture"):
        signals.load_image(tmp_path / "text.png")
    whole = picture_file(tmp_path, (ramp(64, 64) % 251).astype(np.uint8)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot read the picture"):
        signals.load_image(tmp_path / "cut.png")
    with pytest.raises(ValueError, match="is a folder"):
        signals.load_image(tmp_path)


def test_too_small(tmp_path):
    with pytest.raises(ValueError, match="size=4 is too small"):
        signals.load_image("camera", 4)
    with pytest.raises(ValueError, match="7x9 pixels, which is too small"):
        signals.load_image(picture_file(tmp_path, np.zeros((7, 9), np.uint8)))
    with pytest.raises(ValueError, match="4x32 pixels, which is too small"):
        signals.load_image(picture_file(tmp_path, np.zeros((16, 128), np.uint8)), 32)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 12), (128, 100), (2, 2), (129, 3)])
def test_codes_are_centerd_and_fit_the_bits(height, width):
    codes = grid.grid_codes((height, width))
    assert codes.dtype == np.int64
    assert codes.shape == (height * width, 2)
    assert codes[0].tolist() == [-(height // 2), -(width // 2)]
    assert codes[-1].tolist() == [height - 1 - height // 2, width - 1 - width // 2]
    if width > 1:
        assert codes[1].tolist() == [-(height // 2), 1 - width // 2]
    bits = grid.code_bits(grid.grid_codes((height, width)))
    assert codes.min() >= -(2 ** (bits - 1))
    assert codes.max() < 2 ** (bits - 1)
    # One bit less would not do; two are the least.
    assert bits == 2 or codes.min() < -(2.0 ** (bits - 2)) or codes.max() >= 2.0 ** (bits - 2)


def test_known_bits_and_step():
    assert grid.code_bits(grid.grid_codes((128, 128))) == 7
    assert grid.code_bits(grid.grid_codes((129, 3))) == 8
    assert grid.grid_step((64, 100)) == 0.02
    with pytest.raises(ValueError, match=r"shape=\(0, 3\): every side must be at least 1"):
        grid.grid_codes((0, 3))


def test_psnr():
    zero = np.zeros((4, 4, 1), np.float32)
    assert metrics.psnr(zero, zero) == float("inf")
    assert metrics.psnr(zero, zero + 0.2) == pytest.approx(20.0, abs=1e-5)
    assert metrics.psnr(zero, zero + 0.1, value_range=1) == pytest.approx(20.0, abs=1e-5)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.psnr(zero, zero[:2])


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_picture_reads_back(tmp_path, channels):
    values = (ramp(8, 9, channels) % 256).astype(np.float32) / 127.5 - 1
    signals.save_image(tmp_path / "out.png", values)
    np.testing.assert_allclose(signals.load_image(tmp_path / "out.png").pixels, values, atol=1e-6)
    assert os.listdir(tmp_path) == ["out.png"]


@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 30, 3)])
def test_comparison_picture(tmp_path, shape):
    original = np.zeros(shape, np.float32)
    path = tmp_path / "comparison.png"
    signals.save_comparison(path, original, [("float", original + 0.1), ("int", original - 0.1)])
    with Image.open(path) as image:
        assert image.width > 4 * 300
    with pytest.raises(ValueError, match="panels is empty"):
        signals.save_comparison(path, original, [])


def test_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "value.json"
    files.write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(target, {"a": float("nan")})

    def interrupted_write():
        with files.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert json.loads(target.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["value.json"]


def test_json_reading(tmp_path):
    assert files.read_json(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        files.read_json(tmp_path / "bad.json")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write to the output folder"):
        files.check_writable_folder(tmp_path / "file" / "below")
    assert files.check_writable_folder(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("shape", [(5,), (4, 7), (1, 6), (3, 1, 2)])
def test_codes_of_a_grid_are_its_start_and_spacing(shape):
    codes = 3 * grid_codes(shape) - 2
    start, spacing = regularity(codes, shape)
    assert spacing == [3 if side > 1 else 1 for side in shape]
    np.testing.assert_array_equal(regular_codes(shape, start, spacing), codes)


def test_codes_of_no_grid():
    codes = grid_codes((4, 4))
    assert regularity(codes, (4, 4)) == ([-2, -2], [1, 1])
    assert regularity(codes, (16,)) is None
    assert regularity(codes, (2, 8)) is None
    assert regularity(codes[::-1], (4, 4)) is None
    codes[5, 1] += 1
    assert regularity(codes, (4, 4)) is None
