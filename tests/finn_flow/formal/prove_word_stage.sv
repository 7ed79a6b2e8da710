// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_word_stage: x[i] ± s·x[i + DEPTH] over the words of each group of 2·DEPTH.

module prove_word_stage #(
    parameter int unsigned SIMD = 1,
    parameter int unsigned DEPTH = 1,
    parameter int unsigned WIDTH = 2,
    parameter int unsigned WORDS = 2 * DEPTH,
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS*DEPTH*SIMD-1:0] SWAPS = '0,
    parameter bit SKID = 0,
    parameter bit BLOCK_RAM = 0
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [SIMD-1:0][WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int unsigned GROUPS = WORDS / (2 * DEPTH);

  logic s_ready, m_valid;
  logic [SIMD-1:0][WIDTH:0] m_data, expected;
  logic [2*DEPTH-1:0][SIMD-1:0][WIDTH-1:0] x;
  logic [$clog2(2*DEPTH)-1:0] word;
  logic [dhq_rtl_pkg::index_width(GROUPS*BLOCKS)-1:0] index;

  hadamard_word_stage #(
      .SIMD(SIMD), .DEPTH(DEPTH), .WIDTH(WIDTH), .WORDS(WORDS), .BLOCKS(BLOCKS), .SWAPS(SWAPS),
      .SKID(SKID), .RAM_STYLE(BLOCK_RAM ? "block" : "auto")
  ) dut (.*);

  always_comb
    for (int lane = 0; lane < SIMD; lane++) begin
      automatic int i = 32'(word) % DEPTH;
      automatic int a = 32'($signed(x[i][lane])), b = 32'($signed(x[DEPTH+i][lane]));
      automatic bit minus = SWAPS[(32'(index)/GROUPS*DEPTH+i)*SIMD+lane];
      expected[lane] = (WIDTH + 1)'((32'(word) < DEPTH) == minus ? a - b : a + b);
    end

  stream_checker #(
      .IN(SIMD * WIDTH), .OUT(SIMD * (WIDTH + 1)), .WORDS(2 * DEPTH), .BLOCKS(GROUPS * BLOCKS),
      .CAPACITY(2 * DEPTH + 1 + SKID), .HELD(DEPTH + 1)
  ) check (.*, .block(x));

endmodule
