// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// matrix_vector_memory: the line that was asked for at the last enabled edge.

module prove_matrix_vector_memory #(
    parameter bit BLOCK = 1,
    parameter bit [2:0][3:0] LINES = '0  // of weights.mem
) (
    input logic clk,
    input logic enable,
    input logic [1:0] line
);

  logic [3:0] data, asked;
  logic loaded;

  matrix_vector_memory #(
      .LINES(3), .WIDTH(4), .STYLE(BLOCK ? "block" : "distributed")
  ) dut (.*);

  initial loaded = 1'b0;
  always_ff @(posedge clk) if (enable) {loaded, asked} <= {1'b1, LINES[line]};

  always_comb begin
    assume (line < 3);
    if (loaded) a_value : assert (data == asked);
  end

endmodule
