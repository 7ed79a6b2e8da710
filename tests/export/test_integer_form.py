# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import copy
import warnings

import numpy as np
import pytest
import torch
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.onnx_exec import execute_onnx

from dhq_brevitas.export import (
    InexactAccumulatorWarning,
    ToIntegerForm,
    export_qonnx,
    run_qonnx,
    to_integer_form,
)
from dhq_brevitas.export.passes.integer_form.values import fraction_bits
from dhq_brevitas.inr.integers import evaluate, layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from graphs import make_model, quant_node
from networks import INPUT_BITS, grid_codes, outputs_of, sine_network


def op_types(model):
    return [node.op_type for node in model.graph.node]


def assert_integer_form(model):
    for node in model.graph.node:
        if node.op_type == "Quant":
            assert model.get_initializer(node.input[1]) == 1
            assert model.get_tensor_datatype(node.output[0]).is_integer()
        if node.op_type == "MatMul":
            weight = model.get_initializer(node.input[1])
            np.testing.assert_array_equal(weight, np.round(weight))
            assert model.get_tensor_datatype(node.input[1]).is_integer()
            assert model.get_tensor_datatype(node.input[0]).is_integer()
        if node.op_type == "HadamardTransform":
            assert model.get_tensor_datatype(node.output[0]).is_integer()


@pytest.mark.parametrize("scale", ["FixedPoint", "Dyadic"])
@pytest.mark.parametrize(
    "network",
    [
        {},
        {"scheme": "stock"},
        {"hidden": 24, "signs": 3},
        {"side": "output", "signs": 3},
        {"weight_bits": 2, "act_bits": 2, "phase_bits": 4},
        {"phase_bits": 16},
        {"weight_bits": 4, "act_bits": 8, "layers": 3},
    ],
    ids=str,
)
def test_network_is_reproduced_exactly(network, scale):
    model = sine_network(scale=scale, **network)
    x = grid_codes(300, seed=1)
    graph = export_qonnx(model, args=x[:1])
    assert_integer_form(graph)
    np.testing.assert_array_equal(run_qonnx(graph, x.numpy()), outputs_of(model, x).numpy())


@pytest.mark.parametrize("weight_bits", [8, 12])
def test_twelve_bits_with_power_of_two_scales(weight_bits):
    # Dyadic mantissas on top of these would need more than float32's 24 bits in PyTorch.
    model = sine_network(weight_bits=weight_bits, act_bits=12, phase_bits=16)
    x = grid_codes(300, seed=1)
    graph = export_qonnx(model, args=x[:1])
    np.testing.assert_array_equal(run_qonnx(graph, x.numpy()), outputs_of(model, x).numpy())


@pytest.mark.parametrize("bits", [20, 24])
def test_float_scales_differ_only_at_rounding_boundaries(bits):
    model = sine_network(scale="Float")
    x = grid_codes(500, seed=1)
    graph = export_qonnx(model, args=x[:1], multiplier_bits=bits)
    assert_integer_form(graph)
    expected = outputs_of(model, x).numpy()
    difference = np.abs(run_qonnx(graph, x.numpy()) - expected)
    # Beyond float32 rounding only where a phase fell on the other side of a bin edge.
    assert (difference > 1e-5).mean() < 0.05
    assert difference.max() < 0.1 * expected.std()


@pytest.mark.parametrize("scale", ["FixedPoint", "Float"])
def test_second_application_changes_nothing(scale):
    x = grid_codes(50)
    graph = export_qonnx(sine_network(scale=scale, signs=1), args=x[:1])
    again = to_integer_form(graph)
    assert op_types(again) == op_types(graph)
    np.testing.assert_array_equal(run_qonnx(again, x.numpy()), run_qonnx(graph, x.numpy()))


def test_a_flipped_weight_is_seen():
    # Negative control of the exact comparisons.
    x = grid_codes(50)
    graph = export_qonnx(sine_network(), args=x[:1])
    before = run_qonnx(graph, x.numpy())
    matmul = next(node for node in graph.graph.node if node.op_type == "MatMul")
    weight = graph.get_initializer(matmul.input[1]).copy()
    weight[0, 0] += 1
    graph.set_initializer(matmul.input[1], weight)
    assert (run_qonnx(graph, x.numpy()) != before).any()


def test_float_scales_use_float64_and_power_of_two_scales_do_not():
    x = grid_codes(1)
    casts = {
        scale: op_types(export_qonnx(sine_network(scale=scale), args=x)).count("Cast")
        for scale in ("FixedPoint", "Float")
    }
    layers = 2
    assert casts["FixedPoint"] == layers  # to the index of each table only
    assert casts["Float"] == 2 * layers


def test_biases_beyond_float32_are_exact():
    """A row of tiny weights has a tiny scale, and in units of that a bias of over 24 bits."""
    network = Inr(InrSpec(hidden=16, layers=2))
    with torch.no_grad():
        network.linears[0].weight[3] *= 1e-6
    model = QuantInr.from_float(network, QuantSpec(scale="float"), 2**-6, INPUT_BITS)
    x = grid_codes(400, seed=1)
    calibrate(model, x)
    settle(model, x)
    first = layer_codes(copy.deepcopy(model).double(), x.double())[0]
    assert np.abs(first.bias_codes).max() > 2**24

    graph = export_qonnx(model.eval(), args=x[:1])
    add = next(node for node in graph.graph.node if node.op_type == "Add")
    units = first.bias * 2.0 ** model.plans[0].phase_bits
    np.testing.assert_array_equal(graph.get_initializer(add.input[1]), units)
    codes, _ = run_qonnx(graph, x, codes=True)
    np.testing.assert_array_equal(codes, evaluate(model, x).accumulators)


def affine_graph(factor, shift, rounding="FLOOR"):
    """INT8 codes of scale 0.5, times factor, plus shift, quantized to 16 bits at scale 0.25."""
    nodes = [
        quant_node("x", "half", "eight", "a"),
        helper.make_node("Mul", ["a", "factor"], ["b"]),
        helper.make_node("Add", ["b", "shift"], ["c"]),
        quant_node("c", "quarter", "sixteen", "y", rounding),
    ]
    constants = {"half": 0.5, "quarter": 0.25, "zero": 0, "eight": 8, "sixteen": 16}
    return make_model(nodes, (1, 4), {**constants, "factor": factor, "shift": shift})


def test_constants_merge_into_one_multiply_and_add():
    graph = to_integer_form(affine_graph(3.0, 5.0))
    assert op_types(graph) == ["Mul", "Quant", "Mul", "Add", "Quant", "Mul"]
    np.testing.assert_array_equal(graph.get_initializer(graph.graph.node[2].input[1]), 6.0)
    np.testing.assert_array_equal(graph.get_initializer(graph.graph.node[3].input[1]), 20.0)


@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND", "CEIL"])
def test_per_channel_constants(rounding):
    factor = np.array([0.25, 1, -2, 3], np.float32)
    shift = np.array([0, 0.125, 7, -9], np.float32)
    model = affine_graph(factor, shift, rounding)
    x = np.random.default_rng(0).uniform(-70, 70, (200, 4)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(to_integer_form(model), x), run_qonnx(model, x))


def test_unsupported_nodes_are_copied():
    nodes = [
        quant_node("x", "half", "eight", "a"),
        helper.make_node("Softmax", ["a"], ["b"], axis=-1),
        quant_node("b", "half", "eight", "y"),
    ]
    model = make_model(nodes, (1, 4), {"half": 2.0**-7, "zero": 0, "eight": 8})
    graph = to_integer_form(model)
    assert "Softmax" in op_types(graph)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 4)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(graph, x), run_qonnx(model, x))


def test_graph_without_quantizers_is_left_alone():
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    graph = to_integer_form(make_model(nodes, (1, 4), {}))
    assert op_types(graph) == ["Relu"]
    x = np.array([[-1.0, 0, 1, 2]], np.float32)
    np.testing.assert_array_equal(
        execute_onnx(graph, {graph.graph.input[0].name: x})["global_out"], [[0, 0, 1, 2]]
    )


def test_annotated_integer_input_needs_no_quantizer():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weight = np.arange(-4, 4).reshape(4, 2)
    model = make_model(nodes, (1, 4), {"w": weight.astype(np.float32)}, output=(1, 2))
    model.set_tensor_datatype("x", DataType["INT4"])
    model.set_tensor_datatype("w", DataType["INT4"])
    graph = to_integer_form(model)
    assert op_types(graph) == ["MatMul"]
    assert_integer_form(graph)


def test_wide_accumulator_warns():
    model = sine_network(hidden=64, weight_bits=12, act_bits=12)
    with pytest.warns(InexactAccumulatorWarning, match=r"may reach \d+ bits; tools"):
        export_qonnx(model, args=grid_codes(1))


def test_narrow_accumulator_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error", InexactAccumulatorWarning)
        export_qonnx(sine_network(hidden=64), args=grid_codes(1))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([0.0], 0), ([3.0, -8.0], 0), ([0.5], 1), ([0.75, 2.0**-10], 10), ([1 + 2.0**-52], 52)],
)
def test_fraction_bits(numbers, expected):
    assert fraction_bits(np.array(numbers)) == expected


def test_zero_points_become_offsets():
    nodes = [quant_node("x", "half", "eight", "y")]
    model = make_model(nodes, (1, 4), {"half": 0.5, "zero": 3, "eight": 8})
    form = to_integer_form(model)
    quants = form.get_nodes_by_op_type("Quant")
    assert [float(form.get_initializer(node.input[2])) for node in quants] == [0.0]
    x = np.linspace(-70, 70, 4004, dtype=np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(run_qonnx(form, x), run_qonnx(model, x))


class TestBadInput:
    @pytest.mark.parametrize("bits", [1, 33])
    def test_multiplier_bits(self, bits):
        with pytest.raises(ValueError, match=f"multiplier_bits={bits} is out of range"):
            ToIntegerForm(bits)

    def test_fractional_zero_point(self):
        nodes = [quant_node("x", "half", "eight", "y")]
        model = make_model(nodes, (1, 4), {"half": 0.5, "zero": 2.5, "eight": 8})
        with pytest.raises(ValueError, match=r"zero point 2\.5 is not supported; use one integer"):
            to_integer_form(model)

    def test_per_channel_scale_before_a_transform(self):
        from dhq_brevitas.export.hadamard_op import DOMAIN, OP_TYPE

        nodes = [
            quant_node("x", "scales", "eight", "a"),
            helper.make_node(OP_TYPE, ["a"], ["y"], domain=DOMAIN, order=4),
        ]
        scales = np.array([1, 2, 4, 8], np.float32)
        model = make_model(nodes, (1, 4), {"scales": scales, "zero": 0, "eight": 8})
        with pytest.raises(ValueError, match="must have one scale and no offset"):
            to_integer_form(model)


def small_graph(scale=0.5):
    """Quant -> MatMul with a quantized weight -> Quant."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("w", "one", "four", "q"),
        helper.make_node("MatMul", ["a", "q"], ["b"]),
        quant_node("b", "scale", "eight", "y"),
    ]
    weight = np.array([[3, -2], [1, 5]], np.float32)
    constants = {"one": 1, "zero": 0, "eight": 8, "four": 4, "scale": scale, "w": weight}
    return make_model(nodes, (1, 2), constants)


def test_batch_norm_of_both_signs_and_a_subtraction_from_a_constant_fold():
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("w", "one", "four", "q"),
        helper.make_node("MatMul", ["a", "q"], ["b"]),
        helper.make_node("BatchNormalization", ["b", "g", "s", "m", "v"], ["c"], epsilon=0.0),
        quant_node("c", "one", "eight", "d"),
        helper.make_node("Sub", ["t", "d"], ["e"]),
        helper.make_node("Neg", ["e"], ["y"]),
    ]
    constants = {"one": 1, "zero": 0, "eight": 8, "four": 4, "t": 2.5}
    vectors = {"g": [0.5, -0.25], "s": [3, -1.5], "m": [2, 7], "v": [4, 16], "w": [[3, -2], [1, 5]]}
    constants |= {name: np.array(value, np.float32) for name, value in vectors.items()}
    model = make_model(nodes, (1, 2), constants)
    form = to_integer_form(model)
    assert not {"BatchNormalization", "Neg", "Sub"} & set(op_types(form))
    # The sign is in the weights, so that the codes rise with the sums.
    (matmul,) = form.get_nodes_by_op_type("MatMul")
    assert form.get_initializer(matmul.input[1]).tolist() == [[3, 2], [1, -5]]
    x = np.random.default_rng(0).integers(-100, 100, (200, 2)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(form, x), run_qonnx(model, x))


def test_quantizers_under_their_new_name():
    x = np.random.default_rng(0).integers(-100, 100, (50, 2)).astype(np.float32)
    graph, renamed = small_graph(), small_graph()
    for node in renamed.graph.node:
        node.op_type = "IntQuant" if node.op_type == "Quant" else node.op_type
    formed = to_integer_form(renamed)
    np.testing.assert_array_equal(run_qonnx(formed, x), run_qonnx(to_integer_form(graph), x))
    assert {node.op_type for node in formed.graph.node} >= {"Quant", "MatMul"}
    assert not any(node.op_type == "IntQuant" for node in formed.graph.node)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_constants_that_are_not_finite_are_named(value):
    for call in (to_integer_form, lambda graph: run_qonnx(graph, np.ones((3, 2)))):
        with pytest.raises(ValueError, match=r"scale, which node Quant reads, holds NaN"):
            call(small_graph(value))


def test_bit_widths_by_channel_are_refused():
    graph = small_graph()
    graph.set_initializer("eight", np.array([8, 4], np.float32))
    with pytest.raises(ValueError, match=r"bit widths \[8.0, 4.0\] differ by channel; give it one"):
        to_integer_form(graph)
