# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""HadamardTransform hardware layer against matrices, and its attributes."""

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import one_layer_model

from dhq_brevitas.finn_flow import FlowError


def hadamard_matrix(order: int) -> np.ndarray:
    matrix = np.ones((1, 1), dtype=np.int64)
    while len(matrix) < order:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def layer_model(shape, order, datatype="INT8", **attributes) -> ModelWrapper:
    node = helper.make_node(
        "HadamardTransform",
        ["x"],
        ["y"],
        name="transform",
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **{
            "SIMD": 1,
            "NumChannels": shape[-1],
            "Order": order,
            "numInputVectors": list(shape[:-1]),
            "inputDataType": datatype,
            "outputDataType": "INT32",
            **attributes,
        },
    )
    return one_layer_model(node, shape, datatype)


def op(model: ModelWrapper):
    return getCustomOp(model.graph.node[0])


def random_codes(rng, datatype: str, shape) -> np.ndarray:
    dt = DataType[datatype]
    codes = rng.integers(int(dt.min()), int(dt.max()) + 1, shape)
    codes.reshape(-1, shape[-1])[0] = int(dt.min())
    codes.reshape(-1, shape[-1])[-1] = int(dt.max())
    return codes


@pytest.mark.parametrize("datatype", ["INT2", "INT8", "INT12", "UINT4"])
@pytest.mark.parametrize(
    ("shape", "order"), [((3, 8), 8), ((2, 3, 12), 4), ((4, 96), 32), ((2, 2, 2, 256), 256)]
)
@pytest.mark.parametrize("with_signs", [False, True])
def test_equals_matrix(rng, shape, order, datatype, with_signs):
    signs = rng.choice([-1, 1], shape[-1]) if with_signs else np.ones(shape[-1], dtype=int)
    attributes = {"signs": [int(s) for s in signs]} if with_signs else {}
    model = layer_model(shape, order, datatype, **attributes)
    x = random_codes(rng, datatype, shape)
    y = execute_onnx(model, {"x": x.astype(np.float32)})["y"]
    matrix = np.kron(np.eye(shape[-1] // order, dtype=np.int64), hadamard_matrix(order))
    np.testing.assert_array_equal(y, (x * signs) @ matrix)
    assert model.get_tensor_shape("y") == list(shape)
    assert np.all(op(model).get_output_datatype().allowed(y))


@pytest.mark.parametrize(
    ("datatype", "order", "expected"),
    [("INT8", 16, "INT12"), ("INT2", 2, "INT3"), ("UINT8", 16, "INT13"), ("INT12", 256, "INT20")],
)
def test_exact_growth(datatype, order, expected):
    model = layer_model((1, order), order, datatype)
    assert model.get_tensor_datatype("y").name == expected
    assert op(model).minimize_accumulator_width(model).name == expected


@pytest.mark.parametrize("shift", [0, 1, 3, 6])
@pytest.mark.parametrize(
    ("output", "narrow"), [("INT4", 0), ("INT4", 1), ("UINT5", 0), ("INT9", 0)]
)
def test_requantizer_rounds_half_to_even(rng, shift, output, narrow):
    model = layer_model(
        (500, 16), 16, "INT6", requantShift=shift, outputDataType=output, narrow=narrow
    )
    x = random_codes(rng, "INT6", (500, 16))
    y = execute_onnx(model, {"x": x.astype(np.float32)})["y"]
    sums = x @ hadamard_matrix(16)
    dt = DataType[output]
    low = int(dt.min()) + (1 if narrow else 0)
    expected = np.clip(np.rint(sums / 2.0**shift), low, int(dt.max()))
    np.testing.assert_array_equal(y, expected)
    ties = np.count_nonzero(sums % 2**shift == 2**shift // 2) if shift else 1
    assert ties > 0


def test_folding_widths_and_cycles():
    model = layer_model((2, 3, 96), 32, "INT7", SIMD=8)
    layer = op(model)
    assert layer.get_folded_input_shape() == (2, 3, 12, 8)
    assert layer.get_folded_output_shape() == (2, 3, 12, 8)
    assert layer.get_instream_width() == 56
    assert layer.get_outstream_width() == 8 * 12
    assert layer.get_outstream_width_padded() == 96
    assert layer.get_exp_cycles() == 2 * 3 * 12
    assert layer.get_number_output_values() == 72
    assert layer.get_verilog_top_module_intf_names()["s_axis"] == [("in0_V", 56)]
    assert layer.legal_lanes() == [1, 2, 4, 8, 16, 32]
    assert layer.verify_node() == []


def test_estimates_follow_the_stated_formulas():
    part = "xczu3eg-sbva484-1-e"
    layer = op(layer_model((1, 8), 8, "INT4"))
    # Stages of 5, 6, 7 bits; two delay lines of depth 4, 2 in a RAM32M16 each, 1 in registers.
    control = 3 * 6.35 + 4.04 * (2 + 1 + 0) - 4.05
    assert layer.lut_estimation(part) == round((5 + 6 + 7) + 4 * 8 + control)
    assert layer.dsp_estimation(part) == 0
    assert layer.bram_estimation(part) == 0
    assert layer.get_op_and_param_counts() == {"op_add_5b": 8, "op_add_6b": 8, "op_add_7b": 8}
    parallel = op(layer_model((1, 8), 8, "INT4", SIMD=8))
    assert parallel.lut_estimation(part) == round(8 * (4 + 5 + 6) - 4.05)
    fused = op(layer_model((1, 8), 8, "INT4", SIMD=8, requantShift=2, outputDataType="INT4"))
    assert fused.lut_estimation(part) == round(8 * (4 + 5 + 6) - 4.05 + 0.69 * 8 * (5 + 4))
    deep = op(layer_model((1, 1024), 1024, "INT8"))
    # Two delay lines of 512 and two of 256 words are block RAM.
    assert deep.bram_estimation(part) == 4
    assert 0 < deep.bram_efficiency_estimation(part) < 1
    signed = op(layer_model((1, 4), 4, "INT4", signs=[1, -1, 1, 1]))
    assert signed.get_op_and_param_counts()["param_sign_1b"] == 4


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"Order": 12}, "Order=12 is not a power of two"),
        ({"Order": 1}, "Order=1 is not a power of two"),
        ({"Order": 8192}, "Order=8192 is not a power of two"),
        ({"Order": 32}, "Order=32 does not divide NumChannels=16"),
        ({"SIMD": 3}, r"SIMD=3 does not fold 16 channels; use one of \[1, 2, 4, 8, 16\]"),
        ({"signs": [1, -1]}, "signs must be empty or 16 entries"),
        ({"signs": [2] * 16}, "signs must be empty or 16 entries of 1 or -1"),
        ({"requantShift": -2}, "requantShift=-2 must be -1"),
        ({"numInputVectors": [0]}, "an entry below 1"),
        ({"NumChannels": 0}, "NumChannels=0 must be at least 1"),
        ({"inputDataType": "FLOAT32"}, "inputDataType=FLOAT32 is not an integer type"),
    ],
)
def test_bad_attributes(attributes, message):
    model = layer_model((1, 16), 16)
    layer = op(model)
    for name, value in attributes.items():
        layer.set_nodeattr(name, value)
    with pytest.raises(FlowError, match=message):
        layer.check_attributes()
    with pytest.raises(FlowError, match="transform"):
        layer.check_attributes()
    assert len(layer.verify_node()) == 1


def test_bad_input():
    layer = op(layer_model((1, 16), 16))
    context = {"x": np.full((1, 16), 0.5, dtype=np.float32), "y": np.zeros((1, 16))}
    with pytest.raises(FlowError, match="values that are not integers"):
        layer.execute_node(context, None)
    with pytest.raises(FlowError, match=r"input of shape \(2, 16\) given, \(1, 16\) expected"):
        layer.execute_node({"x": np.zeros((2, 16)), "y": None}, None)
    with pytest.raises(FlowError, match="input 1 has no datatype"):
        layer.get_input_datatype(1)
