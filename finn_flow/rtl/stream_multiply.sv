// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Product of two streams, lane by lane, exact: y = a·b.
//
//   a ──►[a]──┐
//             ├─(·)─►[a·b]──►[y]    the three registers of a DSP slice
//   b ──►[b]──┘
//
// s_axis_tdata = {b lanes, a lanes}, lane 0 lowest, all signed; s_axis_tvalid and _tready = {b, a}.
// OUT_WIDTH must hold every product that occurs; A_WIDTH + B_WIDTH always does.
// Latency 3 cycles, one word per cycle. m_axis_tvalid and m_axis_tdata are registers, and valid never
// waits for ready. A pair enters as one: s_axis_tready of one input = the pipeline moves and the
// other input is valid, combinational. Reset (rst_n, synchronous, active low) drops what is inside.

module stream_multiply #(
    parameter int unsigned PE = 1,
    parameter int unsigned A_WIDTH = 8,  // 1 to 32
    parameter int unsigned B_WIDTH = 8,
    parameter int unsigned OUT_WIDTH = A_WIDTH + B_WIDTH  // 1 to A_WIDTH + B_WIDTH
) (
    input  logic                            clk,
    input  logic                            rst_n,
    input  logic [PE*(A_WIDTH+B_WIDTH)-1:0] s_axis_tdata,
    input  logic [                     1:0] s_axis_tvalid,
    output logic [                     1:0] s_axis_tready,
    output logic [        PE*OUT_WIDTH-1:0] m_axis_tdata,
    output logic                            m_axis_tvalid,
    input  logic                            m_axis_tready
);

  if (PE < 1 || A_WIDTH < 1 || A_WIDTH > 32 || B_WIDTH < 1 || B_WIDTH > 32) begin : g_check_widths
    $fatal(1, "PE=%0d must be positive, A_WIDTH=%0d and B_WIDTH=%0d lie in 1 to 32", PE, A_WIDTH,
           B_WIDTH);
  end
  if (OUT_WIDTH < 1 || OUT_WIDTH > A_WIDTH + B_WIDTH) begin : g_check_out_width
    $fatal(1, "OUT_WIDTH=%0d must lie in 1 to A_WIDTH + B_WIDTH=%0d", OUT_WIDTH,
           A_WIDTH + B_WIDTH);
  end

  localparam int unsigned STAGES = 3;

  logic [STAGES-1:0] enable;
  logic move;

  dhq_pipeline_control #(
      .STAGES(STAGES)
  ) control (
      .clk,
      .rst_n,
      .s_valid(&s_axis_tvalid),
      .s_ready(move),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .enable
  );
  assign s_axis_tready = {move && s_axis_tvalid[0], move && s_axis_tvalid[1]};

  for (genvar lane = 0; lane < PE; lane++) begin : g_lane
    logic signed [A_WIDTH-1:0] a;
    logic signed [B_WIDTH-1:0] b;
    logic signed [OUT_WIDTH-1:0] product;

    always_ff @(posedge clk) begin
      if (enable[0]) begin
        a <= s_axis_tdata[lane*A_WIDTH+:A_WIDTH];
        b <= s_axis_tdata[PE*A_WIDTH+lane*B_WIDTH+:B_WIDTH];
      end
      if (enable[1]) product <= OUT_WIDTH'((A_WIDTH + B_WIDTH)'(a) * (A_WIDTH + B_WIDTH)'(b));
      if (enable[2]) m_axis_tdata[lane*OUT_WIDTH+:OUT_WIDTH] <= product;
    end
  end

`ifndef SYNTHESIS
  dhq_stream_monitor #(
      .WIDTH(PE * OUT_WIDTH),
      .LATENCY(STAGES)
  ) monitor (
      .clk,
      .rst_n,
      .s_valid(&s_axis_tvalid),
      .s_ready(move),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
`endif

endmodule
