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
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from siren_graphs import GraphBuilder, layer_kinds

from dhq_brevitas.export import InexactAccumulatorWarning, run_qonnx, to_integer_form
from dhq_brevitas.export.exact_sums import code_bounds
from dhq_brevitas.finn_flow import DHQ_BUILD_STEPS, FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.transformations import (
    InferHadamardTransform,
    InferLookupActivation,
    InferRequant,
)

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
        y = [
            sum(a * b for a, b in zip(x, column, strict=True))
            for column in zip(*self.weights, strict=True)
        ]
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


@st.composite
def layers(draw, weights: list[list[int]], magnitude: int) -> Layer:
    """A layer for inputs up to ``magnitude``."""
    channels = len(weights[0])
    order = draw(st.sampled_from([1, 1, 2, 4])) if channels % 4 == 0 else 1
    largest = max(sum(map(abs, column)) for column in zip(*weights, strict=True))
    bits = (order * magnitude * largest).bit_length()
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
    """Two layers; the first has sums of 18, 29 or 40 bits, more behind a transform."""
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


def is_wide(network: list[Layer]) -> bool:
    """Whether a transform has inputs of more than 24 bits, for which there is no Verilog."""
    magnitude = 1 << (INPUT_BITS - 1)
    for layer in network:
        largest = max(sum(map(abs, column)) for column in zip(*layer.weights, strict=True))
        if layer.order > 1 and magnitude * largest >= 1 << 23:
            return True
        magnitude = 1 << layer.quantizer.bits
    return False


def check(network: list[Layer], seed: int) -> None:
    samples = inputs_near_decisions(network[0], np.random.default_rng(seed), 60)
    expected = reference(network, samples)
    model = graph_of(network)
    np.testing.assert_array_equal(run_qonnx(model, samples), expected)
    with tempfile.TemporaryDirectory() as folder:
        built = build_dataflow(
            model,
            folder,
            verify_inputs=samples.astype(np.float32),
            steps=DHQ_BUILD_STEPS[:5] if is_wide(network) else None,
            progress=False,
        )
        np.testing.assert_array_equal(
            execute_dataflow(built.model, samples, progress=False), expected
        )


@settings(max_examples=15)
@given(networks(), st.integers(0, 1000))
def test_random_networks(network, seed):
    check(network, seed)


@pytest.mark.exhaustive
@settings(max_examples=500)
@given(networks(), st.integers(0, 1000))
def test_many_random_networks(network, seed):
    check(network, seed)


def float_network(scales: dict[str, list[float]], quantizer: Quantizer):
    """Quant(x; s_x) times the digits, of scale s_w by channel, plus bias, Quant(s_y)."""
    channels = len(scales["w"])
    g = GraphBuilder(3).quant(INPUT_BITS, scale=scales["x"][0])
    x = g.x
    weights = np.float32(scales["w"]) * np.array([[digit] * channels for digit in DIGITS])
    g.x = g.parameter(weights)
    g.quant(24, scale=np.float32(scales["w"]))
    g.node("MatMul", x, g.x).apply("Add", scales["bias"])
    q = quantizer
    g.quant(q.bits, q.rounding, scales["y"][0], q.signed, q.narrow)
    return g.model(channels)


@settings(max_examples=5)
@given(
    st.lists(st.floats(0.5, 1, width=32), min_size=5, max_size=5),
    st.integers(-20, 20),
    st.sampled_from(sorted(set(ROUNDINGS) - {"FLOOR"})),
    st.integers(0, 1),
)
def test_float_scales_in_integer_form(numbers, bias, rounding, signed):
    """The integer form of float scales is decided exactly, whatever its constants became."""
    quantizer = Quantizer(5, rounding, signed, 0)
    scales = {"x": numbers[:1], "w": numbers[1:3], "y": [numbers[3] * 2**36]}
    scales["bias"] = [bias * numbers[4] * 2**31, 0]
    model = float_network(scales, quantizer)
    with pytest.warns(InexactAccumulatorWarning, match="may reach 41 bits"):
        form = to_integer_form(model)
    factor, shift = _affine_constants(form)
    wanted = np.array(numbers[0]) * numbers[1:3] / scales["y"][0]
    np.testing.assert_allclose(factor, wanted, rtol=2.0**-12)
    layer = Layer(
        [[digit] * 2 for digit in DIGITS],
        1,
        [Fraction(f) for f in factor.tolist()],
        [Fraction(s) for s in shift.tolist()],
        None,
        quantizer,
    )
    samples = inputs_near_decisions(layer, np.random.default_rng(0), 60)
    expected = reference([layer], samples)
    inputs = (samples * np.float32(numbers[0])).astype(np.float32)
    codes, _ = run_qonnx(form, inputs, codes=True)
    np.testing.assert_array_equal(codes, expected)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", InexactAccumulatorWarning)
        built = build_dataflow(model, folder, verify_inputs=inputs, progress=False)
        result = execute_dataflow(built.model, built.host.encode(inputs), progress=False)
    np.testing.assert_array_equal(result, expected)


def _affine_constants(form) -> tuple[np.ndarray, np.ndarray]:
    """M and B, float64 [2], of the Mul and the Add, if there is one, behind the MatMul."""
    (matmul,) = form.get_nodes_by_op_type("MatMul")
    mul = form.find_consumers(matmul.output[0])[0]
    add = form.find_consumers(mul.output[0])[0]
    constants = [form.get_initializer(mul.input[1]), np.zeros(())]
    if add.op_type == "Add":
        constants[1] = form.get_initializer(add.input[1])
    factor, shift = (np.broadcast_to(c, 2).astype(np.float64) for c in constants)
    return factor, shift


@settings(max_examples=20)
@given(st.sampled_from(sorted(ROUNDINGS)), st.integers(0, 15), st.integers(20, 36))
def test_zero_points_in_qonnx(rounding, zero, shift):
    """Quant(y) = (round(clip(y/s + z)) - z)·s of sums of 40 bits; only QONNX has zero points."""
    q = Quantizer(4, rounding, 0, 0)
    g = GraphBuilder(3).quant(INPUT_BITS).matmul(np.array([[d] for d in DIGITS]), 24)
    parameters = [g.parameter(2.0**shift), g.parameter(zero), g.parameter(4.0)]
    attributes = {"domain": "qonnx.custom_op.general", "signed": 0, "narrow": 0}
    g.node("Quant", g.x, *parameters, rounding_mode=rounding, **attributes)
    weights = [[digit] for digit in DIGITS]
    layer = Layer(weights, 1, [Fraction(1, 1 << shift)], [Fraction(zero)], None, q)
    samples = inputs_near_decisions(layer, np.random.default_rng(0), 60)
    expected = (reference([layer], samples) - zero) * 2**shift
    np.testing.assert_array_equal(run_qonnx(g.model(1), samples), expected)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("datatype", ["INT30", "UINT30"])
def test_wide_inputs_and_outputs_are_verified(datatype, scaled, tmp_path):
    """Codes of 30 bits in, sums of 44 bits out, which no part of the flow may round."""
    g = GraphBuilder(2, datatype=datatype).hadamard(2).matmul([[4097, 5], [1, -7]], 14)
    model = (g.apply("Mul", 0.1) if scaled else g).model(2)
    samples = np.random.default_rng(0).integers(0, 2**29, (50, 2)) | 1
    a, b = samples.T
    sums = np.stack([4097 * (a + b) + a - b, 5 * (a + b) - 7 * (a - b)], axis=1)
    if not scaled:
        np.testing.assert_array_equal(run_qonnx(model, samples), sums)
    built = build_dataflow(
        model,
        tmp_path,
        verify_inputs=samples,
        progress=False,
        steps=DHQ_BUILD_STEPS[:5],
    )
    assert built.samples_compared == 50
    np.testing.assert_array_equal(execute_dataflow(built.model, samples, progress=False), sums)


def test_more_than_53_bits_are_refused(tmp_path):
    g = GraphBuilder(2).quant(24).matmul(np.full((2, 1), 2**30), 32).apply("Mul", 2.0**-52)
    model = g.quant(4).model(1)
    sentence = r"sums may reach 55 bits, more than the 53 that float64 carries exactly; use fewer"
    with pytest.raises(ValueError, match=sentence):
        to_integer_form(model)
    with pytest.raises(FlowError, match=f"node MatMul_0 .*{sentence}"):
        build_dataflow(model, tmp_path, progress=False)


def test_a_scale_without_room_is_refused():
    g = GraphBuilder(2).quant(24).matmul(np.full((2, 1), -(2**23)), 24).apply("Mul", 0.7 * 2.0**-40)
    with pytest.raises(ValueError, match="an accumulator of 49 bits leaves too few of float64's"):
        to_integer_form(g.quant(4).model(1))


def test_codes_beyond_24_bits_are_refused(tmp_path):
    model = GraphBuilder(4, datatype="INT24").hadamard(4).quant(25).model(4)
    with pytest.raises(ValueError, match=r"its codes may need 26 bits, and QONNX .* float32"):
        to_integer_form(model)
    with pytest.raises(FlowError, match="its codes may need more than 24 bits, and QONNX holds"):
        build_dataflow(model, tmp_path, progress=False)


def test_transforms_of_more_than_24_bits_are_refused(tmp_path):
    """Where Verilog is chosen, not first by the simulator; 24 bits are taken."""
    weights = np.full((2, 2), 2**7 - 1)
    for bits in (16, 17):
        g = GraphBuilder(2).quant(bits).matmul(weights, 8).hadamard(2).apply("Mul", 2.0**-20)
        model = g.quant(4).model(2)
        if bits == 16:
            build_dataflow(model, tmp_path / "taken", progress=False)
            continue
        sentence = (
            r"HadamardTransform_rtl_0 \(HadamardTransform_rtl\): its inputs of INT25 have 25 bits "
            ".* takes at most 24; quantize them before"
        )
        with pytest.raises(FlowError, match=sentence):
            build_dataflow(model, tmp_path / "refused", progress=False)


def test_bounds_are_those_of_the_layers_that_nodes_become():
    """Else a decision could be taken in float32 on one side and in float64 on the other."""
    g = GraphBuilder(4, datatype="INT12").hadamard(4, [1, -1, 1, 1]).apply("Mul", 0.25).quant(9)
    g.matmul(np.arange(-8, 8).reshape(4, 4), 4).apply("Mul", 0.125).quant(5, "FLOOR")
    model = g.apply("Abs").quant(5).matmul(np.eye(4), 2).model(4)
    sums = [node.output[0] for node in model.get_nodes_by_op_type("MatMul")]
    codes = [node.output[0] for node in model.get_nodes_by_op_type("Quant")]
    before = code_bounds(model)
    assert [before[name] for name in sums] == [256 * 16, 16]
    for change in (InferHadamardTransform(), InferLookupActivation(), InferRequant()):
        model = model.transform(change)
    model = model.transform(InferQuantizedMatrixVectorActivation())
    after = code_bounds(model)
    assert {"HadamardTransform", "LookupActivation", "MVAU"} <= set(layer_kinds(model))
    assert [after[name] for name in sums] == [before[name] for name in sums]
    assert after[codes[0]] == before[codes[0]] == 256
