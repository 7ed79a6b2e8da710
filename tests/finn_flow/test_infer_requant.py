# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""InferRequant: thresholds and fused requantizers against the QONNX graph, on every integer."""

import numpy as np
import pytest
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, layer_kinds

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.transformations import InferHadamardTransform, InferRequant


def every_code(low: int, high: int, channels: int) -> np.ndarray:
    return np.repeat(np.arange(low, high + 1)[:, None], channels, axis=1).astype(np.float32)


def thresholding(transformed, model, low, high, channels):
    """The Thresholding that the graph becomes, equal on all integers; its op and thresholds."""
    result = transformed(model, InferRequant())
    assert [n.op_type for n in result.graph.node] == ["Thresholding"]
    x = every_code(low, high, channels)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))
    node = result.graph.node[0]
    thresholds = result.get_initializer(node.input[1])
    assert np.all(np.diff(thresholds, axis=1) >= 0)
    op = getCustomOp(node)
    assert thresholds.shape[1] == op.get_nodeattr("numSteps") == 2 ** op_bits(op) - 1
    return op, thresholds


def op_bits(op) -> int:
    return op.get_output_datatype().bitwidth()


ROUNDINGS = ["ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("factor", [0.25, 0.0371, 3.0, 1.0])
def test_every_rounding(transformed, rounding, factor):
    model = GraphBuilder(2, datatype="INT9").apply("Mul", factor).quant(4, rounding).model(2)
    thresholding(transformed, model, -256, 255, 2)


@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0), (0, 1)])
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_ranges(transformed, bits, signed, narrow):
    g = (
        GraphBuilder(2, datatype="INT10")
        .apply("Mul", 0.3)
        .quant(bits, "ROUND", 1.0, signed, narrow)
    )
    op, thresholds = thresholding(transformed, g.model(2), -512, 511, 2)
    assert thresholds.shape[0] == 1
    assert op.get_nodeattr("ActVal") == (-(2 ** (bits - 1)) if signed else 0)
    assert op.get_output_datatype().name == f"{'INT' if signed else 'UINT'}{bits}"


def test_bare_quantizer_and_unsigned_input(transformed):
    model = GraphBuilder(3, datatype="UINT7").quant(4, signed=0).model(3)
    op, _ = thresholding(transformed, model, 0, 127, 3)
    assert op.get_nodeattr("ActVal") == 0


def test_channels_have_rows_of_their_own(transformed):
    g = GraphBuilder(4, datatype="INT8").apply("Mul", [0.1, 0.02, 1.5, 0.0])
    g.apply("Add", [0.5, -3.0, 0.25, 2.6])
    _, thresholds = thresholding(transformed, g.quant(4).model(4), -128, 127, 4)
    assert thresholds.shape == (4, 15)


@pytest.mark.parametrize("low", [0.0, 1.7])
def test_monotone_functions(transformed, low):
    g = GraphBuilder(3, datatype="INT9").apply("Mul", 0.21).apply("Relu").apply("Floor")
    clip = g.node("Clip", g.x, g.parameter(low), g.parameter(30.0)).apply("Mul", [0.5, 0.3, 1.1])
    thresholding(transformed, clip.quant(5, signed=0).model(3), -256, 255, 3)
    g = GraphBuilder(3, datatype="INT9").apply("Max", -20.0).apply("Min", [5.0, 50.0, 500.0])
    thresholding(transformed, g.apply("Ceil").apply("Round").quant(6).model(3), -256, 255, 3)


def test_double_precision_chain(transformed):
    g = GraphBuilder(2, datatype="INT12").cast(True).apply("Mul", 1 / 3, np.float64)
    thresholding(transformed, g.cast(False).quant(6).model(2), -2048, 2047, 2)


def test_twelve_bits(transformed):
    model = GraphBuilder(1, datatype="INT14").apply("Mul", 0.2501).quant(12).model(1)
    _, thresholds = thresholding(transformed, model, -8192, 8191, 1)
    assert thresholds.shape == (1, 4095)


def test_scale_stays_behind(transformed):
    model = GraphBuilder(2, datatype="INT8").quant(5, scale=0.37).model(2)
    result = transformed(model, InferRequant())
    assert [n.op_type for n in result.graph.node] == ["Thresholding", "Mul"]
    x = every_code(-128, 127, 2)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def test_several_in_a_row(transformed):
    model = GraphBuilder(2, datatype="INT8").quant(6).apply("Mul", 0.4).quant(3).model(2)
    result = transformed(model, InferRequant())
    assert [n.op_type for n in result.graph.node] == ["Thresholding", "Thresholding"]
    x = every_code(-128, 127, 2)
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def rotated(factor=0.125, bits=6, rounding="ROUND", **quant) -> GraphBuilder:
    g = GraphBuilder(16, datatype="INT8").hadamard(16)
    if factor is not None:
        g.apply("Mul", factor)
    return g.quant(bits, rounding, **quant)


def convert(transformed, builder: GraphBuilder, **arguments):
    model = builder.model(16)
    result = model.transform(InferHadamardTransform())
    result = transformed(result, InferRequant(**arguments))
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.integers(-128, 128, (400, 16)), np.full((1, 16), -128)])
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))
    return result


@pytest.mark.parametrize(
    ("factor", "shift"), [(0.125, 3), (2.0**-9, 9), (1.0, 0), (None, 0), ([0.5] * 16, 1)]
)
@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 1)])
def test_power_of_two_is_fused(transformed, factor, shift, signed, narrow):
    result = convert(transformed, rotated(factor, signed=signed, narrow=narrow))
    (node,) = result.graph.node
    assert getCustomOp(node).get_nodeattr("requantShift") == shift
    assert node.output[0] == "global_out"
    assert result.get_tensor_datatype("global_out").name == ("INT6" if signed else "UINT6")


def test_fused_scale_stays_behind(transformed):
    result = convert(transformed, rotated(0.5, scale=0.25))
    assert [n.op_type for n in result.graph.node] == ["HadamardTransform", "Thresholding", "Mul"]
    result = convert(transformed, rotated(0.5, scale=4.0))
    assert [n.op_type for n in result.graph.node] == ["HadamardTransform", "Mul"]
    assert getCustomOp(result.graph.node[0]).get_nodeattr("requantShift") == 3


@pytest.mark.parametrize(
    "builder",
    [
        rotated(0.13),
        rotated(2.0),
        rotated(0.5, rounding="FLOOR"),
        rotated([0.5, 0.25] * 8),
    ],
)
def test_other_requantizers_are_not_fused(transformed, builder):
    result = convert(transformed, builder)
    assert [n.op_type for n in result.graph.node] == ["HadamardTransform", "Thresholding"]
    assert getCustomOp(result.graph.node[0]).get_nodeattr("requantShift") == -1


def test_fusion_can_be_declined(transformed):
    result = convert(transformed, rotated(), fuse=False)
    assert [n.op_type for n in result.graph.node] == ["HadamardTransform", "Thresholding"]


def test_not_fused_if_the_sums_are_used_elsewhere(transformed):
    g = GraphBuilder(16, datatype="INT8").hadamard(16)
    sums = g.x
    quantized = g.apply("Mul", 0.125).quant(6).x
    model = g.node("Concat", quantized, sums, axis=1).model(32)
    result = model.transform(InferHadamardTransform())
    result = transformed(result, InferRequant())
    kinds = [n.op_type for n in result.graph.node]
    assert kinds == ["HadamardTransform", "Thresholding", "Concat"]
    x = np.random.default_rng(0).integers(-128, 128, (50, 16))
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def test_14_bits_in_few_channels_are_thresholds(transformed):
    """Ties to even, saturation and a shift for each channel, at the codes' edges."""
    builder = GraphBuilder(2, datatype="INT18").apply("Mul", 0.25).apply("Add", [0.125, -3.5])
    model = builder.quant(14).model(2)
    result = transformed(model, InferRequant())
    assert [n.op_type for n in result.graph.node] == ["Thresholding"]
    edges = [-(2**17), -32769, -32755, -2, 2, 6, 10, 14, 32753, 32765, 2**17 - 1]
    x = np.stack([edges, edges[::-1]], axis=1)
    codes = np.clip(np.rint(x * 0.25 + [0.125, -3.5]), -(2**13), 2**13 - 1)
    np.testing.assert_array_equal(run_qonnx(result, x), codes)
    np.testing.assert_array_equal(run_qonnx(model, x), codes)


@pytest.mark.parametrize(
    ("builder", "reason"),
    [
        (GraphBuilder(2).apply("Mul", 0.5).quant(4), "which holds no integers"),
        (GraphBuilder(2, datatype="INT4").apply("Sin").quant(4), "is not monotone in an integer"),
        (
            GraphBuilder(2, datatype="INT8").apply("Mul", -0.5).quant(4),
            "it falls with its integer input",
        ),
        (GraphBuilder(2, datatype="INT20").quant(17), "131071 thresholds would be needed"),
        (
            GraphBuilder(17, datatype="INT20").apply("Add", np.arange(17) / 2).quant(16),
            "1114095 thresholds would be needed for its 16 bits in 17 channels",
        ),
        (GraphBuilder(2, datatype="INT4").quant(1), "it has 1 bit; use at least 2"),
    ],
)
def test_left_alone(transformed, builder, reason):
    model = builder.model(builder.shape[-1])
    transformation = InferRequant()
    result = transformed(model, transformation)
    assert [n.op_type for n in result.graph.node] == [n.op_type for n in model.graph.node]
    assert any(reason in text for text in transformation.reasons.values())


def test_a_shift_that_leaves_nothing_is_no_requantizer(tmp_path):
    """All codes are 0 then; the kernel's shift is less than the bits of its sums."""
    model = GraphBuilder(2, datatype="INT3").hadamard(2).apply("Mul", 2.0**-4).quant(4).model(2)
    samples = np.array([[-4, -4], [3, 3], [-4, 3]])
    built = build_dataflow(model, tmp_path, verify_inputs=samples, progress=False)
    assert layer_kinds(built.model) == ["HadamardTransform", "Thresholding"]
    assert not np.any(execute_dataflow(built.model, samples, progress=False))
