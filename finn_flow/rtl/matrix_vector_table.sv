// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Weights of matrix_vector in LUTs: LINES words from FILE, read with the pipeline's enable.
//
//   data <= memory[line]   with enable; latency 1 cycle
//
// A bit of 64 words is one LUT of six inputs. Yosys finds that only where the table stands by itself: mixed
// with the logic around it, it spends three or four, hence keep_hierarchy. Nothing is reset.

(* keep_hierarchy = "yes" *)
module matrix_vector_table #(
    parameter int unsigned LINES = 64,
    parameter int unsigned WIDTH = 32,
    parameter string FILE = "weights.mem",
    localparam int unsigned ADDRESS_WIDTH = dhq_rtl_pkg::index_width(LINES)
) (
    input  logic                     clk,
    input  logic                     enable,
    input  logic [ADDRESS_WIDTH-1:0] line,
    output logic [        WIDTH-1:0] data
);

  // As in lookup_table: Vivado follows rom_style, Yosys ram_style.
  (* ram_style = "registers", rom_style = "distributed" *) logic [WIDTH-1:0] memory[LINES];
  initial $readmemh(FILE, memory);
  always_ff @(posedge clk) if (enable) data <= memory[line];

endmodule
