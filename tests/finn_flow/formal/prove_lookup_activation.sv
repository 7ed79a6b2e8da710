// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// lookup_activation: table[index((x·M + B) >>> SHIFT)], constants by channel.

module prove_lookup_activation #(
    parameter int unsigned FOLDS = 1,
    parameter int unsigned PE = 1,
    parameter int unsigned IN_WIDTH = 3,
    parameter bit HAS_SCALE = 0,
    parameter int unsigned SCALE_WIDTH = 2,
    parameter bit HAS_BIAS = 0,
    parameter int unsigned BIAS_WIDTH = 2,
    parameter int unsigned SHIFT = 0,
    parameter bit WRAP = 1,
    parameter int OFFSET = 0,
    parameter int unsigned TABLE_BITS = 2,
    parameter int unsigned FOLD = 0,
    parameter int unsigned OUT_WIDTH = 3,
    parameter bit [2**TABLE_BITS-1:0][OUT_WIDTH-1:0] TABLE = '0,  // whole; table.mem has the stored part
    parameter bit [FOLDS-1:0][PE-1:0][SCALE_WIDTH-1:0] SCALES = '0,  // of scale.mem
    parameter bit [FOLDS-1:0][PE-1:0][BIAS_WIDTH-1:0] BIASES = '0,  // of bias.mem
    parameter bit DIRECT = 0,
    parameter int unsigned STAGES = 4
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [PE*IN_WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int N = 1 << TABLE_BITS;

  logic s_ready, m_valid;
  logic [PE*OUT_WIDTH-1:0] m_data;
  logic [PE-1:0][OUT_WIDTH-1:0] expected;
  logic [PE-1:0][IN_WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(FOLDS)-1:0] index;

  lookup_activation #(
      .CHANNELS(FOLDS * PE), .PE(PE), .IN_WIDTH(IN_WIDTH), .HAS_SCALE(HAS_SCALE),
      .SCALE_WIDTH(SCALE_WIDTH), .SCALE_PER_CHANNEL(1), .HAS_BIAS(HAS_BIAS),
      .BIAS_WIDTH(BIAS_WIDTH), .BIAS_PER_CHANNEL(1), .SHIFT(SHIFT), .WRAP(WRAP), .OFFSET(OFFSET),
      .TABLE_BITS(TABLE_BITS), .FOLD(FOLD), .OUT_WIDTH(OUT_WIDTH),
      .DIRECT(DIRECT), .SCALES(SCALES[0]), .BIASES(BIASES[0])
  ) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  always_comb
    for (int lane = 0; lane < PE; lane++) begin
      automatic int m = HAS_SCALE ? 32'($signed(SCALES[index][lane])) : 1;
      automatic int b = HAS_BIAS ? 32'($signed(BIASES[index][lane])) : 0;
      automatic int v = (32'($signed(x[lane])) * m + b) >>> SHIFT;
      automatic int i = WRAP ? v & (N - 1) : v - OFFSET;
      expected[lane] = TABLE[(i < 0) ? 0 : (i >= N) ? N - 1 : i];
    end

  stream_checker #(
      .IN(PE * IN_WIDTH), .OUT(PE * OUT_WIDTH), .BLOCKS(FOLDS), .CAPACITY(STAGES), .LATENCY(STAGES)
  ) check (.*, .block(x), .word());

endmodule
