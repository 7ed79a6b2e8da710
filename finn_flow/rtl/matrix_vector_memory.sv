// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Weights of matrix_vector: LINES words from FILE, read with the pipeline's enable.
//
//   data <= memory[line]   with enable; latency 1 cycle
//
// STYLE "block" is block RAM, "distributed" LUTs. FILE: $readmemh, a word a line. Nothing is reset.

module matrix_vector_memory #(
    parameter int unsigned LINES = 64,
    parameter int unsigned WIDTH = 32,
    parameter string STYLE = "block",
    parameter string FILE = "weights.mem",
    localparam int unsigned ADDRESS_WIDTH = dhq_rtl_pkg::index_width(LINES)
) (
    input  logic                     clk,
    input  logic                     enable,
    input  logic [ADDRESS_WIDTH-1:0] line,
    output logic [        WIDTH-1:0] data
);

  if (STYLE == "block") begin : g_block
    (* rom_style = "block" *) logic [WIDTH-1:0] memory[LINES];
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk) if (enable) data <= memory[line];
  end else if (STYLE == "distributed") begin : g_distributed
    // As in lookup_table: Vivado follows rom_style, Yosys ram_style.
    (* ram_style = "registers", rom_style = "distributed" *) logic [WIDTH-1:0] memory[LINES];
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk) if (enable) data <= memory[line];
  end else begin : g_check
    $fatal(1, "STYLE=%s must be distributed or block", STYLE);
  end

endmodule
