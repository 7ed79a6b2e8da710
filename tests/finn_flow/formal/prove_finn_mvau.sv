// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// FINN's mvu_vvu_axi with SIMD = MW and PE = MH = 1, a result in every cycle: w·x for weights that
// always wait.

module prove_finn_mvau #(
    parameter int unsigned SIMD = 2,
    parameter int unsigned CAPACITY = 12,
    parameter bit [SIMD-1:0][1:0] W = '1  // all -1
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [SIMD-1:0][1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int unsigned OUT = 4 + $clog2(SIMD);

  logic s_ready, m_valid;
  logic [(OUT+7)/8*8-1:0] whole;
  logic [OUT-1:0] m_data, expected;
  logic [SIMD-1:0][1:0] x;

  mvu_vvu_axi #(
      .IS_MVU(1), .VERSION(2), .MW(SIMD), .MH(1), .PE(1), .SIMD(SIMD), .ACTIVATION_WIDTH(2),
      .WEIGHT_WIDTH(2), .ACCU_WIDTH(OUT), .SIGNED_ACTIVATIONS(1), .FORCE_BEHAVIORAL(1)
  ) dut (
      .ap_clk(clk), .ap_clk2x(clk), .ap_rst_n(rst_n),
      .s_axis_weights_tdata(W), .s_axis_weights_tvalid(1'b1), .s_axis_weights_tready(),
      .s_axis_input_tdata(s_data), .s_axis_input_tvalid(s_valid), .s_axis_input_tready(s_ready),
      .m_axis_output_tdata(whole), .m_axis_output_tvalid(m_valid), .m_axis_output_tready(m_ready)
  );
  assign m_data = whole[OUT-1:0];

  always_comb begin
    automatic int sum = 0;
    for (int i = 0; i < SIMD; i++) sum += 32'($signed(W[i])) * 32'($signed(x[i]));
    expected = OUT'(sum);
  end

  stream_checker #(
      .IN(2 * SIMD), .OUT(OUT), .CAPACITY(CAPACITY), .LATENCY(CAPACITY)
  ) check (.*, .block(x), .word(), .index());

endmodule
