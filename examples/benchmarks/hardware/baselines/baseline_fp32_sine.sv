// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// y = sin(2·pi·t) in IEEE 754 binary32, by a quarter wave of 1024 entries with linear interpolation.
//
//   phase = t mod 1 in 24 bits (towards 0), r = its lower 22 bits, mirrored (all bits inverted) in
//   quadrants 1 and 3;  |y| · 2^24 = base[i] + (slope[i] · f) / 2^12 (floor), i = r / 2^12, f the rest
//   base[i] = round(2^24 · sin(pi/2 · i/1024)), slope[i] = base[i+1] - base[i]
//
// The table errs by at most (pi/2/1024)^2 / 8 = 3e-7, five units of 2^-24; the phase by two of 2^-24 turns. TABLE_FILE has a line for
// each i: slope in 16 bits, base in 25 bits, as one hexadecimal number. Six cycles, one value a cycle.
// |t| >= 2^22 counts as whole turns (a float32 of that size hardly has anything else).

module baseline_fp32_sine #(
    parameter string TABLE_FILE = "sine.mem"
) (
    input  logic        clk,
    input  logic [31:0] t,
    output logic [31:0] y
);

  (* rom_style = "block" *) logic [40:0] table_memory[1024];
  initial $readmemh(TABLE_FILE, table_memory);

  // Cycle 1: |t| · 2^24 modulo 2^24.
  logic [8:0] left, right;
  logic [23:0] magnitude, fixed;
  logic sign_1;

  assign magnitude = {1'b1, t[22:0]};
  assign left = {1'b0, t[30:23]} - 9'd126;
  assign right = 9'd126 - {1'b0, t[30:23]};
  always_ff @(posedge clk) begin
    if (t[30:23] == 0) fixed <= '0;
    else if (t[30:23] >= 126) fixed <= left >= 24 ? '0 : magnitude << left[4:0];
    else fixed <= right >= 24 ? '0 : magnitude >> right[4:0];
    sign_1 <= t[31];
  end

  // Cycle 2: the phase of -t is minus that of t; mirror the odd quadrants.
  logic [23:0] phase;
  logic [21:0] position;
  logic sign_2;

  assign phase = sign_1 ? -fixed : fixed;
  always_ff @(posedge clk) begin
    position <= phase[22] ? ~phase[21:0] : phase[21:0];
    sign_2 <= phase[23];
  end

  // Cycle 3: table.
  logic [40:0] entry;
  logic [11:0] rest;
  logic sign_3;

  always_ff @(posedge clk) begin
    entry <= table_memory[position[21:12]];
    rest <= position[11:0];
    sign_3 <= sign_2;
  end

  // Cycles 4 and 5: interpolation.
  logic [27:0] product;
  logic [24:0] base, value;
  logic sign_4, sign_5;

  always_ff @(posedge clk) begin
    product <= entry[40:25] * rest;
    base <= entry[24:0];
    sign_4 <= sign_3;
    value <= base + 25'(product[27:12]);
    sign_5 <= sign_4;
  end

  // Cycle 6: to floating point, exactly: only 2^24 itself has 25 bits.
  logic [4:0] zeros;
  logic [24:0] normal;

  always_comb begin
    zeros = 5'd25;
    for (int i = 0; i < 25; i++) if (value[i]) zeros = 5'(24 - i);
  end
  assign normal = value << zeros;
  always_ff @(posedge clk) y <= value == 0 ? '0 : {sign_5, 8'(127 - zeros), normal[23:1]};

endmodule
