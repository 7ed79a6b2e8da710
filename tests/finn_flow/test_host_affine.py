# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""HostAffine and the pass that extracts it."""

import numpy as np
import pytest
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow import FlowError, HostAffine
from dhq_brevitas.finn_flow.host_affine import HostInput, HostOutput, HostStep, InputQuantizer
from dhq_brevitas.finn_flow.transformations import ExtractHostAffine


def network(rng, head=(), tail=(), bits=6, **quant):
    g = GraphBuilder(3)
    for operator, constant in head:
        g.apply(operator, constant)
    g.quant(bits, **quant).matmul(rng.integers(-20, 21, (3, 5)), 6)
    for operator, constant in tail:
        g.apply(operator, constant)
    return g.model(5)


HEADS = [(), (("Mul", 12.3),), (("Div", 0.07), ("Add", 0.4)), (("Sub", [0.1, 0.2, 0.3]),)]
TAILS = [
    (),
    (("Mul", 0.0137),),
    (("Mul", np.linspace(0.01, 0.02, 5)), ("Add", np.linspace(-1, 1, 5))),
    (("Add", 0.3), ("Div", 7.0), ("Sub", 0.1)),
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("tail", TAILS)
def test_bit_equal(rng, transformed, head, tail):
    model = network(rng, head, tail)
    result = transformed(model, ExtractHostAffine())
    assert [n.op_type for n in result.graph.node] == ["MatMul"]
    assert result.get_tensor_datatype("global_in").name == "INT6"
    assert result.get_tensor_datatype("global_out").is_integer()
    host = HostAffine.from_model(result)
    x = rng.normal(0, 30, (200, 3)).astype(np.float32)
    codes = run_qonnx(result, host.encode(x)).astype(np.int64)
    np.testing.assert_array_equal(host.decode(codes), run_qonnx(model, x))
    assert host.decode(codes).dtype == np.float32


@pytest.mark.parametrize("rounding", ["ROUND", "FLOOR", "CEIL", "HALF_UP"])
@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0)])
def test_input_quantizers(rng, rounding, signed, narrow):
    model = network(rng, bits=5, rounding=rounding, signed=signed, narrow=narrow)
    result = model.transform(ExtractHostAffine())
    host = HostAffine.from_model(result)
    # Halves are ties; values beyond the range saturate.
    x = rng.integers(-80, 81, (300, 3)).astype(np.float32) / 2
    codes = host.encode(x)
    assert codes.min() == host.inputs[0].quantizer.low
    assert codes.max() == host.inputs[0].quantizer.high
    np.testing.assert_array_equal(host.decode(run_qonnx(result, codes)), run_qonnx(model, x))


def test_json_round_trip():
    head = (HostStep("Mul", np.float32([0.1, 1 / 3])), HostStep("Div", np.array(0.7, np.float64)))
    tail = (HostStep("Mul", np.array(np.float32(1e-30))), HostStep("Add", np.float32([[1.5, -2]])))
    host = HostAffine(
        (HostInput(head, InputQuantizer(9, True, False, "ROUND")), HostInput()),
        (HostOutput(tail), HostOutput()),
    )
    again = HostAffine.from_json(host.to_json())
    assert again.to_json() == host.to_json()
    assert again.inputs[0].quantizer == host.inputs[0].quantizer
    for before, after in zip(
        host.inputs[0].steps + host.outputs[0].steps,
        again.inputs[0].steps + again.outputs[0].steps,
        strict=True,
    ):
        assert before.operator == after.operator
        assert before.constant.dtype == after.constant.dtype
        np.testing.assert_array_equal(before.constant, after.constant)


def test_scale_and_bias():
    steps = (HostStep("Mul", np.float32(0.5)), HostStep("Add", np.float32([1, 2])))
    end = HostOutput((*steps, HostStep("Div", np.float32(4)), HostStep("Sub", np.float32(3))))
    assert end.scale == 0.125
    assert end.bias.tolist() == [-2.75, -2.5]
    assert HostOutput().scale == 1


def test_integer_input_is_left_alone(rng, transformed):
    g = GraphBuilder(3, datatype="INT5").matmul(rng.integers(-9, 9, (3, 2)), 5)
    result = transformed(g.apply("Mul", 0.5).model(2), ExtractHostAffine())
    host = HostAffine.from_model(result)
    assert host.inputs[0].quantizer is None
    assert [s.operator for s in host.outputs[0].steps] == ["Mul"]
    assert host.encode(np.array([[1.0, -2.0, 3.0]])).tolist() == [[1, -2, 3]]
    with pytest.raises(ValueError, match="takes integer codes, but some values are not integers"):
        host.encode(np.array([[1.5, 0, 0]]))


@pytest.mark.parametrize(
    "builder",
    [
        GraphBuilder(4).apply("Sin").quant(6).apply("Sin"),  # not affine at either end
        GraphBuilder(4).quant(6, scale=0.5).apply("Sin"),  # not in integer form
    ],
)
def test_left_alone(transformed, builder):
    model = builder.model(4)
    result = transformed(model, ExtractHostAffine())
    assert [n.op_type for n in result.graph.node] == [n.op_type for n in model.graph.node]
    assert HostAffine.from_model(result) == HostAffine()


def test_input_used_elsewhere_is_left_alone(transformed):
    g = GraphBuilder(4)
    codes = g.quant(6).x
    model = g.node("Add", codes, "global_in").model(4)
    result = transformed(model, ExtractHostAffine())
    assert [n.op_type for n in result.graph.node] == ["Quant", "Add"]


@pytest.mark.parametrize("text", ["", "{}", '{"version": 99}', '{"version": 1}'])
def test_unreadable_metadata(text):
    with pytest.raises(ValueError, match="build the model again"):
        HostAffine.from_json(text)


def test_unknown_operator():
    with pytest.raises(ValueError, match="operator='Pow' is not one of"):
        HostStep("Pow", np.float32(2))


def test_no_metadata(rng):
    assert HostAffine.from_model(network(rng)) is None


def test_arrangements_and_values_without_a_code():
    steps = (HostStep("Mul", np.float32(2)), HostStep("Reshape", np.array([-1, 3])))
    end = HostOutput((*steps, HostStep("Transpose", np.array([0, 1]))))
    codes = np.arange(12).reshape(4, 3, 1)
    np.testing.assert_array_equal(end.decode(codes), 2.0 * np.arange(12).reshape(4, 3))
    again = HostAffine.from_json(HostAffine(outputs=(end,)).to_json())
    np.testing.assert_array_equal(again.decode(codes), end.decode(codes))
    spread = HostInput(
        (HostStep("Expand", np.array([-1, 2, 3])),), InputQuantizer(8, True, False, "ROUND")
    )
    assert spread.encode(np.ones((5, 1, 3))).shape == (5, 2, 3)
    with pytest.raises(ValueError, match="inputs hold NaN or infinity, which have no code"):
        spread.encode(np.full((1, 1, 3), np.nan))


def test_several_inputs_and_outputs():
    half = HostOutput((HostStep("Mul", np.float32(0.5)),))
    host = HostAffine((HostInput(), HostInput()), (half, HostOutput()))
    a, b = host.encode([np.array([[1.0]]), np.array([[2.0, 3.0]])])
    assert (a.tolist(), b.tolist()) == ([[1]], [[2, 3]])
    assert [y.tolist() for y in host.decode((a, b))] == [[[0.5]], [[2.0, 3.0]]]
    with pytest.raises(ValueError, match="inputs must be a sequence of 2 arrays"):
        host.encode(np.array([[1.0]]))
    with pytest.raises(FlowError, match="the graph has 2 outputs; ask each of them"):
        host.output_scale  # noqa: B018
    alone = HostAffine(outputs=(half,))
    assert (alone.output_scale, alone.output_bias, alone.input_quantizer) == (0.5, 0, None)
    assert alone.input_steps == ()
    assert alone.output_steps == half.steps
