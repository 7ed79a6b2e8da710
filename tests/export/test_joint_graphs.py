# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks whose branches meet or end apart, in QONNX: the integers are PyTorch's."""

import numpy as np
import pytest
import torch
from onnx import helper

from dhq_brevitas.export import export_qonnx, run_qonnx, to_integer_form
from dhq_brevitas.export.exact_sums import code_bounds
from graphs import codes, make_model, quant_node
from joint_networks import NETWORKS, inputs_of, joint_network

SAMPLES = 300


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_pytorch(name):
    network, inputs = joint_network(name), inputs_of(name, SAMPLES)
    graph = export_qonnx(network, inputs_of(name, 4))
    with torch.no_grad():
        expected = network(*inputs)
    expected = list(expected.values()) if isinstance(expected, dict) else expected
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    integers, outputs = run_qonnx(graph, inputs, codes=True)
    several = len(expected) > 1
    assert isinstance(outputs, tuple) == several
    for i, tensor in enumerate(expected):
        output, code = (outputs[i], integers[i]) if several else (outputs, integers)
        assert len(np.unique(code)) > 20
        assert code.dtype == np.int64
        # The codes of float scales may differ at rounding boundaries; here none does.
        np.testing.assert_allclose(output, tensor.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize(
    ("scales", "factors"),
    [
        ((0.5, 0.5), ()),
        ((0.5, 0.125), (4,)),
        ((3 * 0.25, 0.125), (6,)),
        ((3 * 0.25, 0.5), (2, 3)),
        ((0.3137, 0.1093), None),
    ],
)
def test_sums_and_products_of_two_scales(operator, scales, factors):
    """The multipliers of a sum are the smallest integers of the ratio; a product has none."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("x", "half", "eight", "b"),
        helper.make_node("Mul", ["a", "first"], ["left"]),
        helper.make_node("Mul", ["b", "second"], ["right"]),
        helper.make_node(operator, ["left", "right"], ["sum"]),
        quant_node("sum", "two", "six", "y"),
    ]
    constants = {"zero": 0, "one": 1, "half": 2, "two": 4, "eight": 8, "six": 6}
    constants |= {"first": scales[0], "second": scales[1] / 2}
    graph = to_integer_form(make_model(nodes, (1, 4), constants))
    x = codes("INT8", 400, 4).astype(np.float32)
    a, b = x, np.clip(np.rint(x / 2), -128, 127)
    operation = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[operator]
    value = operation(a * np.float32(scales[0]), b * np.float32(scales[1]))
    expected = np.clip(np.rint(value / 4), -32, 31) * 4
    np.testing.assert_array_equal(run_qonnx(graph, x), expected)
    annotated = sorted(
        abs(int(graph.get_initializer(name).item()))
        for node in graph.get_nodes_by_op_type("Mul")
        for name in node.input
        if graph.get_initializer(name) is not None and graph.get_tensor_datatype(name).is_integer()
    )
    if operator == "Mul":
        assert annotated == []
    elif factors is not None:
        # A difference multiplies its second operand by -1 at least.
        ones = operator == "Sub" and len(factors) < 2
        assert annotated == sorted([*factors, *([1] if ones else [])])
    again = to_integer_form(graph)
    np.testing.assert_array_equal(run_qonnx(again, x), expected)


def test_wide_sums_are_exact():
    """2^20·a + b for codes of 8 bits has 28 bits; float32 would drop b."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        helper.make_node("Neg", ["x"], ["minus"]),
        quant_node("minus", "one", "eight", "b"),
        helper.make_node("Mul", ["a", "large"], ["left"]),
        helper.make_node("Add", ["left", "b"], ["sum"]),
        helper.make_node("Mul", ["sum", "small"], ["scaled"]),
        quant_node("scaled", "one", "eight", "y", rounding="FLOOR"),
    ]
    constants = {"zero": 0, "one": 1, "eight": 8, "large": 2.0**20, "small": 2.0**-20}
    graph = to_integer_form(make_model(nodes, (1, 1), constants))
    assert max(code_bounds(graph).values()) > 1 << 24
    x = np.arange(-100, 100, dtype=np.float32)[:, None]
    # floor(x - x·2^-20): the last bits of the sum decide.
    np.testing.assert_array_equal(run_qonnx(graph, x), np.where(x > 0, x - 1, x))


@pytest.mark.parametrize("readers", ["MatMul", "Quant"])
def test_concatenation_of_two_scales(readers):
    """One scale in front of a matrix product, one for each channel in front of a quantizer."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("x", "half", "eight", "b"),
        helper.make_node("Concat", ["a", "b"], ["both"], axis=-1),
        quant_node("weight", "one", "eight", "w"),
        quant_node("both", "half", "six", "coded"),
        helper.make_node("MatMul", ["both" if readers == "MatMul" else "coded", "w"], ["y"]),
    ]
    if readers == "MatMul":
        nodes.pop(4)
    weight = np.arange(-8, 8, dtype=np.float32).reshape(8, 2)
    constants = {"zero": 0, "one": 1, "half": 0.5, "eight": 8, "six": 6, "weight": weight}
    graph = to_integer_form(make_model(nodes, (1, 4), constants, (1, 2)))
    x = codes("INT6", 200, 4).astype(np.float32) * 0.75
    both = np.concatenate([np.rint(x), np.rint(x * 2) / 2], axis=1)
    if readers == "Quant":
        both = np.clip(np.rint(both * 2), -32, 31) / 2
    np.testing.assert_array_equal(run_qonnx(graph, x), both @ weight)


def test_inputs_of_other_numbers():
    graph = export_qonnx(joint_network("film"), inputs_of("film", 4))
    x, latent = inputs_of("film", 5)
    with pytest.raises(ValueError, match="inputs hold 1 arrays for the 2 inputs of the graph"):
        run_qonnx(graph, x)
    with pytest.raises(ValueError, match=r"inputs hold \[5, 4\] samples; give equally many"):
        run_qonnx(graph, (x, latent[:4]))
    with pytest.raises(ValueError, match=r"inputs for global_in_1 of shape \[5, 2\] do not fit"):
        run_qonnx(graph, (x, x))
    with pytest.raises(ValueError, match=r"args\[1\] has 4 samples and args\[0\] 5"):
        export_qonnx(joint_network("film"), (x, latent[:4]))


def test_unknown_output():
    network = joint_network("two heads")
    network.forward = lambda x: "picture"
    with pytest.raises(TypeError, match="the model returns str; return a tensor, or a tuple"):
        export_qonnx(network, inputs_of("two heads", 4))
