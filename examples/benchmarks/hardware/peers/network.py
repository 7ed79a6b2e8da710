# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integers of a built network, and what every other design of them has in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.widths import signed_bits
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.stitching.simulate import SimulationStats, StreamFormat, run_signal

TOP = "peer"


@dataclass(frozen=True)
class IntegerLayer:
    """y = table[((W·x + b) >> shift) mod 2^P], or W·x in the last layer.

    Attributes:
        weight: int64 [m, n]; the scales of the activation, powers of two, are in it.
        bias: int64 [m].
        shift: bits below the address.
        table: int64 [2^P], or None.
    """

    weight: np.ndarray
    bias: np.ndarray
    shift: int = 0
    table: np.ndarray | None = None

    @property
    def table_bits(self) -> int:
        """P."""
        return 0 if self.table is None else len(self.table).bit_length() - 1


@dataclass(frozen=True)
class Peer:
    """A design; its module ``peer`` has the ports of a stitched one, and its sink must be ready.

    Attributes:
        name: for the table.
        sources: Verilog and memory contents.
        formats: of the input and of the output.
    """

    name: str
    sources: Sources
    formats: tuple[StreamFormat, StreamFormat]

    def simulate(self, codes: np.ndarray) -> tuple[np.ndarray, SimulationStats]:
        """Output codes [N, m] of input codes [N, n], and figures."""
        outputs, stats, _ = run_signal(compile_design(self.sources, TOP), codes, *self.formats)
        return outputs, stats


def integer_layers(dataflow: ModelWrapper) -> list[IntegerLayer]:
    """Layers of a built graph of matrix products and periodic tables in turn.

    FlowError for any other layer, and for scales that are no powers of two.
    """
    layers: list[IntegerLayer] = []
    for node in dataflow.graph.node:
        values = [dataflow.get_initializer(name) for name in node.input[1:]]
        kind = node.op_type.removesuffix("_rtl")
        if kind == "MVAU":
            weight = values[0].T.astype(np.int64)
            layers.append(IntegerLayer(weight, np.zeros(len(weight), np.int64)))
        elif kind == "LookupActivation" and getCustomOp(node).get_nodeattr("wrap"):
            layers[-1] = _with_table(layers[-1].weight, node.name, values, getCustomOp(node))
        else:
            raise FlowError(f"{node.name} is neither a matrix product nor a periodic table")
    return layers


def _with_table(weight: np.ndarray, name: str, values: list[np.ndarray], op: Any) -> IntegerLayer:
    scale, bias, table = (value.astype(np.int64) for value in values)
    if np.any(scale < 1) or np.any(scale & (scale - 1)):
        raise FlowError(f"{name}: scales must be powers of two, as scale='po2' makes them")
    rows = len(weight)
    return IntegerLayer(
        weight * np.broadcast_to(scale, rows)[:, None],
        np.broadcast_to(bias, rows),
        int(op.get_nodeattr("shift")),
        table,
    )


def codes_of(layers: Sequence[IntegerLayer], codes: np.ndarray) -> np.ndarray:
    """Outputs int64 [N, m] of inputs [N, n]: what every design has to put out."""
    x = codes.astype(np.int64)
    for layer in layers:
        x = x @ layer.weight.T + layer.bias
        if layer.table is not None:
            x = layer.table[(x >> layer.shift) & (len(layer.table) - 1)]
    return x


def sum_bits(layer: IntegerLayer, low: int, high: int) -> int:
    """Bits of W·x + b and of its products, for inputs from ``low`` to ``high``."""
    ends = layer.weight * low, layer.weight * high
    bottom = np.minimum(*ends).clip(max=0).sum(1) + layer.bias.clip(max=0)
    top = np.maximum(*ends).clip(min=0).sum(1) + layer.bias.clip(min=0)
    return signed_bits(int(bottom.min()), int(top.max()))


def output_bits(layers: Sequence[IntegerLayer]) -> int:
    """Bits of the outputs of the last layer."""
    table = layers[-2].table
    return sum_bits(layers[-1], int(table.min()), int(table.max()))


def signed_stream(bits: int, lanes: int, beats: int) -> StreamFormat:
    """Format of signed integers."""
    return StreamFormat(DataType[f"INT{bits}"], lanes, beats)


def pipeline_top(core: str, given: int, wanted: int, latency: int, outputs: str) -> str:
    """Verilog of ``peer`` around a pipeline ``core`` that takes a sample every cycle.

    ``given`` and ``wanted`` bits a sample; ``outputs`` declares ``results`` and assigns it.
    """
    return f"""\
module {TOP} (
    input  logic ap_clk, ap_rst_n,
    input  logic [{given - 1}:0] s_axis_0_tdata,
    input  logic s_axis_0_tvalid,
    output logic s_axis_0_tready,
    output logic [{wanted - 1}:0] m_axis_0_tdata,
    output logic m_axis_0_tvalid,
    input  logic m_axis_0_tready
);
  logic [{latency - 1}:0] valid;
  always_ff @(posedge ap_clk)
    valid <= ap_rst_n ? {latency}'({{valid, s_axis_0_tvalid}}) : '0;
  assign s_axis_0_tready = 1'b1;
  assign m_axis_0_tvalid = valid[{latency - 1}];
{outputs}
  {core} core (.clk(ap_clk), .model_inp(s_axis_0_tdata), .model_out(results));
endmodule
"""
