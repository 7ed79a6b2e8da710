// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// p = round(a · b) in IEEE 754 binary32, to nearest, ties to even. Two cycles, one product a cycle.
//
// Special values: subnormal numbers count as 0, and a result below 2^-126 after rounding is 0 (of
// the sign of the product). An exponent of 255 means infinity, whatever the fraction: a result that
// is too large, or of such an operand, is infinity. There are no NaNs; 0 · infinity is 0.

module baseline_fp32_multiply (
    input  logic        clk,
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] p
);

  // Cycle 1: product of the fractions, sum of the exponents.
  logic [47:0] product;
  logic signed [9:0] exponent;
  logic sign, zero, infinite;

  always_ff @(posedge clk) begin
    product <= {1'b1, a[22:0]} * {1'b1, b[22:0]};
    exponent <= signed'({2'b0, a[30:23]}) + signed'({2'b0, b[30:23]}) - 10'sd127;
    sign <= a[31] ^ b[31];
    zero <= a[30:23] == 0 || b[30:23] == 0;
    infinite <= &a[30:23] || &b[30:23];
  end

  // Cycle 2: 1 <= product / 2^46 < 4, so it moves by at most one place; then rounding.
  logic high;
  logic [23:0] kept;
  logic guard, sticky;
  logic [24:0] rounded;
  logic signed [9:0] final_exponent;

  assign high = product[47];
  assign kept = high ? product[47:24] : product[46:23];
  assign guard = high ? product[23] : product[22];
  assign sticky = high ? |product[22:0] : |product[21:0];
  assign rounded = {1'b0, kept} + 25'(guard && (sticky || kept[0]));
  assign final_exponent = exponent + 10'(high) + 10'(rounded[24]);

  always_ff @(posedge clk) begin
    p[31] <= sign;
    if (zero || (final_exponent <= 0 && !infinite)) p[30:0] <= '0;
    else if (infinite || final_exponent >= 255) p[30:0] <= {8'hff, 23'b0};
    else p[30:0] <= {final_exponent[7:0], rounded[24] ? 23'b0 : rounded[22:0]};
  end

endmodule
