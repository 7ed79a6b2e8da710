// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Weighted sum of two streams, lane by lane, exact: y = A_FACTOR·a + B_FACTOR·b.
//
//   a ──►[· A_FACTOR]──┐            the factors bring both to one scale; a power of two is wiring,
//                      ├─(+)─►[y]   others get a register each, then STAGES is 2
//   b ──►[· B_FACTOR]──┘
//
// s_axis_tdata = {b lanes, a lanes}, lane 0 lowest, all signed; s_axis_tvalid and _tready = {b, a}.
// The sum is taken modulo 2^OUT_WIDTH, so OUT_WIDTH must hold every sum that occurs.
// Latency STAGES cycles (1, or 2 with a factor that is no power of two), one word per cycle.
// m_axis_tvalid and m_axis_tdata are registers, and valid never waits for ready. A pair enters as one:
// s_axis_tready of one input = the pipeline moves and the other input is valid, combinational.
// Reset (rst_n, synchronous, active low) drops what is inside.

module stream_add #(
    parameter int unsigned PE = 1,
    parameter int unsigned A_WIDTH = 8,  // 1 to 64, as all widths
    parameter int unsigned B_WIDTH = 8,
    parameter int A_FACTOR = 1,  // not 0
    parameter int B_FACTOR = 1,
    parameter int unsigned OUT_WIDTH = 9
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

  function automatic bit is_wiring(input int factor);
    return dhq_rtl_pkg::is_power_of_two(unsigned'((factor < 0) ? -factor : factor));
  endfunction

  if (PE < 1 || A_WIDTH > 64 || B_WIDTH > 64 || OUT_WIDTH > 64 || A_WIDTH < 1 || B_WIDTH < 1
      || OUT_WIDTH < 1) begin : g_check_widths
    $fatal(1, "PE=%0d must be positive, A_WIDTH=%0d, B_WIDTH=%0d and OUT_WIDTH=%0d lie in 1 to 64",
           PE, A_WIDTH, B_WIDTH, OUT_WIDTH);
  end
  if (A_FACTOR == 0 || B_FACTOR == 0) begin : g_check_factors
    $fatal(1, "A_FACTOR=%0d and B_FACTOR=%0d must not be 0", A_FACTOR, B_FACTOR);
  end

  localparam int unsigned STAGES = (is_wiring(A_FACTOR) && is_wiring(B_FACTOR)) ? 1 : 2;

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
    logic signed [OUT_WIDTH-1:0] a, b, a_product, b_product;

    assign a = OUT_WIDTH'(signed'(s_axis_tdata[lane*A_WIDTH+:A_WIDTH]));
    assign b = OUT_WIDTH'(signed'(s_axis_tdata[PE*A_WIDTH+lane*B_WIDTH+:B_WIDTH]));

    if (STAGES == 2) begin : g_products
      always_ff @(posedge clk) begin
        if (enable[0]) begin
          a_product <= OUT_WIDTH'(a * OUT_WIDTH'(A_FACTOR));
          b_product <= OUT_WIDTH'(b * OUT_WIDTH'(B_FACTOR));
        end
      end
    end else begin : g_wires
      assign a_product = OUT_WIDTH'(a * OUT_WIDTH'(A_FACTOR));
      assign b_product = OUT_WIDTH'(b * OUT_WIDTH'(B_FACTOR));
    end

    always_ff @(posedge clk) begin
      if (enable[STAGES-1]) m_axis_tdata[lane*OUT_WIDTH+:OUT_WIDTH] <= a_product + b_product;
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
