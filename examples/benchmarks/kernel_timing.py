# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Clock rates of the transform after place and route, for a device that open tools route.

Yosys maps the kernel, between registers at all of its ports, to Lattice ECP5, and nextpnr places
and routes it out of context; the clock rate is that of an ECP5-85 of speed grade 6, not of a Xilinx
part. Beside it the logic depth of the same kernel mapped to UltraScale+: the most LUTs, inverters
and carry elements (4 bits each) in a row between registers and memories.

    python examples/benchmarks/kernel_timing.py [--orders 16 128] [--lanes 1 8] [--bits 8]
"""

import argparse
import dataclasses

from dhq_brevitas.finn_flow.ops.channelwise_rtl import kernel_sources
from dhq_brevitas.finn_flow.placement import (
    Device,
    Placement,
    place_design,
    portable_sources,
    tool_versions,
)
from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys
from hardware.kernel import cells_in_a_row

KERNEL = "hadamard_transform"
DEVICE = "LFE5U-85F-6BG381C"
TOP = """\
module top (
    input  wire clk, rst_n, s_valid, m_ready,
    input  wire [{given}:0] s_data,
    output reg  s_ready, m_valid,
    output reg  [{wanted}:0] m_data
);
  reg reset, valid, taken;
  reg [{given}:0] data;
  wire ready, offered;
  wire [{wanted}:0] result;
  always @(posedge clk) begin
    {{reset, valid, taken, data}} <= {{rst_n, s_valid, m_ready, s_data}};
    {{s_ready, m_valid, m_data}} <= {{ready, offered, result}};
  end
  {kernel} #({parameters}) kernel (
      .clk(clk), .rst_n(reset),
      .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready),
      .m_axis_tdata(result), .m_axis_tvalid(offered), .m_axis_tready(taken)
  );
endmodule
"""


def placed(parameters: dict[str, int], target_mhz: int) -> Placement:
    """The kernel on ECP5-85, routed."""
    lanes = parameters["SIMD"]
    text = TOP.format(
        kernel=KERNEL,
        given=lanes * parameters["IN_WIDTH"] - 1,
        wanted=lanes * parameters["OUT_WIDTH"] - 1,
        parameters=", ".join(f".{key}({value})" for key, value in parameters.items()),
    )
    sources = portable_sources(kernel_sources(KERNEL))
    sources = dataclasses.replace(sources, texts={**sources.texts, "top.v": text})
    return place_design(sources, "top", Device.of(DEVICE), target_mhz)


def logic_depth(parameters: dict[str, int], yosys: Yosys) -> int:
    """Cells in a row in the netlist for UltraScale+."""
    sources = read_sources(kernel_sources(KERNEL))
    return cells_in_a_row(yosys.synthesize(sources, KERNEL, "xcup", parameters=parameters), yosys)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, nargs="+", default=[256], help="N, powers of two")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--bits", type=int, default=8, help="of input and output (%(default)s)")
    parser.add_argument("--target", type=int, default=150, help="MHz to route for (%(default)s)")
    arguments = parser.parse_args()
    print(f"{tool_versions()}, {DEVICE}")
    print("   N  SIMD  MHz on ECP5   COMB     FF  cells in a row on UltraScale+")
    for order in arguments.orders:
        for lanes in arguments.lanes:
            parameters = {
                **{"N": order, "SIMD": lanes, "IN_WIDTH": arguments.bits},
                # What a layer keeps of its sums: their standard deviation fits.
                **{"SHIFT": order.bit_length() // 2, "OUT_WIDTH": arguments.bits},
            }
            result = placed(parameters, arguments.target)
            comb, ff = (result.utilization[name][0] for name in ("comb", "ff"))
            print(
                f"{order:4}  {lanes:4}  {result.clock_mhz:11.1f}  {comb:5}  {ff:5}  "
                f"{logic_depth(parameters, Yosys()):29}",
                flush=True,
            )


if __name__ == "__main__":
    main()
