// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_lane_stage: x[i] ± s·x[i + DISTANCE], of each word by itself.

module prove_lane_stage #(
    parameter int unsigned SIMD = 2,
    parameter int unsigned DISTANCE = 1,
    parameter int unsigned WIDTH = 2,
    parameter int unsigned WORDS = 1,
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS*DISTANCE-1:0] SWAPS = '0,
    parameter bit SKID = 0
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [SIMD-1:0][WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  logic s_ready, m_valid;
  logic [SIMD-1:0][WIDTH:0] m_data, expected;
  logic [SIMD-1:0][WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(WORDS*BLOCKS)-1:0] index;

  hadamard_lane_stage #(
      .SIMD(SIMD), .DISTANCE(DISTANCE), .WIDTH(WIDTH), .WORDS(WORDS), .BLOCKS(BLOCKS),
      .SWAPS(SWAPS), .SKID(SKID)
  ) dut (.*);

  always_comb
    for (int i = 0; i < SIMD; i++) begin
      automatic int a = 32'($signed(x[i & ~DISTANCE])), b = 32'($signed(x[i|DISTANCE]));
      automatic bit minus = SWAPS[32'(index)/WORDS*DISTANCE+i%DISTANCE];
      expected[i] = (WIDTH + 1)'(((i & DISTANCE) == 0) == minus ? a - b : a + b);
    end

  stream_checker #(
      .IN(SIMD * WIDTH), .OUT(SIMD * (WIDTH + 1)), .BLOCKS(WORDS * BLOCKS), .CAPACITY(1 + SKID)
  ) check (.*, .block(x), .word());

endmodule
