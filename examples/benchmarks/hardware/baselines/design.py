# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the two baselines share: layers, folding, memories, the top module, simulation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qonnx.core.datatype import DataType

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.lookup_activation_rtl import memory_text
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, Sources, collect
from dhq_brevitas.finn_flow.stitching.simulate import SimulationStats, StreamFormat, run_signal
from hardware.kernel import RTL_FOLDER

HERE = Path(__file__).parent
TOP = "baseline"
# The adder of three cycles sits in a loop of OUTPUTS / PE.
MIN_GROUPS = 3


@dataclass(frozen=True)
class SineLayer:
    """z = W·x + b, and sin(2·pi·z) unless it is the last layer.

    Attributes:
        weight: float64 [outputs, inputs], in turns where a sine follows.
        bias: float64 [outputs], likewise.
        sine: whether a sine follows.
        lanes: multiply-accumulate units.
    """

    weight: np.ndarray
    bias: np.ndarray
    sine: bool
    lanes: int

    @property
    def folding(self) -> tuple[int, int]:
        """(SIMD, PE)."""
        outputs, inputs = self.weight.shape
        return fold(inputs, outputs, self.lanes)


@dataclass(frozen=True)
class Baseline:
    """A design and its reference.

    Attributes:
        sources: Verilog and memory contents; the top module is ``baseline``.
        width: bits of an input, output_width: of an output.
        features: inputs, outputs of a sample.
        reference: input bit patterns int64 [N, inputs] to output bit patterns int64 [N, outputs].
        encode: coordinate codes [N, inputs] to bit patterns, decode: bit patterns to outputs.
    """

    sources: Sources
    width: int
    output_width: int
    features: tuple[int, int]
    reference: Callable[[np.ndarray], np.ndarray]
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]

    @property
    def formats(self) -> tuple[StreamFormat, StreamFormat]:
        """(Input, output): a value a beat."""
        given = StreamFormat(DataType[f"INT{self.width}"], 1, self.features[0])
        return given, StreamFormat(DataType[f"INT{self.output_width}"], 1, self.features[1])

    def simulate(
        self, codes: np.ndarray, progress: bool = False
    ) -> tuple[np.ndarray, SimulationStats]:
        """Output bit patterns of the RTL for coordinate codes [N, inputs], and its figures."""
        outputs, stats, _ = run_signal(
            compile_design(self.sources, TOP),
            self.encode(codes),
            *self.formats,
            progress=progress,
            description=TOP,
        )
        return outputs, stats


def fold(inputs: int, outputs: int, lanes: int) -> tuple[int, int]:
    """(SIMD, PE) with SIMD · PE = ``lanes``, SIMD a power of two and as small as possible.

    FlowError if there is none with SIMD dividing ``inputs``, PE ``outputs``, outputs / PE >= 3.
    """
    simd = 1
    while simd <= min(inputs, lanes):
        pe = lanes // simd
        divides = lanes == simd * pe and inputs % simd == 0 and outputs % pe == 0
        if divides and outputs // pe >= MIN_GROUPS:
            return simd, pe
        simd *= 2
    raise FlowError(
        f"a layer of {inputs} inputs and {outputs} outputs cannot be folded to {lanes} multiply-"
        "accumulate units with at least three groups of outputs; choose other cycles_per_sample"
    )


def memory_lines(values: np.ndarray, bits: int) -> bytes:
    """Lines for $readmemh of int64 [rows, entries], the first entry of a row rightmost."""
    return memory_text(values.reshape(-1), bits, lanes=values.shape[1]).encode()


def weight_rows(weight: np.ndarray, simd: int, pe: int) -> np.ndarray:
    """[outputs, inputs] in the order of use: a row a cycle, SIMD of an output side by side."""
    outputs, inputs = weight.shape
    blocks = weight.reshape(outputs // pe, pe, inputs // simd, simd)
    return blocks.transpose(2, 0, 1, 3).reshape(-1, pe * simd)


def make_sources(
    layers: Sequence[SineLayer],
    memories: Sequence[tuple[np.ndarray, np.ndarray]],
    sine_table: bytes,
    *,
    is_float: bool,
    dsp_adders: bool = False,
    shifts: Sequence[int],
    table_bits: int = 0,
) -> Sources:
    """Sources of a design.

    Args:
        layers: of the network.
        memories: for each layer its weights [outputs, inputs] and biases [outputs] as bit patterns.
        sine_table: contents of the table.
        is_float: float32, or 16 bit integers.
        dsp_adders: DSP slices in float32's adders, too.
        shifts: for each layer SHIFT of its table; only with integers.
        table_bits: address bits of that table.
    """
    width, acc_width = (32, 32) if is_float else (16, 40)
    sources = collect(sorted([*HERE.glob("*.sv"), *RTL_FOLDER.glob("*.sv")]))
    sources.data["baseline/sine.mem"] = sine_table
    body = []
    for index, (layer, (weight, bias)) in enumerate(zip(layers, memories, strict=True)):
        simd, pe = layer.folding
        files = [f"baseline/{kind}{index}.mem" for kind in ("weight", "bias")]
        sources.data[files[0]] = memory_lines(weight_rows(weight, simd, pe), width)
        sources.data[files[1]] = memory_lines(bias.reshape(-1, pe), acc_width)
        last = index == len(layers) - 1
        parameters = {
            "FLOAT": int(is_float),
            "DSP_ADDERS": int(dsp_adders),
            "INPUTS": layer.weight.shape[1],
            "OUTPUTS": layer.weight.shape[0],
            "SIMD": simd,
            "PE": pe,
            "WEIGHT_FILE": f'"{DATA_FOLDER}/{files[0]}"',
            "BIAS_FILE": f'"{DATA_FOLDER}/{files[1]}"',
            "SINE": int(layer.sine),
            "SINE_FILE": f'"{DATA_FOLDER}/baseline/sine.mem"',
        }
        if not is_float:
            parameters |= {"SHIFT": shifts[index], "TABLE_BITS": max(table_bits, 1)}
        given = ", ".join(f".{name}({value})" for name, value in parameters.items())
        out_bits = (acc_width if last else width) - 1
        body += [
            f"  logic [{out_bits}:0] data_{index + 1};",
            f"  logic valid_{index + 1}, start_{index + 1}, space_{index + 1};",
            f"  baseline_layer #({given}) layer_{index} (.clk(ap_clk), .rst_n(ap_rst_n),",
            f"    .s_data(data_{index}), .s_valid(valid_{index}), .s_start(start_{index}),",
            f"    .s_space(space_{index}), .m_data(data_{index + 1}), .m_valid(valid_{index + 1}),",
            f"    .m_start(start_{index + 1}), .m_space(space_{index + 1}));",
        ]
    features = layers[0].weight.shape[1]
    sources.texts[f"{TOP}.sv"] = _top_module(body, len(layers), features, width, acc_width)
    return sources


def _top_module(body: list[str], count: int, features: int, width: int, acc_width: int) -> str:
    """Verilog of ``count`` layers in a chain; ``body`` instantiates them."""
    return f"""\
// Generated: the network as a chain of layers. The sink must always be ready.
module {TOP} (
    input  logic ap_clk, ap_rst_n,
    input  logic [{width - 1}:0] s_axis_0_tdata,
    input  logic s_axis_0_tvalid,
    output logic s_axis_0_tready,
    output logic [{acc_width - 1}:0] m_axis_0_tdata,
    output logic m_axis_0_tvalid,
    input  logic m_axis_0_tready
);
  // A sample is announced with its first beat.
  logic [{max(1, features.bit_length()) - 1}:0] beat;
  logic [{width - 1}:0] data_0;
  logic valid_0, start_0, space_0;
  assign s_axis_0_tready = beat != 0 || space_0;
  assign valid_0 = s_axis_0_tvalid && s_axis_0_tready;
  assign start_0 = valid_0 && beat == 0;
  assign data_0 = s_axis_0_tdata;
  always_ff @(posedge ap_clk)
    if (!ap_rst_n) beat <= '0;
    else if (valid_0) beat <= beat == {features - 1} ? '0 : beat + 1'b1;
{chr(10).join(body)}
  assign space_{count} = 1'b1;
  assign m_axis_0_tdata = data_{count};
  assign m_axis_0_tvalid = valid_{count};
endmodule
"""
