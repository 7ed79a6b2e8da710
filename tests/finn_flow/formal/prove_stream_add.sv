// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// stream_add: A_FACTOR·a + B_FACTOR·b modulo 2^OUT_WIDTH; a pair enters as one.

module prove_stream_add #(
    parameter int unsigned PE = 1,
    parameter int unsigned A_WIDTH = 3,
    parameter int unsigned B_WIDTH = 2,
    parameter int A_FACTOR = 1,
    parameter int B_FACTOR = 1,
    parameter int unsigned OUT_WIDTH = 4,
    parameter int unsigned STAGES = 1
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [PE*(A_WIDTH+B_WIDTH)-1:0] s_data,
    input logic [1:0] valid,
    input logic m_ready
);

  logic s_valid, s_ready, m_valid;
  logic [1:0] ready;
  logic [PE-1:0][OUT_WIDTH-1:0] m_data, expected;
  logic [PE-1:0][A_WIDTH-1:0] a;
  logic [PE-1:0][B_WIDTH-1:0] b;

  stream_add #(
      .PE(PE), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .A_FACTOR(A_FACTOR), .B_FACTOR(B_FACTOR),
      .OUT_WIDTH(OUT_WIDTH)
  ) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(valid), .s_axis_tready(ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );
  assign s_valid = &valid;
  assign s_ready = &ready || !s_valid;
  always_comb a_pair : assert ((valid[0] && ready[0]) == (valid[1] && ready[1]));

  always_comb
    for (int lane = 0; lane < PE; lane++)
      expected[lane] = OUT_WIDTH'(
          A_FACTOR * 32'($signed(a[lane])) + B_FACTOR * 32'($signed(b[lane])));

  stream_checker #(
      .IN(PE * (A_WIDTH + B_WIDTH)), .OUT(PE * OUT_WIDTH), .CAPACITY(STAGES), .LATENCY(STAGES)
  ) check (.*, .block({b, a}), .word(), .index());

endmodule
