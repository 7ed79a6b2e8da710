// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// lookup_affine, with its pipeline control: (x·M + B) mod 2^WIDTH.

module prove_lookup_affine #(
    parameter int unsigned IN_WIDTH = 3,
    parameter bit IN_SIGNED = 1,
    parameter bit HAS_SCALE = 1,
    parameter int unsigned SCALE_WIDTH = 3,
    parameter int unsigned SCALE_SHIFT = 0,
    parameter bit HAS_BIAS = 1,
    parameter int unsigned BIAS_WIDTH = 3,
    parameter int unsigned WIDTH = 6,
    localparam int unsigned STAGES = dhq_rtl_pkg::affine_stages(
        HAS_SCALE, HAS_BIAS, dhq_rtl_pkg::min_of(IN_WIDTH + (IN_SIGNED ? 0 : 1), WIDTH),
        dhq_rtl_pkg::min_of(SCALE_WIDTH, WIDTH)
    )
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [IN_WIDTH+SCALE_WIDTH+BIAS_WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  logic s_ready, m_valid;
  logic [STAGES-1:0] enable;
  logic [WIDTH-1:0] m_data;
  logic signed [SCALE_WIDTH-1:0] scale, m;
  logic signed [BIAS_WIDTH-1:0] bias, b;
  logic [IN_WIDTH-1:0] x;

  dhq_pipeline_control #(.STAGES(STAGES)) control (.*);

  // Constants come registered, in step with x.
  always_ff @(posedge clk)
    if (enable[0]) {scale, bias} <= s_data[SCALE_WIDTH+BIAS_WIDTH-1:0];

  lookup_affine #(
      .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED), .HAS_SCALE(HAS_SCALE), .SCALE_WIDTH(SCALE_WIDTH),
      .SCALE_SHIFT(SCALE_SHIFT), .HAS_BIAS(HAS_BIAS), .BIAS_WIDTH(BIAS_WIDTH), .WIDTH(WIDTH)
  ) dut (
      .clk, .enable, .data(s_data[SCALE_WIDTH+BIAS_WIDTH+:IN_WIDTH]), .scale, .bias,
      .result(m_data)
  );

  wire [31:0] wide_x = IN_SIGNED ? 32'($signed(x)) : 32'(x);
  wire [31:0] sum = wide_x * (HAS_SCALE ? 32'(m) : 1 << SCALE_SHIFT) + (HAS_BIAS ? 32'(b) : 0);

  stream_checker #(
      .IN($bits(s_data)), .OUT(WIDTH), .CAPACITY(STAGES), .LATENCY(STAGES)
  ) check (.*, .block({x, m, b}), .word(), .index(), .expected(WIDTH'(sum)));

endmodule
