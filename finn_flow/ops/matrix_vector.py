# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel ``matrix_vector.sv`` needs to know of a matrix: widths, packing, memory."""

import math
from dataclasses import dataclass

import numpy as np
from qonnx.core.datatype import BaseDataType

#: Bits of the wide and the narrow input of a multiplier, signed: UG479, UG579.
SLICES = {"DSP48E1": (25, 18), "DSP48E2": (27, 18)}
MAX_WEIGHT_BITS, MAX_INPUT_BITS, MAX_SUM_BITS = 16, 24, 48
#: A chain of fewer products costs more adders than the multipliers it saves are worth.
SHORTEST_CHAIN = 4


@dataclass(frozen=True)
class Multipliers:
    """How the products of a folded matrix are taken.

    Attributes:
        pack: rows that share a multiplier.
        offset: bits from row to row in it.
        chain: products summed before the rows are taken apart.
    """

    pack: int = 1
    offset: int = 18
    chain: int = 1


def stored_bits(weights: np.ndarray) -> int:
    """Bits of a weight: 1 for ±1, 2 for -1, 0, 1, else those of two's complement, 3 or more."""
    if np.all(np.abs(weights) == 1):
        return 1
    if np.abs(weights).max() <= 1:
        return 2
    return max(3, signed_bits(int(weights.min()), int(weights.max())))


def signed_bits(low: int, high: int) -> int:
    """Bits of two's complement that hold low to high."""
    return max(-low - 1, high, 0).bit_length() + 1


def product_ends(weights: np.ndarray, x: BaseDataType) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest product of each weight and an input of type ``x``."""
    ends = weights * int(x.min()), weights * int(x.max())
    return np.minimum(*ends), np.maximum(*ends)


def sum_bits(weights: np.ndarray, x: BaseDataType) -> int:
    """Bits of two's complement that hold every W·x; W [MH, MW] integers."""
    low, high = product_ends(weights, x)
    return signed_bits(int(low.sum(1).min()), int(high.sum(1).max()))


def multipliers(weights: np.ndarray, pe: int, simd: int, x: BaseDataType, dsp: str) -> Multipliers:
    """The most rows to a multiplier that still make chains of SHORTEST_CHAIN products.

    Args:
        weights: W [MH, MW], integers.
        pe, simd: rows and columns at a time.
        x: type of the inputs.
        dsp: a key of SLICES, or "" for logic, where nothing is packed.

    With L rows K bits apart every sum of the lower L - 1 rows along a chain must be within
    ±(2^(K-1) - 1). That is decided by the weights: all segments of all rows are looked at.
    """
    bits = stored_bits(weights)
    x_bits = x.bitwidth() + (0 if x.signed() else 1)
    if dsp and bits > 2 and x_bits <= SLICES[dsp][1]:
        for pack in range(min(pe, SLICES[dsp][0] // bits), 1, -1):
            found = _packed(weights, pe, simd, x, dsp, pack)
            if found is not None and found.chain >= min(SHORTEST_CHAIN, simd):
                return found
    return Multipliers(chain=simd)


def _packed(
    weights: np.ndarray, pe: int, simd: int, x: BaseDataType, dsp: str, pack: int
) -> Multipliers | None:
    bits = stored_bits(weights)
    # The sum of the top row's -2^(bits-1) and a negative row below it must fit as well.
    room = SLICES[dsp][0] - bits - int(weights.min() == -(1 << (bits - 1)))
    offset = room // (pack - 1)
    limit = (1 << (offset - 1)) - 1
    rows, columns = weights.shape
    folded = [
        ends.reshape(rows // pe, pe, columns // simd, simd) for ends in product_ends(weights, x)
    ]
    place = np.arange(pe)
    # The row on top of a multiplier has all the bits above it.
    lower = (place % pack != pack - 1) & (place != pe - 1)
    for segments in range(1, simd + 1):
        chain = math.ceil(simd / segments)
        starts = np.arange(0, simd, chain)
        low, high = (np.add.reduceat(ends[:, lower], starts, axis=3) for ends in folded)
        if low.min(initial=0) >= -limit and high.max(initial=0) <= limit:
            return Multipliers(pack, offset, chain)
    return None


def memory_lines(weights: np.ndarray, pe: int, simd: int, chain: int) -> str:
    """The file of weights as ``matrix_vector.sv`` reads it; W [MH, MW] integers."""
    rows, columns = weights.shape
    bits = stored_bits(weights)
    codes = (weights < 0).astype(np.int64) if bits == 1 else weights & ((1 << bits) - 1)
    # [lines, PE, SIMD]
    lines = codes.reshape(rows // pe, pe, columns // simd, simd).swapaxes(1, 2)
    lines = lines.reshape(-1, pe, simd)
    lines = np.stack([np.roll(lines[..., s], s % chain, axis=0) for s in range(simd)], axis=-1)
    planes = (lines.reshape(len(lines), -1, 1) >> np.arange(bits)) & 1
    packed = np.packbits(planes.reshape(len(lines), -1).astype(np.uint8), 1, bitorder="little")
    return "".join(f"{int.from_bytes(line.tobytes(), 'little'):x}\n" for line in packed)
