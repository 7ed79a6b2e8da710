// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// s = round(a + b) in IEEE 754 binary32, to nearest, ties to even. Three cycles, one sum a cycle.
//
// Special values as in baseline_fp32_multiply: subnormal operands and results are 0, an exponent of
// 255 means infinity, and there are no NaNs (the sum of opposite infinities is the first of them).
// A sum that cancels exactly is +0, and so is -0 + -0.
//
// With DSP, two DSP48 slices align, add, normalize and round, in place of LUTs: the first one adds a
// product with a power of two, the second multiplies by one and adds half of the last bit. AMD's
// floating-point operator of "full usage" (PG060) has two, too. The results are the same.

module baseline_fp32_add #(
    parameter bit DSP = 0
) (
    input  logic        clk,
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] s
);

  // Cycle 1: the operand of larger magnitude first.
  logic swap;
  logic [31:0] major, minor;
  logic [7:0] distance;
  logic [26:0] major_fraction, minor_fraction;
  logic [7:0] exponent_1, exponent_2;
  logic sign_1, sign_2;

  assign swap = b[30:0] > a[30:0];
  assign major = swap ? b : a;
  assign minor = swap ? a : b;
  assign distance = major[30:23] - minor[30:23];
  assign major_fraction = major[30:23] == 0 ? '0 : {1'b1, major[22:0], 3'b0};
  assign minor_fraction = minor[30:23] == 0 ? '0 : {1'b1, minor[22:0], 3'b0};

  always_ff @(posedge clk) begin
    exponent_1 <= major[30:23];
    exponent_2 <= exponent_1;
    sign_1 <= major[31];
    sign_2 <= sign_1;
  end

  // After cycle 2: the sum, not negative, since the first operand is the larger. Bit 26 stands for
  // 2^(exponent - 127). Three bits below the fraction, the last one sticky, decide every rounding.
  logic [27:0] sum;
  // Cycle 3: leading one to the top, rounding.
  logic [4:0] zeros;
  logic [24:0] rounded;

  if (DSP) begin : g_dsp
    // minor / 2^distance = moved · 2^(16 - fine). From a distance of 17 on, 16 places are moved
    // beforehand; what leaves is below a quarter of the last bit and stays sticky.
    logic far;
    logic [4:0] fine;
    logic [26:0] moved;
    logic [17:0] power;
    logic [47:0] whole;

    assign far = distance > 16;
    assign fine = !far ? distance[4:0] : distance > 32 ? 5'd16 : 5'(distance - 8'd16);
    assign moved = far ? {17'b0, minor_fraction[26:18], |minor_fraction[17:0]}
                       : {1'b0, minor_fraction[26:1]};
    // Of the other sign: every bit from the same one on.
    always_comb
      for (int i = 0; i < 18; i++)
        power[i] = a[31] ^ b[31] ? i >= 16 - int'(fine) : i == 16 - int'(fine);
    baseline_multiply_add align (
        .clk,
        .a(moved),
        .b(power),
        .c({6'b0, major_fraction, 15'b0}),
        .p(whole)
    );
    assign sum = {whole[42:16], |whole[15:0]};

    // A fraction and two bits, the last one sticky; after cancellation they are exact.
    logic [25:0] window;
    logic [15:0] reversed, one;
    // verilator lint_off UNUSEDSIGNAL
    logic [47:0] nearest;
    // verilator lint_on UNUSEDSIGNAL
    logic [4:0] start;

    always_comb begin
      if (sum[27]) {start, window} = {5'd0, sum[27:3], |sum[2:0]};
      else if (sum[26]) {start, window} = {5'd1, sum[26:2], |sum[1:0]};
      else if (sum[25:10] != 0) {start, window} = {5'd2, sum[25:0]};
      else {start, window} = {5'd18, sum[9:0], 16'b0};
      // The leading one as a power of two, and which.
      for (int i = 0; i < 16; i++) reversed[i] = window[25-i];
      one   = reversed & -reversed;
      zeros = start;
      for (int i = 0; i < 16; i++) if (one[i]) zeros = start + 5'(i);
    end
    baseline_multiply_add #(
        .REGISTERS(0)
    ) normalize (
        .clk,
        .a({1'b0, window}),
        .b({2'b0, one}),
        .c(48'd2),
        .p(nearest)
    );
    // A tie, whose two bits have become 0, goes to the even neighbour.
    assign rounded = {nearest[26:3], nearest[2] && nearest[1:0] != 0};
  end else begin : g_lut
    logic [26:0] first, second;
    logic [52:0] shifted;
    logic subtract;

    assign shifted = {minor_fraction, 26'b0} >> (distance > 26 ? 5'd26 : distance[4:0]);
    always_ff @(posedge clk) begin
      first <= major_fraction;
      second <= {shifted[52:27], |shifted[26:0] || (distance > 26 && minor_fraction != 0)};
      subtract <= a[31] ^ b[31];
      sum <= subtract ? {1'b0, first} - {1'b0, second} : {1'b0, first} + {1'b0, second};
    end

    logic [27:0] normal;
    always_comb begin
      zeros = 5'd28;
      for (int i = 0; i < 28; i++) if (sum[i]) zeros = 5'(27 - i);
    end
    // A carry may drop a bit here: it stays sticky below.
    assign normal  = sum << zeros;
    assign rounded = {1'b0, normal[27:4]} + 25'(normal[3] && (|normal[2:0] || normal[4]));
  end

  logic signed [9:0] exponent;
  assign exponent = signed'({2'b0, exponent_2}) + 10'sd1 - signed'({5'b0, zeros}) + 10'(rounded[24]);

  always_ff @(posedge clk) begin
    if (&exponent_2) s <= {sign_2, 8'hff, 23'b0};
    else if (sum == 0 || exponent <= 0) s <= {sum != 0 && sign_2, 31'b0};
    else if (exponent >= 255) s <= {sign_2, 8'hff, 23'b0};
    else s <= {sign_2, exponent[7:0], rounded[24] ? 23'b0 : rounded[22:0]};
  end

endmodule
