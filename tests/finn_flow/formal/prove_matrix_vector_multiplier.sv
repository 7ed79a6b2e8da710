// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// matrix_vector_multiplier as logic: sum_in + d·b, d a number or a sign.

module prove_matrix_vector_multiplier #(
    parameter bit SIGNS = 0,
    parameter int unsigned WIDE = 3,
    parameter int unsigned NARROW = 3,
    parameter int unsigned SUM = 6,
    parameter bit FIRST = 0
) (
    input logic clk,
    input logic enable,
    input logic signed [WIDE-1:0] d,
    input logic signed [NARROW-1:0] b,
    input logic signed [SUM-1:0] sum_in
);

  localparam int unsigned BEFORE = SIGNS ? 1 : 2;  // enabled edges from d and b to the sum

  logic signed [SUM-1:0] sum_out, p, expected;
  logic [BEFORE:0][SUM-1:0] products;
  logic [BEFORE:0] known;
  logic loaded;

  matrix_vector_multiplier #(
      .SIGNS(SIGNS), .WIDE(WIDE), .NARROW(NARROW), .SUM(SUM), .FIRST(FIRST)
  ) dut (.*, .a('0));

  assign products[0] = SUM'(
      32'(b) * (SIGNS && WIDE == 1 ? (d[0] ? -1 : 1) : 32'(d)));
  assign known[0] = 1'b1;
  initial {known[BEFORE:1], loaded} = '0;
  always_ff @(posedge clk)
    if (enable) begin
      {products[BEFORE:1], known[BEFORE:1]} <= {products[BEFORE-1:0], known[BEFORE-1:0]};
      expected <= (FIRST ? '0 : sum_in) + products[BEFORE];
      loaded <= known[BEFORE];
    end

  always_comb begin
    if (SIGNS && WIDE == 2) assume (d != -2);
    if (loaded) begin
      a_value : assert (p == expected);
      a_cascade : assert (sum_out == p);
    end
  end

endmodule
