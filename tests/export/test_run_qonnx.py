# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The runner of QONNX graphs against QONNX's own executor and against exact integers."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.onnx_exec import execute_onnx

from dhq_brevitas.export import (
    exact_tensor,
    export_qonnx,
    run_qonnx,
    set_batch_size,
    to_integer_form,
    with_exact_sums,
)
from graphs import make_model, quant_node
from networks import grid_codes, outputs_of, sine_network


@pytest.fixture(scope="module")
def graph():
    return export_qonnx(sine_network(), args=grid_codes(4))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10, 4096])
def test_equals_qonnx_executor_in_batches_of_any_size(graph, batch_size):
    x = grid_codes(10).numpy()
    name_in, name_out = graph.graph.input[0].name, graph.graph.output[0].name
    expected = execute_onnx(set_batch_size(graph, 10), {name_in: x})[name_out]
    before = graph.model.SerializeToString(deterministic=True)
    result = run_qonnx(graph, x, batch_size=batch_size)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32
    assert graph.model.SerializeToString(deterministic=True) == before


def test_codes_are_the_integers_ahead_of_scale_and_bias(graph):
    x = grid_codes(10)
    codes, outputs = run_qonnx(graph, x, codes=True, batch_size=4)
    assert (codes.dtype, outputs.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(outputs, run_qonnx(graph, x.numpy()))
    scale, bias = (graph.get_initializer(n.input[1]) for n in list(graph.graph.node)[-2:])
    np.testing.assert_array_equal(codes.astype(np.float32) * scale + bias, outputs)


def test_reshape_to_a_fixed_number_of_samples():
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("Neg", ["a"], ["y"]),
    ]
    graph = make_model(nodes, (2, 2, 3), {"shape": np.array([2, 6])}, (2, 6))
    x = np.arange(30, dtype=np.float32).reshape(5, 2, 3)
    np.testing.assert_array_equal(run_qonnx(graph, x, batch_size=3), -x.reshape(5, 6))


def test_tensors_with_gradients_are_taken(graph):
    x = grid_codes(3)
    expected = outputs_of(sine_network(), x)
    np.testing.assert_allclose(run_qonnx(graph, x.requires_grad_()), expected, atol=1e-5)


def test_codes_of_a_graph_without_integers():
    graph = make_model([helper.make_node("Sin", ["x"], ["y"])], (1, 2), {})
    with pytest.raises(ValueError, match=r"y, ahead of the scale .* holds no integers; bring"):
        run_qonnx(graph, np.ones((3, 2)), codes=True)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((3, 5)), r"inputs of shape \[3, 5\] do not fit the graph, .* \[samples, 2\]"),
        (torch.zeros(2), r"inputs of shape \[2\] do not fit"),
        (np.zeros((0, 2)), "inputs hold no sample; give at least one"),
    ],
)
def test_bad_inputs(graph, inputs, message):
    with pytest.raises(ValueError, match=message):
        run_qonnx(graph, inputs)


def test_batch_size_below_one(graph):
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        set_batch_size(graph, 0)
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        run_qonnx(graph, grid_codes(1), batch_size=0)


def test_progress_bar(graph, capsys):
    run_qonnx(graph, grid_codes(3), progress=True, description="picture")
    assert "picture" in capsys.readouterr().err


def test_sums_beyond_24_bits_are_exact():
    """A sum of 25 bits, taken by a Cast and by a Mul: float64 keeps it, float32 rounds it."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Mod", ["wide", "two"], ["odd"]),
        helper.make_node("Cast", ["odd"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sum", "one"], ["narrow"]),
    ]
    nodes[2].attribute.append(helper.make_attribute("fmod", 1))
    constants = {"weight": [[4097], [1]], "one": 1, "two": np.array(2, np.float64)}
    graph = make_model(nodes, (2, 2), constants, (2, 1))
    x = np.array([[4096, 1], [4096, 2]], np.float32)  # 4096 · 4097 + 1 and + 2, beyond 2^24
    exact = with_exact_sums(graph)
    context = execute_onnx(exact, {"x": x}, return_full_exec_context=True)
    sums = x.astype(np.int64) @ np.array([[4097], [1]])
    np.testing.assert_array_equal(exact_tensor(context, "sum"), sums)
    np.testing.assert_array_equal(context["narrow"], sums.astype(np.float32))
    np.testing.assert_array_equal(run_qonnx(graph, x), sums % 2)
    rounded = execute_onnx(graph, {"x": x})["y"]
    np.testing.assert_array_equal(rounded, [[0], [0]])


def test_exact_sums_are_summed_again_exactly():
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        helper.make_node("MatMul", ["sum", "identity"], ["y"]),
    ]
    graph = make_model(nodes, (1, 2), {"weight": [[4097], [1]], "identity": [[1]]}, (1, 1))
    x = np.array([[4096, 1]], np.float32)
    context = execute_onnx(with_exact_sums(graph), {"x": x}, return_full_exec_context=True)
    assert exact_tensor(context, "y").item() == 4096 * 4097 + 1


def decision_graph(weights, factor, datatype: str):
    """Quant(x W · factor + Quant(bias)), W quantized by a node as an exporter leaves it; bias 1."""
    nodes = [
        quant_node("w", "one", "wide", "codes"),
        helper.make_node("MatMul", ["x", "codes"], ["sum"]),
        quant_node("b", "one", "wide", "bias"),
        helper.make_node("Add", ["sum", "bias"], ["biased"]),
        helper.make_node("Mul", ["biased", "factor"], ["scaled"]),
        quant_node("scaled", "one", "four", "y"),
    ]
    constants = {"w": weights, "b": 1, "one": 1, "zero": 0, "wide": 24, "four": 4, "factor": factor}
    graph = make_model(nodes, (1, len(weights)), constants, (1, 1))
    graph.set_tensor_datatype("x", DataType[datatype])
    return graph


def test_decisions_on_sums_beyond_24_bits_are_exact():
    """Ties of sums of 30 bits, and their neighbors; float32 decides some of them wrong."""
    graph = decision_graph([[1024], [1]], 2.0**-23, "INT20")
    sums = np.array([k * 2**22 + d for k in (-13, -11, -9, 9, 11, 13) for d in range(-5, 6)])
    x = np.stack([(sums - 1) // 1024, (sums - 1) % 1024], axis=1)
    expected = [[min(max(round(Fraction(s, 2**23)), -8), 7)] for s in sums.tolist()]
    np.testing.assert_array_equal(run_qonnx(graph, x), expected)
    inputs = {"x": x.astype(np.float32)}
    rounded = execute_onnx(set_batch_size(graph, len(x)), inputs)["y"]
    assert np.count_nonzero(rounded != expected) > 5


def test_decisions_on_narrow_sums_are_those_of_qonnx():
    """In float32, 5 · 0.1 is a tie, which goes to 0; in float64 the same 0.1 is larger."""
    graph = decision_graph([[1]], 0.1, "INT8")
    x = np.array([[4.0]], np.float32)
    assert execute_onnx(graph, {"x": x})["y"] == run_qonnx(graph, x) == 0


def test_input_codes_beyond_24_bits_are_exact():
    graph = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], (1, 1), {"w": [[3]]})
    graph.set_tensor_datatype("x", DataType["INT40"])
    x = np.array([[2**38 + 1], [-(2**38) - 3]])
    np.testing.assert_array_equal(run_qonnx(graph, x), 3 * x)


def test_inputs_that_are_no_numbers_and_graphs_that_are_none():
    graph = make_model([helper.make_node("Relu", ["x"], ["y"])], (1, 2), {})
    for bad in ([[np.nan, 0]], [[0, np.inf]], [["a", "b"]], [[None, 1]]):
        with pytest.raises(ValueError, match="inputs hold NaN, infinity, or what is no number"):
            run_qonnx(graph, np.array(bad))
    for call in (to_integer_form, lambda path: run_qonnx(path, np.ones((1, 2)))):
        with pytest.raises(TypeError, match=r"not str; ModelWrapper\(path\) reads a file"):
            call("model.onnx")
