# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel ``matrix_vector.sv`` needs to know of a matrix: widths, packing, memory."""

import math
from dataclasses import dataclass

import numpy as np
from qonnx.core.datatype import BaseDataType

from dhq_brevitas.finn_flow.ops.widths import signed_bits, signed_width

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
    x_bits = signed_width(x)
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
    folded = codes.reshape(rows // pe, pe, columns // simd, simd).swapaxes(1, 2)
    lines = folded.reshape(-1, pe, simd)
    lines = np.stack([np.roll(lines[..., s], s % chain, axis=0) for s in range(simd)], axis=-1)
    planes = (lines.reshape(len(lines), -1, 1) >> np.arange(bits)) & 1
    packed = np.packbits(planes.reshape(len(lines), -1).astype(np.uint8), 1, bitorder="little")
    return "".join(f"{int.from_bytes(line.tobytes(), 'little'):x}\n" for line in packed)


@dataclass(frozen=True)
class Geometry:
    """A folded matrix product, and the resources of the kernel as Yosys builds it.

    Attributes:
        columns, rows: MW/SIMD and MH/PE.
        pe, simd, in_lanes, out_lanes, pack, chain: as the parameters of the kernel.
        x_bits, weight_bits, sum_bits: of inputs with a sign, of weights and of sums.
        slices: whether products are in DSP slices.
        block_ram: whether weights are in block RAM.
    """

    columns: int
    rows: int
    pe: int
    simd: int
    in_lanes: int
    out_lanes: int
    x_bits: int
    weight_bits: int
    sum_bits: int
    pack: int
    chain: int
    slices: bool
    block_ram: bool

    @property
    def buffered(self) -> bool:
        """Whether inputs go through the kernel's memory."""
        return self.rows > 1 or self.simd > 1

    @property
    def depth(self) -> int:
        """Words of the input memory."""
        lines = self.columns * self.rows
        needed = (2 * lines - self.columns + self.chain + 3 + self.rows - 1) // self.rows
        return 1 << (max(needed, 32) - 1).bit_length()

    @property
    def spaced(self) -> bool:
        """Whether results come slowly enough to need no second word behind them."""
        return self.columns > self.pe // self.out_lanes

    @property
    def segments(self) -> int:
        """Chains that a row's products are summed along."""
        return math.ceil(self.simd / self.chain)

    @property
    def in_logic(self) -> int:
        """Products in LUTs."""
        return 0 if self.weight_bits > 2 else self.pe * self.simd

    @property
    def chain_bits(self) -> int:
        """Bits of a chain's sum in logic."""
        bits = self.weight_bits + self.x_bits + (self.chain - 1).bit_length()
        return min(self.sum_bits, bits)

    @property
    def lut(self) -> int:
        """Adders, the multiplexer of the results and the word behind it, input memory, control."""
        turns = self.pe // self.out_lanes
        adders = self.pe * self.sum_bits * (self.segments - (self.columns == 1 and self.pack == 1))
        adders += self.in_logic * self.chain_bits
        choices = (not self.spaced) + math.ceil((turns - 1) / 3.5)
        results = self.out_lanes * self.sum_bits * choices
        # Vectors of a power of two of words need fewer counters.
        results -= 28 * (self.buffered and self.columns & (self.columns - 1) == 0)
        words, bits = (32, 14) if self.depth == 32 else (64, 7)
        memory = 8 * math.ceil(self.x_bits / bits) * (self.depth // words) * self.simd
        lines = self.columns * self.rows
        # A LUT is 64 weight bits, four of them are chosen from for nothing.
        table = (lines > 1) * (math.ceil(lines / 64) + math.ceil((lines / 256 - 1) / 3))
        tables = 0 if self.block_ram else table * self.line_bits
        control = memory + 66 + self.simd // self.in_lanes if self.buffered else 15
        return round(adders + results + control + tables)

    @property
    def ff(self) -> int:
        """Accumulators, results, two words of output, sums of chains, addresses, control."""
        levels = [math.ceil(self.segments / 2**level) for level in range(1, self.segments)]
        sums = sum(n for n in levels[: (self.segments - 1).bit_length()])
        spare = 0 if self.spaced else 2 * self.out_lanes
        held = spare + self.pe * (1 + (self.columns > 1) + sums)
        stages = 6 + self.chain + (self.segments - 1).bit_length()
        inputs = self.chain * (self.depth - 1).bit_length() + 45 if self.buffered else self.x_bits
        logic = self.in_logic * (self.chain_bits + self.weight_bits + self.x_bits)
        tables = 0 if self.block_ram else self.line_bits * (self.columns * self.rows > 1)
        return round(held * self.sum_bits + 2 * stages + inputs + logic + tables)

    @property
    def line_bits(self) -> int:
        """Bits of weights read in a cycle."""
        return self.pe * self.simd * self.weight_bits

    @property
    def dsp(self) -> int:
        """Slices."""
        if not self.slices or self.weight_bits <= 2:
            return 0
        return math.ceil(self.pe / self.pack) * self.simd

    @property
    def bram18(self) -> int:
        """RAMB18 of the weights."""
        if not self.block_ram:
            return 0
        return math.ceil(self.line_bits / 36) * math.ceil(self.columns * self.rows / 512)
