// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// s = round(a + b) in IEEE 754 binary32, to nearest, ties to even. Three cycles, one sum a cycle.
//
// Special values as in baseline_fp32_multiply: subnormal operands and results are 0, an exponent of
// 255 means infinity, and there are no NaNs (the sum of opposite infinities is the first of them).
// A sum that cancels exactly is +0, and so is -0 + -0.

module baseline_fp32_add (
    input  logic        clk,
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] s
);

  // Cycle 1: the operand of larger magnitude first; the other moved to its place. Three bits below
  // the fraction, the last of them sticky, decide every rounding.
  logic swap;
  logic [31:0] major, minor;
  logic [7:0] distance;
  logic [26:0] major_fraction, minor_fraction, moved;
  logic [52:0] shifted;

  assign swap = b[30:0] > a[30:0];
  assign major = swap ? b : a;
  assign minor = swap ? a : b;
  assign distance = major[30:23] - minor[30:23];
  assign major_fraction = major[30:23] == 0 ? '0 : {1'b1, major[22:0], 3'b0};
  assign minor_fraction = minor[30:23] == 0 ? '0 : {1'b1, minor[22:0], 3'b0};
  assign shifted = {minor_fraction, 26'b0} >> (distance > 26 ? 5'd26 : distance[4:0]);
  assign moved = {shifted[52:27], |shifted[26:0] || (distance > 26 && minor_fraction != 0)};

  logic [26:0] first, second;
  logic [7:0] exponent_1, exponent_2;
  logic sign_1, sign_2, subtract;

  always_ff @(posedge clk) begin
    first <= major_fraction;
    second <= moved;
    exponent_1 <= major[30:23];
    sign_1 <= major[31];
    subtract <= a[31] ^ b[31];
  end

  // Cycle 2: the sum; not negative, since the first is the larger.
  logic [27:0] sum;

  always_ff @(posedge clk) begin
    sum <= subtract ? {1'b0, first} - {1'b0, second} : {1'b0, first} + {1'b0, second};
    exponent_2 <= exponent_1;
    sign_2 <= sign_1;
  end

  // Cycle 3: leading one to the top, rounding. Bit 26 stands for 2^(exponent - 127).
  logic [4:0] zeros;
  logic [27:0] normal;
  logic [24:0] rounded;
  logic signed [9:0] exponent;

  always_comb begin
    zeros = 5'd28;
    for (int i = 0; i < 28; i++) if (sum[i]) zeros = 5'(27 - i);
  end
  // A carry may drop a bit here: it stays sticky below.
  assign normal = sum << zeros;
  assign rounded = {1'b0, normal[27:4]} + 25'(normal[3] && (|normal[2:0] || normal[4]));
  assign exponent = signed'({2'b0, exponent_2}) + 10'sd1 - signed'({5'b0, zeros}) + 10'(rounded[24]);

  always_ff @(posedge clk) begin
    if (&exponent_2) s <= {sign_2, 8'hff, 23'b0};
    else if (sum == 0 || exponent <= 0) s <= {sum != 0 && sign_2, 31'b0};
    else if (exponent >= 255) s <= {sign_2, 8'hff, 23'b0};
    else s <= {sign_2, exponent[7:0], rounded[24] ? 23'b0 : rounded[22:0]};
  end

endmodule
