# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The host's scale, bias and rounding as integers: compared on every code, 2^24 of them too."""

from dataclasses import replace

import numpy as np
import pytest

from dhq_brevitas.finn_flow.engine.integer_affine import integer_affine, thresholds
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import HostAffine, HostOutput, HostStep
from dhq_brevitas.signals.samples import PIXELS, SOUND


def rounding(scales, biases, form):
    """What the host makes of codes [n, channels]."""
    steps = (
        HostStep("Mul", np.array(scales, np.float32)),
        HostStep("Add", np.array(biases, np.float32)),
    )
    host = HostAffine(outputs=(HostOutput(steps),))
    return lambda codes: form.encode(host.decode(codes))


def every_code(bits, channels, low=None):
    low = -(1 << (bits - 1)) if low is None else low
    for start in range(low, low + (1 << bits), 1 << 20):
        codes = np.arange(start, min(start + (1 << 20), low + (1 << bits)))
        yield np.repeat(codes[:, None], channels, axis=1)


@pytest.mark.parametrize(
    ("scales", "biases", "bits", "form"),
    [
        # Of a trained network: powers of two, biases on the grid of the sums.
        (
            [2**-13, 2**-14, 2**-14],
            [844 / 8192, 3 / 16384, -135 / 16384],
            24,
            PIXELS,
        ),
        ([2**-13], [0.0], 20, SOUND),  # ties at half of the range, one up and one down
        ([2**-22], [-5 / 4096], 24, SOUND),  # more codes than samples
        ([2**-12], [-400.0], 22, PIXELS),  # far from 0
        ([-(2**-10), 1e-9, 0.3], [0.1, 0.2, -0.4], 18, PIXELS),  # falls, does not move, jumps
        ([2**-14 * 1.37], [0.0777], 16, PIXELS),
        ([2**-11, 2**-12], [0.5, -1.0], 10, PIXELS),  # far from black and white
    ],
    ids=["network", "sound", "fine", "far", "odd", "float", "narrow"],
)
def test_equal_on_every_code(scales, biases, bits, form):
    encode = rounding(scales, biases, form)
    bounds = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    found = integer_affine(encode, len(scales), bounds, (form.low, form.high))
    for codes in every_code(bits, len(scales)):
        np.testing.assert_array_equal(found.apply(codes), encode(codes))


@pytest.mark.parametrize(
    ("scales", "biases", "bits", "form"),
    [
        ([1.37 * 2**-22, 1.21 * 2**-23], [0.0777, -0.3], 24, PIXELS),
        ([1.37 * 2**-22], [0.0777], 24, SOUND),
        ([1.37 * 2**-19], [0.0777], 20, SOUND),
        ([1.003 * 2**-17], [1e-5], 18, SOUND),
        ([1.1 * 2**-23], [0.1234], 24, SOUND),  # off by up to three codes
    ],
)
def test_thresholds_that_are_on_no_line_are_corrected(scales, biases, bits, form):
    """Float scales, which float32 rounds: without the bits, samples are wrong."""
    encode, bounds = rounding(scales, biases, form), (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    found = integer_affine(encode, len(scales), bounds, (form.low, form.high))
    assert found.late is not None
    line = replace(found, late=None)
    late = 0
    for codes in every_code(bits, len(scales)):
        np.testing.assert_array_equal(found.apply(codes), encode(codes))
        late += np.count_nonzero(line.apply(codes) != encode(codes))
    assert late > 0


def test_unsigned_codes():
    encode = rounding([2**-7], [-1.0], PIXELS)
    found = integer_affine(encode, 1, (0, 511), (0, 255))
    for codes in every_code(9, 1, low=0):
        np.testing.assert_array_equal(found.apply(codes), encode(codes))


def test_thresholds_are_those_of_a_search_through_all():
    encode = rounding([2**-6, -(2**-7)], [0.1, 0.2], PIXELS)
    codes = np.arange(-512, 512)
    found = thresholds(encode, np.array([1, -1]), (-512, 511), 0, 255)
    for channel, x in enumerate((codes, -codes[::-1])):
        sign = 1 if channel == 0 else -1
        values = encode(np.stack([x * sign] * 2, axis=1))[:, channel]
        least = [x[values >= k][0] if np.any(values >= k) else x[-1] + 1 for k in range(1, 256)]
        np.testing.assert_array_equal(found[:, channel], least)


def test_a_rounding_without_a_line_is_refused():
    """Several samples a code: float32 makes some of them one more, some one less."""
    encode = rounding([1.37 * 2**-13], [0.0777], SOUND)
    with pytest.raises(FlowError, match=r"no integer form .* --scale po2"):
        integer_affine(encode, 1, (-(1 << 13), (1 << 13) - 1), (SOUND.low, SOUND.high))


def test_negative_control():
    """One unit of B at the precision that was found changes a sample."""
    encode = rounding([2**-13], [0.1], PIXELS)
    found = integer_affine(encode, 1, (-(1 << 17), (1 << 17) - 1), (0, 255))
    codes = next(every_code(18, 1))
    moved = type(found)(
        found.scales, (found.biases[0] + (1 << found.shift >> 4),), found.shift, 0, 255
    )
    assert np.count_nonzero(moved.apply(codes) != encode(codes)) > 0
