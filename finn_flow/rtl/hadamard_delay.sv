// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Delay line of a hadamard_word_stage: DEPTH words in a circular buffer, one write and one read port.
//
//   read_data = memory[read_index], where read_index is a register of the parent and read_index_next
//   is the value it takes at the coming clock edge.
//
// Storage by depth: DEPTH 1 a register; below 256 LUTRAM, read
// asynchronously at read_index; from there on block RAM, read one cycle ahead at read_index_next.
// RAM_STYLE "distributed" or "block" overrides the choice ("block" needs DEPTH >= 4). LUTRAM rather than
// SRL: the parent keeps both indices anyway, and RAM32M16 stores 1.75 bits per LUT where SRLC32E
// stores one word position of one bit.
//
// In block RAM a word is readable two cycles after its write. The parent reads index i no earlier
// than DEPTH transfers after it wrote index i. Nothing is reset.

module hadamard_delay #(
    parameter int unsigned DEPTH = 4,
    parameter int unsigned WIDTH = 8,
    parameter string RAM_STYLE = "auto",
    localparam int unsigned INDEX_WIDTH = dhq_rtl_pkg::index_width(DEPTH)
) (
    input  logic                   clk,
    input  logic                   write,
    // The index inputs idle at DEPTH 1, and one of the read indices in every other style.
    // verilator lint_off UNUSEDSIGNAL
    input  logic [INDEX_WIDTH-1:0] write_index,
    input  logic [INDEX_WIDTH-1:0] read_index,
    input  logic [INDEX_WIDTH-1:0] read_index_next,
    // verilator lint_on UNUSEDSIGNAL
    input  logic [      WIDTH-1:0] write_data,
    output logic [      WIDTH-1:0] read_data
);

  if (RAM_STYLE != "auto" && RAM_STYLE != "distributed" && RAM_STYLE != "block") begin : g_check
    $fatal(1, "RAM_STYLE=%s must be auto, distributed or block", RAM_STYLE);
  end

  // LUTRAM costs 4.6 LUT per bit at 256 words (RAM64M8: 64 x 7 bits in 8 LUTs): 36 bits of 256 words
  // are worth one RAMB18.
  localparam int unsigned BLOCK_RAM_DEPTH = 256;
  localparam bit BLOCK = DEPTH >= 4 && (RAM_STYLE == "block"
                                        || (RAM_STYLE == "auto" && DEPTH >= BLOCK_RAM_DEPTH));

  if (DEPTH == 1) begin : g_register
    always_ff @(posedge clk) if (write) read_data <= write_data;
  end else if (!BLOCK) begin : g_distributed
    (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[DEPTH];
    always_ff @(posedge clk) if (write) memory[write_index] <= write_data;
    assign read_data = memory[read_index];
  end else begin : g_block
    (* ram_style = "block" *) logic [WIDTH-1:0] memory[DEPTH];
    always_ff @(posedge clk) begin
      if (write) memory[write_index] <= write_data;
      read_data <= memory[read_index_next];
    end
  end

endmodule
