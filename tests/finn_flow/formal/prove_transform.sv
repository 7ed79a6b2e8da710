// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_transform: y = clip(round_half_even(H·D·x / 2^SHIFT)), row by row.

module prove_transform #(
    parameter int unsigned N = 4,
    parameter int unsigned SIMD = 1,
    parameter int unsigned IN_WIDTH = 2,
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS*N-1:0] SIGNS = '0,
    parameter int unsigned SHIFT = 0,
    parameter int unsigned OUT_WIDTH = IN_WIDTH + $clog2(N),
    parameter bit NARROW = 0,
    parameter int unsigned CAPACITY = 1,
    parameter int unsigned LATENCY = 1
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [SIMD*IN_WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int unsigned WORDS = N / SIMD;

  logic s_ready, m_valid;
  logic [SIMD*OUT_WIDTH-1:0] m_data;
  logic [SIMD-1:0][OUT_WIDTH-1:0] expected;
  logic [N-1:0][IN_WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(WORDS)-1:0] word;
  logic [dhq_rtl_pkg::index_width(BLOCKS)-1:0] index;

  hadamard_transform #(
      .N(N), .SIMD(SIMD), .IN_WIDTH(IN_WIDTH), .CHANNELS(BLOCKS * N), .SIGNS(SIGNS), .SHIFT(SHIFT),
      .OUT_WIDTH(OUT_WIDTH), .NARROW(NARROW)
  ) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  always_comb
    for (int lane = 0; lane < SIMD; lane++) begin
      automatic int h = 0;
      for (int c = 0; c < N; c++)
        if ($countones((32'(word) * SIMD + lane) & c) % 2 == 32'(SIGNS[32'(index)*N+c]))
          h += 32'($signed(x[c]));
        else h -= 32'($signed(x[c]));
      expected[lane] = OUT_WIDTH'(transform_spec::requantize(h, SHIFT, OUT_WIDTH, NARROW));
    end

  stream_checker #(
      .IN(SIMD * IN_WIDTH), .OUT(SIMD * OUT_WIDTH), .WORDS(WORDS), .BLOCKS(BLOCKS),
      .CAPACITY(CAPACITY), .HELD(WORDS), .LATENCY(LATENCY)
  ) check (.*, .block(x));

endmodule
