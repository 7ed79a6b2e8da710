// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// An ideal serial line, 8N1: words as uart_transmitter.sv states them, as a table of its cycles.

module serial_line #(
    parameter int unsigned BYTES = 1,
    parameter int unsigned CYCLES = 4,
    localparam int unsigned FRAME = 10 * BYTES * CYCLES  // cycles of a word
) (
    input logic clk,
    input logic rst_n,
    input logic start,  // a word, if none is under way
    input logic [8*BYTES-1:0] word,
    output logic idle,
    output logic [$clog2(FRAME)-1:0] at,  // cycles of the word so far
    output logic line
);

  logic [8*BYTES-1:0] sent;
  logic [FRAME-1:0] levels;

  always_ff @(posedge clk) begin
    if (idle) sent <= word;
    if (!rst_n) {idle, at} <= {1'b1, {$bits(at) {1'b0}}};
    else if (idle) idle <= !start;
    else begin
      idle <= at == $bits(at)'(FRAME - 1);
      at <= (at == $bits(at)'(FRAME - 1)) ? '0 : at + 1'b1;
    end
  end

  always_comb
    for (int i = 0; i < BYTES; i++)
      for (int j = 0; j < 10; j++)
        levels[(10*i+j)*CYCLES+:CYCLES] =
            {CYCLES{(j == 0) ? 1'b0 : (j == 9) ? 1'b1 : sent[8*i+j-1]}};

  assign line = idle || levels[at];

endmodule
