# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Every layer's RTL against the Python of FINN or of this package, on integers, exactly."""

import numpy as np
import pytest
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow import UnsupportedNodeError, execute_dataflow
from dhq_brevitas.finn_flow.ops.lookup_activation_rtl import memory_text, table_fold
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator
from dhq_brevitas.finn_flow.stitching import simulate_nodes
from graphs import codes
from layer_graphs import (
    converter,
    hadamard,
    lookup,
    matrix_vector,
    mvau,
    one_layer,
    requant,
    sine_table,
    thresholding,
)

RAMP = np.arange(-32, 32)
SIGNS = [1, -1, -1, 1] * 8

LAYERS = {
    "MVAU": (mvau(), "INT8"),
    "MVAU of 4 bit weights": (mvau(mw=6, mh=9, simd=3, pe=3, bits=4), "INT8"),
    "MVAU of 18 bit inputs": (mvau(mw=4, mh=4, simd=2, pe=2, bits=3, given="INT18"), "INT18"),
    "matrix_vector": (matrix_vector(), "INT8"),
    "matrix_vector, narrow streams": (matrix_vector(pe=4, inLanes=1, outLanes=2), "INT8"),
    "matrix_vector of signs": (matrix_vector(bits=1, given="UINT3"), "UINT3"),
    "matrix_vector of 24 bit inputs": (
        matrix_vector(mw=2, mh=6, simd=2, pe=3, bits=2, given="INT21"),
        "INT21",
    ),
    "matrix_vector of sums beyond 24 bits": (
        matrix_vector(bits=3, given="INT24", sums="INT32"),
        "INT24",
    ),
    "adders": (mvau(mw=6, mh=4, simd=6, pe=4, kernel="adders"), "INT8"),
    "Thresholding": (thresholding(), "INT11"),
    "Thresholding, one row, saturated input": (thresholding(pe=4, rows=1, given="INT13"), "INT13"),
    "Thresholding, narrow range": (thresholding(pe=1, count=14), "INT11"),
    "Requant": (requant(), "INT12"),
    "converter up": (converter(2, 4), "INT6"),
    "converter down": (converter(8, 1), "INT6"),
    "Hadamard": (hadamard(), "INT6"),
    "Hadamard, signs and requantizer": (
        hadamard(8, signs=SIGNS, requantShift=2, narrow=1, outputDataType="INT6"),
        "INT6",
    ),
    "Hadamard, unsigned output": (
        hadamard(4, "UINT6", requantShift=3, outputDataType="UINT5"),
        "UINT6",
    ),
    "lookup, per channel, wrap": (
        lookup([3, -5, 7, 100], [0, 1, -2000, 9], sine_table(8), shift=3, wrap=1),
        "INT12",
    ),
    "lookup, one channel at a time": (
        lookup([37], [5, 1, -2000, 9], sine_table(6), pe=1, shift=5, wrap=1),
        "INT12",
    ),
    "lookup, clip, shift only": (
        lookup([1], [0], RAMP, pe=4, shift=4, wrap=0, addressOffset=-20),
        "INT12",
    ),
    "lookup, constants of the lanes": (
        lookup([8, 1, 4, 2], [0, 1, -2000, 9], sine_table(8), pe=4, shift=3, wrap=1, direct=1),
        "INT12",
    ),
    "lookup in block RAM": (
        lookup([4], [77], sine_table(9), shift=2, wrap=1, ram_style="block"),
        "INT12",
    ),
}


@pytest.mark.parametrize(("model", "given"), LAYERS.values(), ids=LAYERS.keys())
def test_equal_to_python(model, given):
    x = codes(given, 64, model.get_tensor_shape("x")[-1])
    converts = model.graph.node[0].op_type.startswith("StreamingDataWidthConverter")
    expected = x if converts else execute_dataflow(model, x, progress=False)
    outputs, (node,) = simulate_nodes(model, x, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert len(np.unique(expected)) > 10
    (op,) = (getCustomOp(node) for node in model.graph.node)
    # FINN estimates nothing for a converter; it passes a beat of the narrow side per cycle.
    beats = (op.get_folded_input_shape()[-2], op.get_folded_output_shape()[-2])
    interval = max(beats) if converts else op.get_exp_cycles()
    # Beyond the steady rate there is the pipeline, filled once.
    assert 0 <= node.cycles - 64 * interval < 60
    assert (node.mismatches, node.codes) == (0, expected.size)


def test_table_fold():
    assert [table_fold(sine_table(bits), 8) for bits in (6, 7, 10)] == [0, 2, 2]
    odd = np.arange(-255, 256, 2)
    assert table_fold(odd, 10) == 1
    assert table_fold(odd, 8) == 1
    assert table_fold(odd - 1, 10) == 0
    lowest = sine_table(8)
    lowest[[3, -4]] = -128, 128
    assert table_fold(lowest, 8) == 0


def test_memory_text():
    assert memory_text(np.array([1, -1, 5, -8]), 4) == "1\nf\n5\n8\n"
    assert memory_text(np.array([1, -1, 5, -8]), 4, lanes=2) == "f1\n85\n"
    assert memory_text(np.array([1, -1]), 5, lanes=2) == "3e1\n"


def test_layers_without_verilog_are_named():
    model = one_layer(
        "ChannelwiseOp_hls",
        ([1, 4], [1, 4]),
        ("INT8", "INT8"),
        {},
        domain="finn.custom_op.fpgadataflow.hls",
    )
    with pytest.raises(UnsupportedNodeError, match=r"layer.*ChannelwiseOp_hls.*HLS layer.*Vitis"):
        simulate_nodes(model, codes("INT8", 4, 4), progress=False)
    embedded = mvau()
    getCustomOp(embedded.graph.node[0]).set_nodeattr("mem_mode", "external")
    with pytest.raises(UnsupportedNodeError, match=r"layer.*MVAU_rtl.*mem_mode='external'"):
        simulate_nodes(embedded, codes("INT8", 4, 16), progress=False)
    getCustomOp(embedded.graph.node[0]).set_nodeattr("mem_mode", "internal_decoupled")
    getCustomOp(embedded.graph.node[0]).set_nodeattr("TH", 2)
    with pytest.raises(UnsupportedNodeError, match=r"layer.*MVAU_rtl.*TH=2.*set TH=1"):
        simulate_nodes(embedded, codes("INT8", 4, 16), progress=False)
    with pytest.raises(UnsupportedNodeError, match=r"Thresholding.*7 thresholds .* 3 bits .* INT4"):
        simulate_nodes(thresholding(count=7), codes("INT11", 4, 8), progress=False)
    abstract = hadamard()
    abstract.graph.node[0].domain = "finn.custom_op.fpgadataflow"
    with pytest.raises(UnsupportedNodeError, match=r"layer.*not specialized to RTL"):
        simulate_nodes(abstract, codes("INT6", 4, 32), progress=False)


@pytest.mark.parametrize(
    ("model", "attributes", "remedy"),
    [
        (requant(), {"mem_mode": "internal_embedded"}, "set mem_mode='internal_decoupled'"),
        (mvau(), {"TH": 2, "numInputVectors": [2]}, "a tiled MVAU .* set TH=1"),
    ],
    ids=["Requant", "MVAU"],
)
def test_finns_own_passes_name_node_and_remedy(model, attributes, remedy):
    enable_verilator()
    for name, value in attributes.items():
        getCustomOp(model.graph.node[0]).set_nodeattr(name, value)
    # A Versal device: FINN tiles on its DSPs only.
    model = model.transform(PrepareIP("xcvc1902-vsva2197-2MP-e-S", 5.0))
    model = model.transform(SetExecMode("rtlsim"))
    with pytest.raises(SimulationError, match=f"^layer cannot be simulated: .*{remedy}"):
        model.transform(PrepareRTLSim(num_workers=1))


def test_unsigned_narrow_output_is_refused():
    model = hadamard(4, "UINT6", requantShift=3, narrow=1, outputDataType="UINT5")
    with pytest.raises(ValueError, match="narrow=1 with unsigned UINT5"):
        simulate_nodes(model, codes("UINT6", 4, 32), progress=False)
