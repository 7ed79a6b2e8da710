# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integers come back, in about as many bits as their entropy; other bytes are refused."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dhq_brevitas.util.entropy import IntegerReader, IntegerWriter

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)


def coded(*values) -> bytes:
    writer = IntegerWriter()
    for array in values:
        writer.write(array)
    return writer.getvalue()


@given(st.lists(arrays(np.int64, SHAPES, elements=st.integers(-(2**46), 2**46)), max_size=4))
def test_any_integers_come_back(values):
    reader = IntegerReader(coded(*values))
    for array in values:
        np.testing.assert_array_equal(reader.read(*array.shape), array)


@pytest.mark.parametrize("width", [1, 2, 7, 127, 2047, 4095, 4096, 10**6])
def test_every_span_comes_back(width):
    rng = np.random.default_rng(width)
    for low in (-width, 0, -width // 2, 5, -(10**9)):
        array = rng.integers(low, low + width, (3, 50), endpoint=True)
        np.testing.assert_array_equal(IntegerReader(coded(array)).read(3, 50), array)


@pytest.mark.parametrize("deviation", [0.3, 1.0, 5.0, 40.0])
def test_normal_integers_take_about_their_entropy(deviation):
    array = np.rint(np.random.default_rng(0).normal(0, deviation, (64, 64))).astype(np.int64)
    shares = np.unique(array, return_counts=True)[1] / array.size
    entropy = -(shares * np.log2(shares)).sum()
    # The empirical entropy is of the very histogram, which is not stored: 3 % for that.
    assert len(coded(array)) * 8 / array.size < entropy * 1.03 + 0.03


def test_rows_of_their_own_spread_take_less():
    normal = np.random.default_rng(0).normal(0, 1, (32, 200))
    equal = np.rint(normal * 20).astype(np.int64)
    unequal = np.rint(normal * np.geomspace(2, 200, 32)[:, None]).astype(np.int64)
    # Their spreads have the same geometric mean, so that their entropies are equal.
    assert len(coded(unequal)) == pytest.approx(len(coded(equal)), rel=0.01)
    assert len(coded(unequal)) < 0.9 * len(coded(unequal.reshape(1, -1)))


def test_equal_integers_take_next_to_nothing():
    assert len(coded(np.full((1000, 1000), -7))) <= 4


def test_more_bits_than_are_coded():
    with pytest.raises(ValueError, match="need more than 48 bits"):
        coded(np.array([[0, 2**48]]))


def test_bytes_that_are_none_of_ours():
    with pytest.raises(ValueError, match="3 bytes of coded integers are no multiple of 4"):
        IntegerReader(b"abc")
    with pytest.raises(ValueError, match="the coded integers are damaged"):
        IntegerReader(b"\xff" * 20).read(1, 10)


def test_random_bytes_are_integers_or_refused():
    """Nothing but ValueError, and bounded numbers."""
    refused = 0
    for seed in range(300):
        data = np.random.default_rng(seed).bytes(40)
        try:
            for rows, count in ((1, 3), (4, 20), (1, 1000)):
                values = IntegerReader(data).read(rows, count)
                assert values.shape == (rows, count)
                assert np.abs(values).max() < 2**51
        except ValueError:
            refused += 1
    assert 0 < refused < 300


def test_huge_counts():
    with pytest.raises(ValueError, match="there are more than 67108864 integers"):
        IntegerReader(coded(np.array([[1]]))).read(2**20, 2**20)


def test_without_constriction(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'constriction"):
        IntegerWriter()
