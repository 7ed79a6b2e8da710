// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Read-only table of 2^ADDRESS_BITS words shared by PORTS (1 or 2) lanes.
//
//   data[port] <= memory[address[port]]   with enable; latency 1 cycle, one read per port and cycle
//
// STYLE "distributed" puts it in LUTs, "block" in block RAM (two ports of one memory), "auto" in
// block RAM if it has more than 4096 bits, which are 64 LUTs per lane. FILE: $readmemh, one word per
// line, two's complement. Nothing is reset.

module lookup_table #(
    parameter int unsigned PORTS = 2,
    parameter int unsigned ADDRESS_BITS = 8,
    parameter int unsigned WIDTH = 8,
    parameter string FILE = "table.mem",
    parameter string STYLE = "auto"
) (
    input  logic                               clk,
    input  logic                               enable,
    input  logic [PORTS-1:0][ADDRESS_BITS-1:0] address,
    output logic [PORTS-1:0][       WIDTH-1:0] data
);

  if (STYLE != "auto" && STYLE != "distributed" && STYLE != "block") begin : g_check
    $fatal(1, "STYLE=%s must be auto, distributed or block", STYLE);
  end

  localparam int unsigned LUT_TABLE_BITS = 4096;
  localparam bit BLOCK = STYLE == "block"
                         || (STYLE == "auto" && (WIDTH << ADDRESS_BITS) > LUT_TABLE_BITS);

  if (BLOCK) begin : g_block
    (* rom_style = "block" *) logic [WIDTH-1:0] memory[2**ADDRESS_BITS];
    initial $readmemh(FILE, memory);
    for (genvar port = 0; port < PORTS; port++) begin : g_port
      always_ff @(posedge clk) if (enable) data[port] <= memory[address[port]];
    end
  end else begin : g_distributed
    // Vivado follows rom_style. Yosys has no distributed ROM, but ram_style comes first there and
    // names plain logic; LUTs in both.
    (* ram_style = "registers", rom_style = "distributed" *)
    logic [WIDTH-1:0] memory[2**ADDRESS_BITS];
    initial $readmemh(FILE, memory);
    for (genvar port = 0; port < PORTS; port++) begin : g_port
      always_ff @(posedge clk) if (enable) data[port] <= memory[address[port]];
    end
  end

endmodule
