# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""LookupActivation hardware layer against its formula, and its attributes."""

import numpy as np
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import one_layer_model

from dhq_brevitas.finn_flow import FlowError
from dhq_brevitas.finn_flow.ops.lookup_activation import smallest_signed_datatype, table_luts

PART = "xczu3eg-sbva484-1-e"


def layer_model(shape, scale, bias, table, datatype="INT12", **attributes) -> ModelWrapper:
    scale, bias, table = (np.asarray(v, dtype=np.int64) for v in (scale, bias, table))
    node = helper.make_node(
        "LookupActivation",
        ["x", "scale", "bias", "table"],
        ["y"],
        name="activation",
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **{
            "PE": 1,
            "NumChannels": shape[-1],
            "numInputVectors": list(shape[:-1]),
            "inputDataType": datatype,
            "scaleDataType": smallest_signed_datatype(scale).name,
            "biasDataType": smallest_signed_datatype(bias).name,
            "outputDataType": "INT8",
            "tableBits": int(np.log2(len(table))),
            "perChannel": int(max(len(scale), len(bias)) > 1),
            **attributes,
        },
    )
    constants = [("scale", scale), ("bias", bias), ("table", table)]
    return one_layer_model(node, shape, datatype, constants)


def op(model: ModelWrapper):
    return getCustomOp(model.graph.node[0])


@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 6), (2, 2, 2, 6)])
@pytest.mark.parametrize("wrap", [0, 1])
@pytest.mark.parametrize("per_channel", [False, True])
def test_equals_formula(rng, shape, wrap, per_channel):
    channels = shape[-1] if per_channel else 1
    scale = rng.integers(-40, 40, channels)
    bias = rng.integers(-5000, 5000, channels)
    table = rng.integers(-128, 128, 32)
    attributes = {"wrap": wrap, "shift": 5, "addressOffset": 0 if wrap else -11}
    model = layer_model(shape, scale, bias, table, **attributes)
    x = rng.integers(-2048, 2048, shape)
    y = execute_onnx(model, {"x": x.astype(np.float32)})["y"]
    v = np.floor((x * scale + bias) / 32).astype(np.int64)
    address = v % 32 if wrap else np.clip(v, -11, -11 + 31) + 11
    np.testing.assert_array_equal(y, table[address])
    assert model.get_tensor_datatype("y").name == "INT8"


def test_wide_integers_stay_exact():
    """A multiplier and bias beyond float32 and int32."""
    scale, bias, shift = (1 << 30) + 1, (1 << 45) + 3, 40
    model = layer_model((1, 1), [scale], [bias], np.arange(64), "INT20", wrap=1, shift=shift)
    for x in (-(1 << 19), -1, 0, 12345, (1 << 19) - 1):
        y = execute_onnx(model, {"x": np.array([[x]], dtype=np.float32)})["y"]
        assert y.item() == ((x * scale + bias) >> shift) % 64


def test_folding_widths_and_cycles():
    layer = op(layer_model((2, 12), [3], [4], np.arange(64), PE=4, wrap=1))
    assert layer.get_folded_input_shape() == (2, 3, 4)
    assert layer.get_instream_width(0) == 48
    assert [layer.get_instream_width(i) for i in (1, 2, 3)] == [0, 0, 0]
    assert layer.get_outstream_width() == 32
    assert layer.get_exp_cycles() == 6
    assert layer.legal_lanes() == [1, 2, 3, 4, 6, 12]
    assert layer.get_verilog_top_module_intf_names()["s_axis"] == [("in0_V", 48)]
    assert [layer.get_input_datatype(i).name for i in range(3)] == ["INT12", "INT3", "INT4"]
    assert layer.verify_node() == []


def test_estimates_follow_the_stated_formulas():
    plain = op(layer_model((1, 8), [1], [5], np.zeros(256), wrap=1, PE=2))
    assert plain.dsp_estimation(PART) == 0
    # Before the numbers are looked at: 8 bits of x + 5, a table of 256 entries of 8 bits; 5 stages.
    assert plain.lut_estimation(PART) == 2 * (8 + (8 * 4 + 1)) + 2 * 5
    assert plain.bram_estimation(PART) == 0
    multiplying = op(layer_model((1, 8), [1000], [5], np.zeros(256), PE=2))
    assert multiplying.dsp_estimation(PART) == 2
    # One stage more for the product, one for the clip, which looks at product - 1 - 8 bits.
    product = multiplying.accumulator_bits()
    lane = product + (8 + 1 + (product - 9) / 5) + (8 * 4 + 1)
    assert multiplying.lut_estimation(PART) == round(2 * lane + 2 * 7)
    wide = op(layer_model((1, 8), [1 << 30], [5], np.zeros(4), "INT20", wrap=1))
    assert wide.dsp_estimation(PART) == 2 * 2  # 32 x 20 bits on 27 x 18
    assert wide.stages() == 7
    block = op(layer_model((1, 8), [1], [0], np.zeros(4096), wrap=1, PE=3))
    assert block.bram_estimation(PART) == 2 * 2  # 4096 x 8 bits, two lanes a memory
    assert block.bram_efficiency_estimation(PART) == 4096 * 8 / (4 * 18 * 1024)
    assert block.lut_estimation(PART) == 2 * 4
    block.set_nodeattr("tableFold", 2)
    assert block.bram_estimation(PART) == 2
    assert block.lut_estimation(PART) == 3 * (10 + 6) + 2 * 4
    block.set_nodeattr("tableFold", 0)
    by_channel = op(layer_model((1, 128), [5] * 127 + [7], [5], np.zeros(2), wrap=1))
    # M and B of 4 bits, of which the address keeps one, for 128 channels: 7 LUTs a bit.
    assert by_channel.lut_estimation(PART) == 1 + 2 * 7 + (8 + 1) + 2 * 6 + (2 * 7 - 5)
    many = op(layer_model((1, 1024), [1], list(range(1024)), np.zeros(2048), wrap=1))
    assert many.bram_estimation(PART) == 1 + 1  # 2048 x 8 bits; 1024 x 11 bits
    assert many.lut_estimation(PART) == 11 + 2 * 5
    block.set_nodeattr("ram_style", "distributed")
    assert block.bram_estimation(PART) == 0
    counts = multiplying.get_op_and_param_counts()
    assert counts["op_mul_11bx12b"] == 8
    assert counts["param_table_8b"] == 256
    assert counts["op_lookup_8b"] == 8


def test_minimize_weight_bit_width():
    attributes = {"scaleDataType": "INT32", "biasDataType": "INT32"}
    model = layer_model((1, 2), [-4, 3], [0, 0], np.arange(4), **attributes)
    op(model).minimize_weight_bit_width(model, datatype_only=True)
    assert op(model).get_input_datatype(1).name == "INT32"
    op(model).minimize_weight_bit_width(model)
    assert op(model).get_input_datatype(1).name == "INT3"
    assert op(model).get_input_datatype(2).name == "INT1"


def test_estimates_look_at_the_numbers():
    """Ones of B; symmetries and constant bits of the table."""
    sine = np.rint(127 * np.sin(2 * np.pi * (np.arange(256) + 0.5) / 256))
    model = layer_model((1, 8), [1], [-3], sine, wrap=1, shift=2)
    op(model).minimize_weight_bit_width(model)
    # -3 has 9 ones among 10 bits; a quarter wave of 64 entries has 7 bits.
    assert op(model).lut_estimation(PART) == 9 + 6 + (8 - 2) + (7 + 1) + 2 * 5
    assert table_luts(np.full(256, -5), 8) == 0
    assert table_luts(np.arange(128) - 64, 8) == 6 * 2
    assert table_luts(np.abs(np.arange(256) * 2 - 255), 8) == 6 * 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0], 1), ([1], 2), ([-1], 1), ([-128, 127], 8), ([-129], 9), ([128], 9)],
)
def test_smallest_signed_datatype(values, expected):
    datatype = smallest_signed_datatype(np.array(values))
    assert datatype.name == f"INT{expected}"
    assert np.all(datatype.allowed(np.array(values)))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"tableBits": 0}, "tableBits=0 is not between 1 and 16"),
        ({"tableBits": 17}, "tableBits=17 is not between 1 and 16"),
        ({"shift": -1}, "shift=-1 is not between 0 and 62"),
        ({"PE": 5}, r"PE=5 does not fold 12 channels; use one of \[1, 2, 3, 4, 6, 12\]"),
        ({"scaleDataType": "INT60"}, "needs .* bits, more than 63"),
        ({"outputDataType": "FLOAT32"}, "outputDataType=FLOAT32 is not an integer type"),
    ],
)
def test_bad_attributes(attributes, message):
    layer = op(layer_model((1, 12), [3], [4], np.arange(64)))
    for name, value in attributes.items():
        layer.set_nodeattr(name, value)
    with pytest.raises(FlowError, match=f"activation .LookupActivation.*{message}"):
        layer.check_attributes()


@pytest.mark.parametrize(
    ("scale", "bias", "table", "message"),
    [
        ([3, 3], [4], np.arange(64), r"scale of shape \(2,\) must be \[1\] or \[12\]"),
        ([3], [400], np.arange(64), "bias does not fit INT4"),
        ([3], [4], np.arange(32), r"table of shape \(32,\) must be \[64\] for tableBits=6"),
        ([3], [4], np.arange(64) * 10, "the table does not fit INT8"),
    ],
)
def test_bad_parameters(scale, bias, table, message):
    layer = op(layer_model((1, 12), [3], [4], np.arange(64)))
    context = {
        "x": np.zeros((1, 12)),
        "scale": np.array(scale),
        "bias": np.array(bias),
        "table": np.array(table),
    }
    with pytest.raises(FlowError, match=message):
        layer.execute_node(context, None)


def test_unknown_input_index():
    with pytest.raises(FlowError, match="there is no input 4"):
        op(layer_model((1, 12), [3], [4], np.arange(64))).get_input_datatype(4)
