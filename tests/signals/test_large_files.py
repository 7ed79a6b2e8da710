# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Large pictures, and files that are no signals: neither time nor memory without bounds."""

import os
import time

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.transform import resize

from dhq_brevitas.signals.pictures import bundled_pictures, load_image
from dhq_brevitas.signals.tasks import get_task


@pytest.mark.parametrize("size", [64, 100, 700])
def test_up_to_eight_times_the_filter_is_scikit_images(size):
    """Bit for bit: such a picture is not shrunk before."""
    with Image.open(bundled_pictures()["astronaut"]) as image:
        unit = np.asarray(image) / 255.0
    expected = resize(
        unit, (size, size, 3), order=1, mode="reflect", anti_aliasing=size < 512
    ).clip(0, 1)
    pixels = (expected * 2 - 1).clip(-1, 1).astype(np.float32)
    np.testing.assert_array_equal(load_image("astronaut", size).pixels, pixels)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera"])
def test_area_means_change_little(name):
    """A picture scaled down by more is nearly what the filter alone makes of it."""
    with Image.open(bundled_pictures()[name]) as image:
        unit = np.atleast_3d(np.asarray(image)) / 255.0
    pixels = load_image(name, 24).pixels
    expected = resize(unit, pixels.shape, order=1, mode="reflect", anti_aliasing=True) * 2 - 1
    assert np.sqrt(np.mean((pixels - expected) ** 2)) < 0.01
    assert np.abs(pixels - expected).max() < 0.06


def test_a_large_picture_takes_seconds(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (4000, 3000), (0, 255, 51)).save(path, compress_level=1)
    start = time.monotonic()
    picture = load_image(path, 24)
    assert time.monotonic() - start < 20  # the filter alone: more than a minute
    np.testing.assert_allclose(
        picture.pixels, np.broadcast_to([-1, 1, -0.6], (18, 24, 3)), atol=1e-6
    )


def test_a_large_picture_with_bad_pixels(tmp_path):
    """Means do not hide them."""
    pixels = np.full((400, 400), 0.5, np.float32)
    pixels[7, 7] = -0.01
    tifffile.imwrite(tmp_path / "low.tiff", pixels)
    with pytest.raises(ValueError, match=r"pixels span -0\.01 to 0\.5"):
        load_image(tmp_path / "low.tiff", 16)


@pytest.mark.parametrize("task", ["picture", "audio", "shape"])
def test_devices_and_pipes_are_no_signals(tmp_path, task):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(ValueError, match=r"it is a device or a pipe|there is no"):
            get_task(task).problem(str(path), 64)


@pytest.mark.parametrize("task", ["picture", "audio", "shape"])
def test_files_that_are_too_large(tmp_path, task):
    with open(tmp_path / "large", "wb") as file:
        file.truncate((1 << 30) + 1)  # takes no space
    with pytest.raises(ValueError, match="has 1073741825 bytes, and at most 1073741824 are read"):
        get_task(task).problem(str(tmp_path / "large"), 64)
