// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Plays a constant table of sign bits in step with a stream.
//
//   bits = ROWS[block][word mod PERIOD],  word = 0 … WORDS-1, block = 0 … BLOCKS-1, both cyclic,
//
// and advances at every clock edge with `step`. `bits` is a register loaded one step ahead, so the
// table is off the handshake path. A table whose rows are all equal costs no hardware.
// Reset (synchronous, active low): word 0 of block 0.

module hadamard_sign_sequencer #(
    parameter int unsigned LANES  = 1,
    parameter int unsigned PERIOD = 1,  // words until the row repeats, a power of two ≤ WORDS
    parameter int unsigned WORDS  = 1,  // words per block
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS*PERIOD*LANES-1:0] ROWS = (BLOCKS*PERIOD*LANES)'(0)  // row (block·PERIOD + word), lane 0 in the LSB
) (
    // A constant table uses neither clock, reset nor step.
    // verilator lint_off UNUSEDSIGNAL
    input  logic             clk,
    input  logic             rst_n,
    input  logic             step,
    // verilator lint_on UNUSEDSIGNAL
    output logic [LANES-1:0] bits
);

  localparam int unsigned DEPTH = BLOCKS * PERIOD;

  // Above 8192 rows Verilator suspects a mistake.
  // verilator lint_off WIDTHCONCAT
  localparam bit CONSTANT = ROWS == {DEPTH{ROWS[LANES-1:0]}};
  // verilator lint_on WIDTHCONCAT

  if (CONSTANT) begin : g_constant
    assign bits = ROWS[LANES-1:0];
  end else begin : g_table
    localparam int unsigned WORD_WIDTH = dhq_rtl_pkg::index_width(WORDS);
    localparam int unsigned BLOCK_WIDTH = dhq_rtl_pkg::index_width(BLOCKS);
    localparam int unsigned ROW_WIDTH = dhq_rtl_pkg::index_width(DEPTH);

    // Position of the row that follows the one in `bits`.
    localparam bit [WORD_WIDTH-1:0] FIRST_WORD = WORD_WIDTH'((WORDS > 1) ? 1 : 0);
    localparam bit [BLOCK_WIDTH-1:0] FIRST_BLOCK = BLOCK_WIDTH'((WORDS == 1 && BLOCKS > 1) ? 1 : 0);
    logic [WORD_WIDTH-1:0] word;
    logic [BLOCK_WIDTH-1:0] block;
    logic [ROW_WIDTH-1:0] row;

    logic last_word;
    assign last_word = word == WORD_WIDTH'(WORDS - 1);
    assign row = ROW_WIDTH'(block * PERIOD) + ROW_WIDTH'(word & WORD_WIDTH'(PERIOD - 1));

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        word  <= FIRST_WORD;
        block <= FIRST_BLOCK;
        bits  <= ROWS[LANES-1:0];
      end else if (step) begin
        word <= last_word ? '0 : word + 1'b1;
        if (last_word) block <= (block == BLOCK_WIDTH'(BLOCKS - 1)) ? '0 : block + 1'b1;
        bits <= ROWS[row*LANES+:LANES];
      end
    end
  end

endmodule
