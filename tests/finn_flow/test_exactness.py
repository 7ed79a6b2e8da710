# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QONNX, FINN in Python and exact fractions on random networks with sums of up to 40 bits.

The reference is :class:`Network` below: Python integers and fractions, nothing of the package.
"""

import math
import tempfile
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from siren_graphs import GraphBuilder

from dhq_brevitas.export import InexactAccumulatorWarning, run_qonnx, to_integer_form
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

HALF = Fraction(1, 2)
ROUNDINGS = {
    "ROUND": round,
    "HALF_EVEN": round,
    "FLOOR": math.floor,
    "CEIL": math.ceil,
    "UP": lambda v: math.ceil(abs(v)) * (1 if v > 0 else -1),
    "DOWN": math.trunc,
    "HALF_UP": lambda v: math.floor(abs(v) + HALF) * (1 if v > 0 else -1),
    "HALF_DOWN": lambda v: math.ceil(abs(v) - HALF) * (1 if v > 0 else -1),
}
FUNCTIONS = {"Relu": lambda v: max(v, 0), "Floor": math.floor, "Ceil": math.ceil}
# Any sum of up to 40 bits is a·2^22 + b·2^11 + c with digits of 18 bits.
DIGITS = (1 << 22, 1 << 11, 1)
INPUT_BITS = 18


@dataclass
class Quantizer:
    """clip, then round, as QONNX does."""

    bits: int
    rounding: str
    signed: int
    narrow: int

    def ends(self) -> tuple[int, int]:
        top = (1 << (self.bits - self.signed)) - 1
        low = -top - 1 + self.narrow if self.signed else 0
        return low, top - (self.narrow and not self.signed)

    def __call__(self, value: Fraction) -> int:
        low, high = self.ends()
        return ROUNDINGS[self.rounding](min(max(value, Fraction(low)), Fraction(high)))


@dataclass
class Layer:
    """x W, its Hadamard transform, · M + B by channel, a function, Quant; Abs stands behind."""

    weights: list[list[int]]
    order: int
    factor: list[Fraction]
    bias: list[Fraction]
    function: str | None
    quantizer: Quantizer

    def sums(self, x: list[int]) -> list[int]:
        y = [sum(a * b for a, b in zip(x, column, strict=True)) for column in zip(*self.weights)]
        if self.order == 1:
            return y
        signs = [
            [(-1) ** (i & j).bit_count() for i in range(self.order)] for j in range(self.order)
        ]
        blocks = [y[i : i + self.order] for i in range(0, len(y), self.order)]
        return [sum(a * s for a, s in zip(b, row, strict=True)) for b in blocks for row in signs]

    def __call__(self, x: list[int]) -> list[int]:
        v = [s * m + b for s, m, b in zip(self.sums(x), self.factor, self.bias, strict=True)]
        if self.function in FUNCTIONS:
            v = [Fraction(FUNCTIONS[self.function](a)) for a in v]
        codes = [self.quantizer(a) for a in v]
        if self.function == "Abs":
            codes = [self.quantizer(Fraction(abs(code))) for code in codes]
        return codes

    def append(self, g: GraphBuilder) -> None:
        bits = 1 + max(abs(w).bit_length() for row in self.weights for w in row)
        g.matmul(np.array(self.weights), max(2, bits))
        if self.order > 1:
            g.hadamard(self.order)
        scalar = len(set(self.factor)) == 1
        g.apply("Mul", np.array([float(m) for m in self.factor[: 1 if scalar else None]]))
        if any(self.bias):
            g.apply("Add", np.array([float(b) for b in self.bias]))
        if self.function in FUNCTIONS:
            g.apply(self.function)
        q = self.quantizer
        g.quant(q.bits, q.rounding, 1.0, q.signed, q.narrow)
        if self.function == "Abs":
            g.apply("Abs").quant(q.bits, q.rounding, 1.0, q.signed, q.narrow)


def bound(layer_weights, magnitude: int, order: int) -> int:
    return order * magnitude * max(sum(map(abs, column)) for column in zip(*layer_weights))


@st.composite
def layers(draw, weights, magnitude: int) -> Layer:
    channels = len(weights[0])
    order = draw(st.sampled_from([1, 1, 2, 4])) if channels % 4 == 0 else 1
    largest = bound(weights, magnitude, order)
    bits = largest.bit_length()
    quantizer = draw(
        st.builds(
            Quantizer,
            st.integers(2, 6),
            st.sampled_from(sorted(ROUNDINGS)),
            st.integers(0, 1),
            st.integers(0, 1),
        )
    )
    # M and B have so few bits that the format that carries the sum carries the result as well.
    free = min(24, (24 if bits <= 24 else 52) - bits - 1)
    shift = max(0, bits - quantizer.bits + draw(st.integers(-1, 4)))
    mantissas = st.integers(1, max(1, (1 << max(0, free - 2)) - 1)) if free > 2 else st.just(1)
    same = draw(st.booleans())
    numbers = [draw(mantissas) for _ in range(1 if same else channels)] * (channels if same else 1)
    widest = max(numbers).bit_length() - 1
    biases = st.integers(-(1 << quantizer.bits), 1 << quantizer.bits)
    # A table behind a quantizer needs one that is a shift.
    function = draw(st.sampled_from([None, None, "Relu", "Floor", "Ceil", "Abs"]))
    if function == "Abs":
        quantizer.rounding = draw(st.sampled_from(["FLOOR", "CEIL"]))
    bias = [Fraction(draw(biases), 2)] * channels if free > 4 and draw(st.booleans()) else []
    factor = [Fraction(m, 1 << (shift + widest)) for m in numbers]
    return Layer(weights, order, factor, bias or [Fraction(0)] * channels, function, quantizer)


@st.composite
def networks(draw) -> list[Layer]:
    channels = draw(st.sampled_from([1, 3, 4]))
    rows = [[digit] * channels for digit in DIGITS[draw(st.integers(0, 2)) :]]
    first = draw(layers(rows, 1 << (INPUT_BITS - 1)))
    width = draw(st.integers(1, 17))
    entries = st.integers(-(1 << width), 1 << width)
    second = [[draw(entries) or 1 for _ in range(2)] for _ in range(channels)]
    return [first, draw(layers(second, 1 << first.quantizer.bits))]


def inputs_near_decisions(first: Layer, rng: np.random.Generator, count: int) -> np.ndarray:
    """Inputs whose sums lie around those at which the first quantizer changes its code."""
    rows = len(first.weights)
    low, high = first.quantizer.ends()
    samples = []
    for _ in range(count):
        channel = int(rng.integers(len(first.factor)))
        edge = Fraction(int(rng.integers(2 * low - 2, 2 * high + 3)), 2)
        wanted = round((edge - first.bias[channel]) / first.factor[channel]) + int(
            rng.integers(-2, 3)
        )
        digits = []
        for digit in [row[0] for row in first.weights]:
            value = min(max(wanted // digit, -(1 << 17)), (1 << 17) - 1)
            digits.append(value)
            wanted -= value * digit
        samples.append(digits)
    extremes = [[-(1 << 17)] * rows, [(1 << 17) - 1] * rows, [0] * rows]
    return np.array(samples + extremes)


def graph_of(network: list[Layer]):
    g = GraphBuilder(len(network[0].weights)).quant(INPUT_BITS)
    for layer in network:
        layer.append(g)
    return g.model(len(network[-1].factor))


def reference(network: list[Layer], samples: np.ndarray) -> np.ndarray:
    results = []
    for codes in samples.tolist():
        for layer in network:
            codes = layer(codes)
        results.append(codes)
    return np.array(results)


def check(network: list[Layer], seed: int) -> None:
    samples = inputs_near_decisions(network[0], np.random.default_rng(seed), 60)
    expected = reference(network, samples)
    model = graph_of(network)
    np.testing.assert_array_equal(run_qonnx(model, samples), expected)
    with tempfile.TemporaryDirectory() as folder:
        built = build_dataflow(
            model, folder, verify_inputs=samples.astype(np.float32), progress=False
        )
        np.testing.assert_array_equal(
            execute_dataflow(built.model, samples, progress=False), expected
        )


@settings(max_examples=10)
@given(networks(), st.integers(0, 1000))
def test_random_networks(network, seed):
    check(network, seed)


@pytest.mark.exhaustive
@settings(max_examples=500)
@given(networks(), st.integers(0, 1000))
def test_many_random_networks(network, seed):
    check(network, seed)
