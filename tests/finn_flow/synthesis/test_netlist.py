# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Netlists of single layers, simulated, still compute: memories keep their contents."""

import re

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow import execute_dataflow
from dhq_brevitas.finn_flow.ops.mvau_rtl import multiplier_slice
from dhq_brevitas.finn_flow.report import missed_dsps
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, Sources
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat, run_signal
from dhq_brevitas.finn_flow.synthesis import Yosys
from dhq_brevitas.finn_flow.synthesis.design import node_sources, read_resources
from dhq_brevitas.finn_flow.synthesis.parts import part_family
from dhq_brevitas.finn_flow.synthesis.yosys import NETLIST
from graphs import codes
from hardware.cells import models_of
from layer_graphs import (
    hadamard,
    lookup,
    matrix_vector,
    mvau,
    requant,
    sine_table,
    thresholding,
)

PART = "xczu3eg-sbva484-1-e"
TABLES = """
module tables (
    input logic ap_clk, ap_rst_n, s_axis_0_tvalid, m_axis_0_tready,
    output logic s_axis_0_tready, m_axis_0_tvalid,
    input logic [15:0] s_axis_0_tdata,
    output logic [111:0] m_axis_0_tdata
);
  (* rom_style = "block" *) logic [71:0] wide[512];
  (* rom_style = "block" *) logic [35:0] narrow[512];
  initial $readmemh("FOLDER/wide.mem", wide);
  initial $readmemh("FOLDER/narrow.mem", narrow);
  logic valid = 0;
  assign s_axis_0_tready = 1;
  assign m_axis_0_tvalid = valid;
  assign m_axis_0_tdata[111:108] = 0;
  always_ff @(posedge ap_clk) begin
    valid <= s_axis_0_tvalid;
    m_axis_0_tdata[71:0] <= wide[s_axis_0_tdata[8:0]];
    m_axis_0_tdata[107:72] <= narrow[s_axis_0_tdata[8:0]];
  end
endmodule
"""
LAYERS = {
    "MVAU": (mvau(), "INT8", {"DSP48E2", "RAM32M16", "SRL16E"}),
    # A result in every cycle: the stalls fill its output queue.
    "MVAU, SIMD = MW": (mvau(mw=4), "INT8", {"DSP48E2", "SRL16E"}),
    # Pairs of rows in a slice, their sums along cascades of two lengths.
    "matrix_vector": (
        matrix_vector(mw=24, simd=12, pe=4, inLanes=3, outLanes=1, ram_style="block"),
        "INT8",
        {"DSP48E2", "RAM32M16"},
    ),
    # 288 words, of 64 and 256 and what is left over.
    "matrix_vector, weights in LUTs": (
        matrix_vector(mw=24, mh=12, bits=4, simd=1, pe=1, ram_style="distributed"),
        "INT8",
        {"MUXF7", "MUXF8"},
    ),
    "Hadamard": (hadamard(1), "INT6", {"RAM32M16", "CARRY4"}),
    "Thresholding": (thresholding(), "INT11", {"FDRE"}),
    "Requant": (requant(), "INT12", {"DSP48E2"}),
    "table in LUTs": (
        lookup([3, -5, 7, 100], [0, 1, -2000, 9], sine_table(8), shift=3, wrap=1),
        "INT12",
        {"DSP48E2"},
    ),
    "table in block RAM": (
        lookup([4], [77], sine_table(9), shift=2, wrap=1, ram_style="block"),
        "INT12",
        {"RAMB18E2"},
    ),
}


def netlist_of(model) -> tuple[str, str]:
    """(netlist, name of its top module) of a graph of one layer."""
    generated = generate_nodes(model, PART, 5.0)
    sources, top = node_sources(generated.graph.node[0])
    netlist = (Yosys().synthesize(sources, top, "xcup") / NETLIST).read_text()
    # Verilator takes a parameter with a single unknown bit for unknown as a whole.
    return re.sub(r"\.INIT\w*\(\S+", lambda found: found[0].replace("x", "0"), netlist), top


def simulate(netlist: str, top: str, model, inputs: np.ndarray) -> np.ndarray:
    op = getCustomOp(model.graph.node[0])
    given = StreamFormat.of(op.get_input_datatype(), op.get_folded_input_shape())
    wanted = StreamFormat.of(op.get_output_datatype(), op.get_folded_output_shape())
    sources = Sources({"cells.sv": models_of(netlist), "netlist.v": netlist})
    outputs, _, _ = run_signal(
        compile_design(sources, top), inputs, given, wanted, stalls=(64, 128), timeout=5000
    )
    return outputs


@pytest.mark.parametrize("layer", LAYERS)
def test_the_netlist_computes_what_the_layer_does(layer):
    model, datatype, cells = LAYERS[layer]
    inputs = codes(datatype, 40, model.get_tensor_shape("x")[-1])
    netlist, top = netlist_of(model)
    assert all(re.search(rf"^  {cell} ", netlist, re.M) for cell in cells)
    expected = execute_dataflow(model, inputs, progress=False)
    assert np.array_equal(simulate(netlist, top, model, inputs), expected)


@pytest.mark.parametrize("part", [PART, "xc7z020clg400-1"])
def test_resources_of_the_kernel_are_those_estimated(part):
    """DSPs and block RAM to the one, and as rows of 64 weights of 8 bits have room in 36."""
    model = matrix_vector(mw=32, mh=16, simd=8, pe=4, inLanes=1, outLanes=1)
    generated = generate_nodes(model, part, 5.0)
    op = getCustomOp(generated.graph.node[0])
    found = op.multipliers(generated, multiplier_slice(part))
    op.set_nodeattr("pack", found.pack)
    op.set_nodeattr("chain", found.chain)
    sources, top = node_sources(generated.graph.node[0])
    resources = read_resources(Yosys().synthesize(sources, top, part_family(part)))
    assert resources.dsp == op.dsp_estimation(part)
    assert resources.bram18 == op.bram_estimation(part) or resources.bram36
    assert op.lut_estimation(part) == pytest.approx(resources.lut, rel=0.15)
    assert op.ff_estimation(part) == pytest.approx(resources.ff, rel=0.15)


@pytest.mark.parametrize(
    ("bits", "given", "narrow", "dsps"),
    # Eight weights for one input: 27 bits, of which each further lane takes bits + input bits - 1.
    [
        (5, "INT7", True, 3),
        pytest.param(5, "INT7", False, 4, marks=pytest.mark.exhaustive),
        pytest.param(4, "INT8", False, 3, marks=pytest.mark.exhaustive),
        pytest.param(4, "INT14", False, 4, marks=pytest.mark.exhaustive),
    ],
)
def test_dsps_of_an_mvau_are_those_of_its_netlist(bits, given, narrow, dsps):
    model = mvau(simd=1, pe=8, bits=bits, given=given)
    node = model.graph.node[0]
    weights = model.get_initializer(node.input[1])
    lowest = -(2 ** (bits - 1))
    assert weights.min() == lowest
    if narrow:
        model.set_initializer(node.input[1], weights.clip(lowest + 1))
    netlist, _ = netlist_of(model)
    estimate = getCustomOp(node).dsp_estimation(PART)
    assert len(re.findall(r"^  DSP48E2 ", netlist, re.M)) == dsps
    assert estimate + missed_dsps(model, node, PART) == dsps
    assert estimate == 2
    assert missed_dsps(model, node, "xcvc1902-vsva2197-2MP-e-S") == 0


def test_block_ram_wider_than_its_ports():
    """RAMB36E2 of 72 bits, RAMB18E2 of 36, parity bits included: every word."""
    words = np.random.default_rng(2).integers(0, 1 << 36, (512, 3))
    sources = Sources({"tables.sv": TABLES.replace("FOLDER", DATA_FOLDER + "/test")})
    sources.data["test/wide.mem"] = "".join(f"{b:09x}{a:09x}\n" for a, b, _ in words).encode()
    sources.data["test/narrow.mem"] = "".join(f"{c:09x}\n" for _, _, c in words).encode()
    netlist = (Yosys().synthesize(sources, "tables", "xcup") / NETLIST).read_text()
    assert len(re.findall(r"^  RAMB(?:18|36)E2 ", netlist, re.M)) == 2
    given, wanted = StreamFormat(DataType["UINT9"], 1, 1), StreamFormat(DataType["UINT36"], 3, 1)
    library = compile_design(
        Sources({"cells.sv": models_of(netlist), "netlist.v": netlist}), "tables", optimize=False
    )
    outputs, _, _ = run_signal(library, np.arange(512)[:, None], given, wanted)
    assert np.array_equal(outputs, words)


def test_a_lost_memory_is_noticed():
    """Negative control: one bit of the table changed in the netlist."""
    model, datatype, _ = LAYERS["table in block RAM"]
    inputs = codes(datatype, 400, 4)
    netlist, top = netlist_of(model)
    word = re.search(r"\.INIT_00\(256'b.*([01])\)", netlist)
    assert word is not None
    place = word.start(1)
    broken = netlist[:place] + str(1 - int(word[1])) + netlist[place + 1 :]
    expected = execute_dataflow(model, inputs, progress=False)
    wrong = np.count_nonzero(simulate(broken, top, model, inputs) != expected)
    assert 0 < wrong < expected.size / 8
