# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""InferHadamardTransform."""

import numpy as np
import pytest
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow.transformations import InferHadamardTransform


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize(("channels", "order"), [(64, 64), (96, 32), (8, 2)])
def test_same_outputs(rng, transformed, channels, order, signs):
    g = GraphBuilder(channels, batch=5, datatype="INT8")
    g.hadamard(order, rng.choice([-1.0, 1.0], channels) if signs else None)
    model = g.model(channels)
    result = transformed(model, InferHadamardTransform())
    (node,) = result.graph.node
    assert node.domain == "finn.custom_op.fpgadataflow"
    op = getCustomOp(node)
    assert (op.channels, op.order, op.lanes) == (channels, order, 1)
    assert op.get_nodeattr("numInputVectors") == [5]
    if not signs:
        assert result.get_tensor_datatype("global_out").name == f"INT{7 + order.bit_length()}"
    x = rng.integers(-128, 128, (20, channels))
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def test_signs_that_negate_a_whole_row_cost_a_bit():
    """-(-128) · 2 = 256 does not fit the INT9 of a transform without signs."""
    model = GraphBuilder(2, datatype="INT8").hadamard(2, [-1.0, -1.0]).model(2)
    result = model.transform(InferHadamardTransform())
    assert result.get_tensor_datatype("global_out").name == "INT10"
    assert run_qonnx(result, np.array([[-128, -128]])).tolist() == [[256, 0]]


def test_normalized_square_order_leaves_a_power_of_two(rng, transformed):
    model = GraphBuilder(16, datatype="INT8").hadamard(16, normalize=1).model(16)
    result = transformed(model, InferHadamardTransform())
    assert [n.op_type for n in result.graph.node] == ["HadamardTransform", "Mul"]
    assert result.get_initializer(result.graph.node[1].input[1]) == 0.25
    x = rng.integers(-128, 128, (50, 16))
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


@pytest.mark.parametrize(
    ("builder", "reason"),
    [
        (GraphBuilder(8).hadamard(8), "its input is not an integer tensor"),
        (GraphBuilder(8, datatype="INT4").hadamard(8, normalize=1), "1/√8 is not a power of two"),
        (GraphBuilder(8, datatype="INT4").hadamard(1), "order 1 transforms nothing"),
    ],
)
def test_left_alone(transformed, builder, reason):
    model = builder.model(8)
    transformation = InferHadamardTransform()
    result = transformed(model, transformation)
    assert result.graph.node[0].domain == "dhq_brevitas.export.hadamard_op"
    assert list(transformation.reasons) == [model.graph.node[0].name]
    assert reason in next(iter(transformation.reasons.values()))


def test_order_that_does_not_divide():
    model = GraphBuilder(8, datatype="INT4").hadamard(16).model(8)
    with pytest.raises(ValueError, match="order=16 does not divide the last axis"):
        model.transform(InferHadamardTransform())
