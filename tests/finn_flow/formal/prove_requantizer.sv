// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_requantizer: clip(round_half_even(±h / 2^SHIFT)).

module prove_requantizer #(
    parameter int unsigned SIMD = 1,
    parameter int unsigned WIDTH = 5,
    parameter int unsigned WORDS = 1,
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS-1:0] NEGATE = '0,
    parameter int unsigned SHIFT = 0,
    parameter int unsigned OUT_WIDTH = 5,
    parameter bit NARROW = 0
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [SIMD-1:0][WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int unsigned STEPS =
      dhq_rtl_pkg::requantizer_latency(WIDTH, NEGATE != '0, SHIFT, OUT_WIDTH, NARROW);

  logic s_ready, m_valid;
  logic [SIMD-1:0][OUT_WIDTH-1:0] m_data, expected;
  logic [SIMD-1:0][WIDTH-1:0] h;
  logic [dhq_rtl_pkg::index_width(WORDS*BLOCKS)-1:0] index;

  hadamard_requantizer #(
      .SIMD(SIMD), .WIDTH(WIDTH), .WORDS(WORDS), .BLOCKS(BLOCKS), .NEGATE(NEGATE), .SHIFT(SHIFT),
      .OUT_WIDTH(OUT_WIDTH), .NARROW(NARROW)
  ) dut (.*);

  always_comb
    for (int lane = 0; lane < SIMD; lane++)
      expected[lane] = OUT_WIDTH'(transform_spec::requantize(
          NEGATE[32'(index)/WORDS] ? -32'($signed(h[lane])) : 32'($signed(h[lane])),
          SHIFT, OUT_WIDTH, NARROW
      ));

  // -h of the lowest h does not fit; the parent gives a width in which it does not come.
  always_comb
    for (int lane = 0; lane < SIMD; lane++)
      if (NEGATE != '0) assume (s_data[lane] != {1'b1, {(WIDTH - 1) {1'b0}}});

  stream_checker #(
      .IN(SIMD * WIDTH), .OUT(SIMD * OUT_WIDTH), .BLOCKS(WORDS * BLOCKS), .CAPACITY(STEPS),
      .LATENCY(STEPS)
  ) check (.*, .block(h), .word());

endmodule
