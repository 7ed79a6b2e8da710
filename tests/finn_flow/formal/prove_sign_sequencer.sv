// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_sign_sequencer: the row of the step, counted from the last reset.

module prove_sign_sequencer #(
    parameter int unsigned LANES = 1,
    parameter int unsigned PERIOD = 2,
    parameter int unsigned WORDS = 4,
    parameter int unsigned BLOCKS = 3,
    parameter bit [BLOCKS*PERIOD*LANES-1:0] ROWS = '0
) (
    input logic clk,
    input logic rst_n,
    input logic step
);

  logic [LANES-1:0] bits;
  logic [dhq_rtl_pkg::index_width(WORDS)-1:0] word;
  logic [dhq_rtl_pkg::index_width(BLOCKS)-1:0] block;
  logic started;

  hadamard_sign_sequencer #(
      .LANES(LANES), .PERIOD(PERIOD), .WORDS(WORDS), .BLOCKS(BLOCKS), .ROWS(ROWS)
  ) dut (.*);

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    if (!rst_n) {word, block} <= '0;
    else if (step) begin
      word <= (word == $bits(word)'(WORDS - 1)) ? '0 : word + 1'b1;
      if (word == $bits(word)'(WORDS - 1))
        block <= (block == $bits(block)'(BLOCKS - 1)) ? '0 : block + 1'b1;
    end
  end

  always_comb begin
    automatic int row = 32'(block) * PERIOD + 32'(word) % PERIOD;
    if (!started) assume (!rst_n);
    if (started && rst_n) a_value : assert (bits == ROWS[row*LANES+:LANES]);
  end

endmodule
