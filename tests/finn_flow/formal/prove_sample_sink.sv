// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// sample_sink: clip((x·SCALES + BIASES) >>> SHIFT) by channel, one less at the least LATE codes.

module prove_sample_sink #(
    parameter int unsigned WORDS = 1,
    parameter int unsigned LANES = 1,
    parameter int unsigned IN_WIDTH = 3,
    parameter bit IN_SIGNED = 1,
    parameter int unsigned SCALE_WIDTH = 2,
    parameter int unsigned BIAS_WIDTH = 3,
    parameter bit [WORDS*LANES-1:0][SCALE_WIDTH-1:0] SCALES = '1,
    parameter bit [WORDS*LANES-1:0][BIAS_WIDTH-1:0] BIASES = '1,
    parameter int unsigned SHIFT = 1,
    parameter int unsigned OUT_WIDTH = 2,
    parameter bit OUT_SIGNED = 0,
    parameter bit NARROW = 0,
    parameter bit CORRECTED = 0,
    // Of late.mem.
    parameter bit [WORDS*LANES-1:0][2**OUT_WIDTH-1:0][1:0] LATE = '0,
    parameter int unsigned STAGES = 4
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [LANES*IN_WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int HIGH = (1 << (OUT_WIDTH - OUT_SIGNED)) - 1;
  localparam int LOW = !OUT_SIGNED ? 0 : -HIGH - (NARROW ? 0 : 1);

  logic s_ready, m_valid;
  logic [LANES-1:0][OUT_WIDTH-1:0] m_data, expected;
  logic [LANES-1:0][IN_WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(WORDS)-1:0] index;

  sample_sink #(
      .CHANNELS(WORDS * LANES), .LANES(LANES), .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED),
      .SCALE_WIDTH(SCALE_WIDTH), .BIAS_WIDTH(BIAS_WIDTH), .SCALES(SCALES), .BIASES(BIASES),
      .SHIFT(SHIFT), .OUT_WIDTH(OUT_WIDTH), .OUT_SIGNED(OUT_SIGNED), .NARROW(NARROW),
      .CORRECTED(CORRECTED)
  ) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  always_comb
    for (int lane = 0; lane < LANES; lane++) begin
      automatic int channel = 32'(index) * LANES + lane;
      automatic int code = IN_SIGNED ? 32'($signed(x[lane])) : 32'(x[lane]);
      automatic int scale = 32'($signed(SCALES[channel]));
      automatic int bias = 32'($signed(BIASES[channel]));
      automatic int y = (code * scale + bias) >>> SHIFT;
      automatic int late = 32'(LATE[channel][y & ((1 << OUT_WIDTH) - 1)]);
      automatic int earlier = ((code - late) * scale + bias) >>> SHIFT;
      if (y < LOW) y = LOW;
      else if (y > HIGH) y = HIGH;
      else if (CORRECTED && earlier < y) y--;
      expected[lane] = OUT_WIDTH'(y);
    end

  stream_checker #(
      .IN(LANES * IN_WIDTH), .OUT(LANES * OUT_WIDTH), .BLOCKS(WORDS), .CAPACITY(STAGES),
      .LATENCY(STAGES)
  ) check (.*, .block(x), .word());

endmodule
