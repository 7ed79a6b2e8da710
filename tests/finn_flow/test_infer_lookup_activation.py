# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""InferLookupActivation: every way to write an activation between two quantizers."""

import numpy as np
import pytest
from onnx import TensorProto
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, Siren

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow.elementwise import DyadicAffine, NotConvertible
from dhq_brevitas.finn_flow.ranges import IntegerRange
from dhq_brevitas.finn_flow.transformations import InferLookupActivation
from dhq_brevitas.finn_flow.transformations.infer_lookup_activation import (
    floor_form,
    reduce_affine,
    smallest_table,
)


def every_code(datatype: str, channels: int) -> np.ndarray:
    low, high = {"INT8": (-128, 127), "UINT6": (0, 63), "INT12": (-2048, 2047)}[datatype]
    return np.repeat(np.arange(low, high + 1)[:, None], channels, axis=1).astype(np.float32)


def check(transformed, model, datatype, channels) -> tuple:
    """The one layer that the whole graph becomes, equal on every input; its op and table."""
    result = transformed(model, InferLookupActivation())
    assert [n.op_type for n in result.graph.node] == ["LookupActivation"]
    x = every_code(datatype, channels)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))
    node = result.graph.node[0]
    return getCustomOp(node), [result.get_initializer(n) for n in list(node.input)[1:]]


def periodic(g: GraphBuilder, bits: int = 6) -> GraphBuilder:
    return g.quant(20, "FLOOR").sine_of_phase(bits, 100.0).quant(8)


def test_phase_with_powers_of_two_is_a_wrap_without_multiplier(transformed):
    g = GraphBuilder(4, datatype="INT8").apply("Mul", 0.25).apply("Add", [3.0, -1.5, 0.25, 64.0])
    op, (scale, bias, table) = check(transformed, periodic(g).model(4), "INT8", 4)
    assert (op.get_nodeattr("wrap"), op.get_nodeattr("tableBits")) == (1, 6)
    assert op.get_nodeattr("shift") == 2
    assert scale.tolist() == [1]
    assert bias.tolist() == [12, -6, 1, 0]  # 64 is a whole period
    assert not op.multiplies()
    expected = np.rint(np.sin(2 * np.pi * (np.arange(64) + 0.5) / 64) * 100)
    np.testing.assert_array_equal(table, expected)


def gathered(g: GraphBuilder, table: np.ndarray, operator: str) -> GraphBuilder:
    """table[x], as PyTorch's TorchScript exporter (Gather) or dynamo exporter (GatherND) writes."""
    g.node("Cast", g.x, to=TensorProto.INT64)
    index = g.x
    if operator == "GatherND":
        index = g.node("Unsqueeze", g.x, g.parameter([-1], dtype=np.int64)).x
    return g.node(operator, g.parameter(table.astype(np.float32)), index)


@pytest.mark.parametrize("operator", ["Gather", "GatherND"])
def test_a_list_of_numbers_is_a_function(transformed, operator):
    values = np.random.default_rng(0).integers(-50, 50, 32)
    g = GraphBuilder(3, datatype="INT8").apply("Mul", 0.125).quant(5, "FLOOR").apply("Add", 16.0)
    model = gathered(g, values, operator).quant(8).model(3)
    op, (scale, _, table) = check(transformed, model, "INT8", 3)
    assert (op.get_nodeattr("wrap"), op.get_nodeattr("shift")) == (1, 3)  # of the same size
    assert scale.tolist() == [1]
    np.testing.assert_array_equal(table, np.roll(values, 16))  # codes -16 … 15


def test_a_table_of_rows_is_left_alone(transformed):
    rows = np.arange(64.0).reshape(32, 2)
    g = GraphBuilder(2, datatype="INT8").apply("Mul", 0.125).quant(5, "FLOOR").apply("Add", 16.0)
    model = gathered(g, rows, "Gather").quant(8).model(2, shape=[g.shape[0], 2, 2])
    result = transformed(model, InferLookupActivation())
    assert "Gather" in [n.op_type for n in result.graph.node]


@pytest.mark.parametrize("double", [False, True])
def test_multipliers_by_channel(transformed, double):
    g = GraphBuilder(3, datatype="INT8")
    dtype = np.float64 if double else np.float32
    bits = 30 if double else 10
    factors = np.rint(np.array([0.3, 1.7, -0.9]) * 2**bits) / 2**bits
    offsets = np.rint(np.array([0.1, -7.3, 1000.6]) * 2**bits) / 2**bits
    if double:
        g.cast(True)
    g.apply("Mul", factors, dtype).apply("Add", offsets, dtype)
    op, (scale, bias, _) = check(transformed, periodic(g).model(3), "INT8", 3)
    assert (op.get_nodeattr("wrap"), op.get_nodeattr("perChannel")) == (1, 1)
    assert len(scale) == len(bias) == 3
    assert op.get_nodeattr("shift") <= bits
    assert op.accumulator_bits() <= 63


def test_affine_in_other_words(transformed):
    """Sub with the constant first, Neg, Div by a power of two, Identity, scale of the Quant."""
    g = GraphBuilder(2, datatype="INT8")
    minuend = g.parameter(5.5)
    g.node("Sub", minuend, g.x).apply("Neg").apply("Div", 4.0).apply("Identity")
    g.apply("Sub", 0.125)
    g.quant(16, "FLOOR", scale=2.0**-3).apply("Mul", 0.125).apply("Cos")
    check(transformed, g.apply("Mul", 100.0).quant(8).model(2), "INT8", 2)


@pytest.mark.parametrize("function", ["Tanh", "Sigmoid", "Relu", "Erf", "Abs"])
def test_functions_that_end_in_a_clip(transformed, function):
    g = GraphBuilder(2, datatype="INT8").apply("Mul", 0.5).quant(6, "FLOOR")
    g.apply("Mul", 0.25).apply(function).apply("Mul", 20.0).quant(6)
    op, (_, _, table) = check(transformed, g.model(2), "INT8", 2)
    if function == "Tanh":
        # Equal values at the ends are the clip's.
        assert op.get_nodeattr("wrap") == 0
        assert len(table) < 64
        assert op.get_nodeattr("addressOffset") > -32


def test_saturating_first_quantizer(transformed):
    """A phase that saturates instead of wrapping around."""
    g = GraphBuilder(2, datatype="INT8").quant(5, "FLOOR").sine_of_phase(4, 100.0).quant(8)
    op, (_, _, table) = check(transformed, g.model(2), "INT8", 2)
    assert op.get_nodeattr("wrap") == 0
    assert op.get_nodeattr("addressOffset") == -16
    assert len(table) == 32


def test_everything_saturates(transformed):
    g = GraphBuilder(2, datatype="INT8").apply("Add", 1000.0).quant(5, "FLOOR")
    op, (_, _, table) = check(transformed, g.apply("Sin").quant(2).model(2), "INT8", 2)
    assert len(set(table)) == 1
    assert op.get_nodeattr("tableBits") == 1


def test_gaussian_of_several_nodes_and_unsigned_output(transformed):
    g = GraphBuilder(2, datatype="INT8").apply("Add", 3.0).quant(8, "FLOOR")
    x = g.apply("Mul", 1 / 32).x
    y = g.apply("Identity").x
    g.node("Mul", x, y).apply("Neg").apply("Exp").apply("Mul", 255.0)
    op, _ = check(transformed, g.quant(8, signed=0).model(2), "INT8", 2)
    assert op.get_output_datatype().name == "UINT8"


def test_several_quantizers_become_one_table(transformed):
    g = GraphBuilder(2, datatype="INT8").apply("Mul", 0.5).quant(8, "FLOOR").apply("Mul", 0.1)
    g.apply("Sin").apply("Mul", 100.0).quant(8).apply("Mul", 0.3).quant(4)
    check(transformed, g.model(2), "INT8", 2)


def test_quantizer_after_quantizer(transformed):
    g = GraphBuilder(2, datatype="INT8").apply("Mul", 0.5).quant(7, "FLOOR").quant(5)
    check(transformed, g.model(2), "INT8", 2)


def test_last_scale_stays_behind(transformed):
    g = GraphBuilder(2, datatype="INT8").quant(8, "FLOOR").apply("Mul", 0.1).apply("Sin")
    model = g.quant(6, scale=0.03125).model(2)
    result = transformed(model, InferLookupActivation())
    assert [n.op_type for n in result.graph.node] == ["LookupActivation", "Mul"]
    x = every_code("INT8", 2)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def test_unsigned_input_and_rank_three(rng):
    g = GraphBuilder(4, datatype="UINT6")
    g.shape = [2, 3, 4]
    g.apply("Mul", 0.5).quant(6, "FLOOR").apply("Mul", 0.1).apply("Sin").apply("Mul", 50.0)
    model = g.quant(7).model(4, [2, 3, 4])
    result = model.transform(InferLookupActivation())
    op = getCustomOp(result.graph.node[0])
    assert op.get_nodeattr("numInputVectors") == [2, 3]
    x = rng.integers(0, 64, (6, 3, 4))
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


@pytest.mark.parametrize(
    ("rounding", "factor", "offset"),
    [
        ("CEIL", 0.375, 0.2),
        ("ROUND", 0.375, 0.03125),
        ("HALF_EVEN", 3.0, 0.0),
        ("ROUND", 0.5, 0.25),
    ],
)
def test_rounding_that_becomes_floor(transformed, rounding, factor, offset):
    offset = np.rint(offset * 1024) / 1024
    g = GraphBuilder(2, datatype="INT8").apply("Mul", factor).apply("Add", offset)
    g.quant(10, rounding).apply("Mul", 0.05).apply("Sin").apply("Mul", 100.0).quant(8)
    check(transformed, g.model(2), "INT8", 2)


@pytest.mark.parametrize("rounding", ["ROUND", "HALF_UP", "UP", "DOWN"])
def test_rounding_that_stays_ahead_of_a_table_of_its_codes(transformed, rounding):
    g = GraphBuilder(2, datatype="INT8").apply("Mul", 0.5)
    g.quant(8, rounding).apply("Mul", 0.05).apply("Sin").apply("Mul", 100.0).quant(8)
    model = g.model(2)
    transformation = InferLookupActivation()
    result = transformed(model, transformation)
    assert [n.op_type for n in result.graph.node] == ["Mul", "Quant", "LookupActivation"]
    x = every_code("INT8", 2)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))
    (reason,) = {transformation.reasons[n.name] for n in model.graph.node[1:2]}
    assert "tie" in reason if rounding == "ROUND" else "has no form as a shift" in reason


def left_alone(builder: GraphBuilder, channels: int, message: str, transformed) -> None:
    model = builder.model(channels)
    transformation = InferLookupActivation()
    result = transformed(model, transformation)
    assert [n.op_type for n in result.graph.node] == [n.op_type for n in model.graph.node]
    assert any(message in reason for reason in transformation.reasons.values()), (
        transformation.reasons
    )


def test_inexact_float32_is_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT12").apply("Mul", 0.123456789)
    left_alone(periodic(g), 2, "Mul_0 could round", transformed)
    g = GraphBuilder(2, datatype="INT12").apply("Mul", 0.5).apply("Add", 2.0**-17 + 64)
    left_alone(periodic(g), 2, "Add_0 could round", transformed)
    g = GraphBuilder(2, datatype="INT12").cast(True).apply("Mul", 1 / 3, np.float64)
    left_alone(periodic(g), 2, "could round", transformed)
    g = GraphBuilder(2, datatype="INT12").cast(True).apply("Mul", 0.25 + 2.0**-24, np.float64)
    left_alone(periodic(g.cast(False)), 2, "Cast_1 could round", transformed)


def test_division_that_rounds_is_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT8").apply("Div", 3.0)
    left_alone(periodic(g), 2, "a division by 3.0 rounds", transformed)
    g = GraphBuilder(2, datatype="INT8").quant(8, "FLOOR", scale=0.3).apply("Sin").quant(4)
    left_alone(g, 2, "a division by 0.3", transformed)
    g = GraphBuilder(2, datatype="INT8")
    g.node("Div", g.parameter(4.0), g.x)
    left_alone(periodic(g), 2, "divides by the variable", transformed)


def test_large_table_is_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT12").apply("Mul", 64.0).quant(20, "FLOOR")
    g.apply("Mul", 0.001).apply("Sin").apply("Mul", 100.0).quant(8)
    left_alone(g, 2, "needs a table of 262081 entries", transformed)


def test_too_many_codes_are_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT12").apply("Mul", 65536.0).quant(30, "FLOOR")
    left_alone(g.sine_of_phase(8, 100.0).quant(8), 2, "codes are reachable", transformed)


def test_float_input_is_left_alone(transformed):
    left_alone(periodic(GraphBuilder(2)), 2, "which holds no integers", transformed)
    g = GraphBuilder(2, datatype="INT8").apply("Sin")
    left_alone(periodic(g), 2, "is not affine in an integer tensor", transformed)


def test_function_by_channel_is_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT8").quant(8, "FLOOR").apply("Mul", [0.1, 0.2]).apply("Sin")
    left_alone(g.apply("Mul", 9.0).quant(5), 2, "differs by channel", transformed)


def test_branches_are_left_alone(transformed):
    """A result in between that is used elsewhere must survive."""
    g = GraphBuilder(2, datatype="INT8").quant(8, "FLOOR")
    codes = g.x
    outcome = g.apply("Sin").apply("Mul", 9.0).quant(5).x
    model = g.node("Concat", outcome, codes, axis=1).model(4)
    result = transformed(model, InferLookupActivation())
    assert [n.op_type for n in result.graph.node] == [n.op_type for n in model.graph.node]


def test_mixing_nodes_are_left_alone(transformed):
    g = GraphBuilder(2, datatype="INT8").quant(8, "FLOOR").apply("Softmax").apply("Mul", 9.0)
    model = g.quant(5).model(2)
    result = transformed(model, InferLookupActivation())
    assert [n.op_type for n in result.graph.node] == ["Quant", "Softmax", "Mul", "Quant"]


@pytest.mark.parametrize("constants", ["po2", "float", "double"])
def test_siren_layers(constants):
    siren = Siren(constants=constants, weight_bits=5, per_channel=True, hidden=32)
    model = siren.build()
    result = model.transform(InferLookupActivation())
    kinds = [n.op_type for n in result.graph.node]
    assert kinds.count("LookupActivation") == 2
    assert kinds.count("Sin") == 0
    x = siren.samples(300)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def whole_range(low: int, high: int) -> IntegerRange:
    return IntegerRange(np.array([low]), np.array([high]))


def test_floor_form_is_exact_for_all_small_constants():
    """Where floor_form gives an integer form it is right, where it refuses a tie exists."""
    x = np.arange(-20, 21)
    for scale in range(-9, 10):
        for bias in range(-8, 9):
            for shift in (0, 1, 2, 3):
                affine = DyadicAffine((scale,), (bias,), shift)
                exact = np.round((x * scale + bias) / 2.0**shift)
                try:
                    form = floor_form(affine, "ROUND", whole_range(-20, 20))
                except NotConvertible:
                    ties = np.floor((x * scale + bias) / 2.0**shift + 0.5) != exact
                    assert ties.any()
                    continue
                np.testing.assert_array_equal((x * form.scale[0] + form.bias[0]) >> shift, exact)


def test_smallest_table_prefers_the_smaller():
    wave = np.tile([0, 3, 0, -3], 8)
    table = smallest_table(wave, -16, saturates=False)
    assert (table.wrap, table.bits) == (True, 2)
    table = smallest_table(wave, -16, saturates=True)
    assert (table.wrap, table.bits, table.offset) == (False, 5, -16)
    step = np.array([0] * 13 + [1, 2] + [3] * 20)
    table = smallest_table(step, 100, saturates=False)
    assert (table.wrap, table.bits, table.offset) == (False, 2, 112)
    assert table.entries.tolist() == [0, 1, 2, 3]


def test_reduced_constants_address_the_same_entry(rng):
    table = smallest_table(np.tile(np.arange(8), 4), 0, saturates=False)
    for _ in range(200):
        scale = int(rng.integers(-(1 << 20), 1 << 20)) * int(2 ** rng.integers(0, 6))
        bias, shift = int(rng.integers(-(1 << 24), 1 << 24)), int(rng.integers(0, 12))
        affine = DyadicAffine((scale,), (bias,), shift)
        reduced = reduce_affine(affine, table)
        assert abs(reduced.scale[0]) <= max(abs(scale), 1)
        x = np.arange(-300, 300)
        before = ((x * scale + bias) >> shift) % 8
        after = ((x * reduced.scale[0] + reduced.bias[0]) >> reduced.shift) % 8
        np.testing.assert_array_equal(before, after)
