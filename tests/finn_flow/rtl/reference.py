# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integer references of the kernels in NumPy, and the packing of integers into stream words.

Nothing else is imported: every simulation loads this module, and loading torch takes longer than
most simulations. A test compares ``transform`` with ``dhq_brevitas.nn.hadamard``.
"""

import numpy as np


def transform(x: np.ndarray, order: int) -> np.ndarray:
    """Unnormalized Hadamard transform of blocks of the last axis: the Kronecker power, factor by
    factor, of [[1, 1], [1, -1]]."""
    y = x.astype(np.int64)
    distance = 1
    while distance < order:
        pairs = y.reshape(*x.shape[:-1], -1, 2, distance)
        top, bottom = pairs[..., 0, :], pairs[..., 1, :]
        y = np.stack([top + bottom, top - bottom], axis=-2).reshape(x.shape)
        distance *= 2
    return y


def round_half_even_shift(values: np.ndarray, shift: int) -> np.ndarray:
    """Integers divided by 2^shift, ties to the even quotient."""
    if shift == 0:
        return values
    quotient, rest = values >> shift, values & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return quotient + ((rest > half) | ((rest == half) & (quotient & 1 == 1)))


def hadamard(
    x: np.ndarray, order: int, signs: np.ndarray, shift: int, out_width: int, narrow: bool
) -> np.ndarray:
    """Blocks of ``order`` transformed, shifted with ties to even, clipped; x is [V, channels]."""
    sums = transform(x * signs, order)
    high = (1 << (out_width - 1)) - 1
    return np.clip(round_half_even_shift(sums, shift), -high - (not narrow), high)


def lookup(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    table: np.ndarray,
    shift: int,
    wrap: bool,
    offset: int,
) -> np.ndarray:
    """table[index(floor((x·scale + bias) / 2^shift))] in Python integers; x is [V, channels]."""
    v = (x.astype(object) * scale.astype(object) + bias.astype(object)) // (1 << shift)
    index = v % len(table) if wrap else np.clip(v - offset, 0, len(table) - 1)
    return table[index.astype(np.int64)]


def pack(values: np.ndarray, width: int) -> list[int]:
    """Rows of integers to words, element 0 in the low ``width`` bits, two's complement."""
    if len(values) == 0:
        return []
    bits = (values[..., None] >> np.arange(width)) & 1
    rows = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def unpack(words: list[int], width: int, lanes: int) -> np.ndarray:
    """Words to rows of signed integers, the inverse of :func:`pack`."""
    mask, half = (1 << width) - 1, 1 << (width - 1)
    return np.array(
        [[((w >> (lane * width) & mask) ^ half) - half for lane in range(lanes)] for w in words]
    )
