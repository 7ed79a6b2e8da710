# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A constant matrix as a graph of adders, and the registers between them.

What several rows share of the sums Σ ±2^k·x is added once. da4ml finds it (Sun et al.,
arXiv:2507.04535); its solution is compared with the matrix, coefficient by coefficient.
"""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType
from scipy.optimize import linprog
from scipy.sparse import csr_array

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.widths import signed_bits

#: Adders between two registers.
ADDERS_IN_ROW = 5
#: Depths beyond the shallowest graph that da4ml is asked for; -1 leaves it open. Less depth means
#: less sharing, and fewer registers.
DEPTHS = (-1, 0, 1, 2)

#: A value, the power of two that it is multiplied by, and whether it is negated; None is 0.
_Term = tuple[int, int, bool] | None


@dataclass(frozen=True)
class Adder:
    """v = a·2^i ± b·2^j, with j - i = shift and one of i and j 0; v = -b where a is None."""

    a: int | None
    b: int
    shift: int = 0
    subtract: bool = True

    @property
    def operands(self) -> tuple[int, ...]:
        return (self.b,) if self.a is None else (self.a, self.b)

    @property
    def shifts(self) -> tuple[int, ...]:
        """i and j, of the operands."""
        return (0,) if self.a is None else (max(0, -self.shift), max(0, self.shift))

    @property
    def passed(self) -> int:
        """Low bits of v that are one operand's own; those of -b·2^j are not."""
        return 0 if self.shift < 0 and self.subtract else abs(self.shift)


@dataclass(frozen=True)
class AdderGraph:
    """y = W·x in adders and the registers between them.

    Attributes:
        adders: each behind what it adds; value i is input i or, behind the inputs, an adder.
        outputs: of every row a value and the power of two it is multiplied by, or None for 0.
        bits: of every value, as far as they are read; 0 where nothing reads it.
        signed: whether the value may be negative; others have no sign.
        stages: registers between the inputs and what reads the value first, for every value.
        last: registers between inputs and outputs, at least 1.
    """

    adders: tuple[Adder, ...]
    outputs: tuple[tuple[int, int] | None, ...]
    bits: tuple[int, ...]
    signed: tuple[bool, ...]
    stages: tuple[int, ...] = ()
    last: int = 0

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.bits) - len(self.adders)

    def readers(self) -> list[tuple[int, int]]:
        """(Value, adder that reads it) for adders that are read; outputs count as one more."""
        adders = enumerate(self.adders, self.inputs)
        edges = [(u, v) for v, adder in adders if self.bits[v] for u in adder.operands]
        return edges + [(out[0], len(self.bits)) for out in self.outputs if out is not None]

    def held(self) -> list[int]:
        """Registers behind every value, one for each stage until its last reader."""
        stages, held = (*self.stages, self.last), [0] * len(self.bits)
        for u, v in self.readers():
            held[u] = max(held[u], stages[v] - stages[u])
        return held

    @property
    def lut(self) -> int:
        """A LUT for each bit of a sum that is not one operand's own."""
        adders = enumerate(self.adders, self.inputs)
        return sum(max(0, self.bits[value] - adder.passed) for value, adder in adders)

    @property
    def ff(self) -> int:
        """Bits of the registers, and a valid bit for each stage."""
        return self.last + sum(n * bits for n, bits in zip(self.held(), self.bits, strict=True))


def adder_graph(weights: np.ndarray, x: BaseDataType, in_row: int = ADDERS_IN_ROW) -> AdderGraph:
    """The graph of least LUT + FF/2 among da4ml's of several depths.

    Args:
        weights: W [MH, MW], integers.
        x: type of the inputs.
        in_row: adders between two registers; one behind the outputs counts.

    FlowError if da4ml is not installed.
    """
    check_da4ml()
    low, high = int(x.min()), int(x.max())
    return _cheapest(weights.astype(np.int64).tobytes(), weights.shape, low, high, in_row)


def check_da4ml() -> None:
    """FlowError if da4ml is not installed."""
    if importlib.util.find_spec("da4ml") is None:
        raise FlowError(
            "mvau='adders' needs da4ml, which is not installed: pip install 'dhq-brevitas[adders]'"
        )


@functools.lru_cache(maxsize=256)
def _cheapest(
    content: bytes, shape: tuple[int, int], low: int, high: int, in_row: int
) -> AdderGraph:
    from da4ml.cmvm import solve

    weights = np.frombuffer(content, np.int64).reshape(shape)
    kernel = np.ascontiguousarray(weights.T, np.float32)
    found = []
    for depth in DEPTHS:
        ends = [(float(low), float(high), 1.0)] * len(kernel)
        parts = solve(kernel, qintervals=ends, hard_dc=depth).solutions
        found.append(with_registers(_graph(weights, parts, low, high), in_row))
    return min(found, key=lambda graph: graph.lut + graph.ff / 2)


class _Builder:
    """Adders, and the row of coefficients of every value."""

    def __init__(self, columns: int) -> None:
        self.adders: list[Adder] = []
        self.rows = list(np.eye(columns, dtype=np.int64))

    def negative(self, value: int) -> int:
        return self._append(Adder(None, value), -self.rows[value])

    def sum(self, a: _Term, b: _Term) -> _Term:
        if a is None or b is None:
            return a or b
        if a[2] and not b[2]:
            a, b = b, a
        shift, subtract = b[1] - a[1], a[2] != b[2]
        second = self.rows[b[0]] << max(0, shift)
        total = (self.rows[a[0]] << max(0, -shift)) + (-second if subtract else second)
        return self._append(Adder(a[0], b[0], shift, subtract), total), min(a[1], b[1]), a[2]

    def _append(self, adder: Adder, row: np.ndarray) -> int:
        self.adders.append(adder)
        self.rows.append(row)
        return len(self.rows) - 1


def _graph(weights: np.ndarray, parts: Sequence[Any], low: int, high: int) -> AdderGraph:
    """da4ml's solution, matrices in a row, with exact ends of every value."""
    build = _Builder(weights.shape[1])
    given: list[_Term] = [(i, 0, False) for i in range(weights.shape[1])]

    def scaled(term: _Term, power: float, negate: bool) -> _Term:
        return term and (term[0], term[1] + int(power), term[2] != bool(negate))

    for part in parts:
        values: list[_Term] = []
        for op in part.ops:
            if op.opcode == -1:
                values.append(scaled(given[op.id0], part.inp_shifts[op.id0], False))
            elif op.opcode in (0, 1):
                b = scaled(values[op.id1], op.data, op.opcode == 1)
                values.append(build.sum(values[op.id0], b))
            else:
                raise FlowError(f"da4ml gave an operation {op.opcode}; install da4ml 0.6")
        ends = zip(part.out_idxs, part.out_shifts, part.out_negs, strict=True)
        given = [scaled(values[i], s, n) if i >= 0 else None for i, s, n in ends]
    outputs = tuple(
        value and (build.negative(value[0]) if value[2] else value[0], value[1]) for value in given
    )
    zero = np.zeros(weights.shape[1], np.int64)
    rows = [zero if out is None else build.rows[out[0]] * 2.0 ** out[1] for out in outputs]
    if not np.array_equal(rows, weights):
        raise FlowError("da4ml gave the graph of another matrix; install da4ml 0.6")
    return AdderGraph(tuple(build.adders), outputs, *_widths(build, outputs, low, high))


def _widths(
    build: _Builder, outputs: Sequence[tuple[int, int] | None], low: int, high: int
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Bits of every value, of which sums that are known to be small read only the lowest; signs."""
    ends = [(row * low, row * high) for row in build.rows]
    lows = [int(np.minimum(*pair).sum()) for pair in ends]
    highs = [int(np.maximum(*pair).sum()) for pair in ends]
    bits = [
        signed_bits(*pair) if pair[0] < 0 else max(1, pair[1].bit_length())
        for pair in zip(lows, highs, strict=True)
    ]
    read = [0] * len(bits)
    for output in filter(None, outputs):
        read[output[0]] = bits[output[0]]
    for value in reversed(range(len(bits))):
        bits[value] = min(bits[value], read[value])
        adder = value - len(bits) + len(build.adders)
        if adder >= 0 and bits[value]:
            operands = zip(build.adders[adder].operands, build.adders[adder].shifts, strict=True)
            for operand, shift in operands:
                read[operand] = max(read[operand], bits[value] - shift, 1)
    return tuple(bits), tuple(end < 0 for end in lows)


def with_registers(graph: AdderGraph, in_row: int) -> AdderGraph:
    """The graph with the fewest bits in registers, and no more stages than it needs.

    A linear program (Leiserson, Saxe: Retiming synchronous circuitry, Algorithmica 6, 1991): the
    bits of a value times the stages until its last reader. Two adders with in_row - 1 others on
    the longest way between them are a stage apart.
    """
    count, inputs = len(graph.bits), graph.inputs
    readers = graph.readers()
    if not readers:  # of a matrix of zeros
        return replace(graph, stages=(0,) * count, last=1)
    # Adders on the longest way from one adder to another, both counted.
    ways: list[dict[int, int]] = [{} for _ in range(count + 1)]
    depth = [0] * count + [1]
    before: list[list[int]] = [[] for _ in range(count + 1)]
    for u, v in readers:
        before[v].append(u)
    for v in range(inputs, count + 1):
        depth[v] = 1 + max((depth[u] for u in before[v]), default=0)
        for u in before[v]:
            for source, length in ways[u].items():
                ways[v][source] = max(ways[v].get(source, 0), length + 1)
        ways[v][v] = 1
    last = max(1, -(-depth[count] // in_row) - 1)
    apart = [
        (u, v) for v in range(inputs, count + 1) for u, n in ways[v].items() if n == in_row + 1
    ]
    # Unknown: the stages of all values and of the outputs, then how long each value is held.
    lines = [(u, v, count + 1 + u, 0) for u, v in readers] + [(u, v, None, 1) for u, v in apart]
    lines += [(u, v, None, 0) for u, v in readers]
    entries = [
        (i, column, sign)
        for i, (u, v, register, _) in enumerate(lines)
        for column, sign in _line(u, v, register)
    ]
    at, columns, signs = zip(*entries, strict=True)
    matrix = csr_array((signs, (at, columns)), shape=(len(lines), 2 * count + 1))
    lowest = [int(v >= inputs and depth[v] > in_row) for v in range(count)]
    highest = [0 if v < inputs else last for v in range(count)]
    solved = linprog(
        [0] * (count + 1) + list(graph.bits),
        A_ub=matrix,
        b_ub=[-distance for *_, distance in lines],
        bounds=[*zip(lowest, highest, strict=True), (last, last), *[(0, last)] * count],
        method="highs-ds",
    )
    stages = np.rint(solved.x[:count]).astype(int).tolist()
    return replace(graph, stages=tuple(stages), last=last)


def _line(u: int, v: int, register: int | None) -> list[tuple[int, int]]:
    """Row of stage(u) - stage(v) + distance <= 0, or of stage(v) - stage(u) - held <= 0."""
    if register is None:
        return [(u, 1), (v, -1)]
    return [(v, 1), (u, -1), (register, -1)]
