// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// A stream register that breaks the handshake rules on purpose, and a monitor that must notice.

module faulty_stream #(
    parameter string FAULT = "none"
) (
    input  logic       clk,
    input  logic       rst_n,
    input  logic [7:0] s_axis_tdata,
    input  logic       s_axis_tvalid,
    output logic       s_axis_tready,
    output logic [7:0] m_axis_tdata,
    output logic       m_axis_tvalid,
    input  logic       m_axis_tready
);

  logic [7:0] data;
  logic valid, waited;

  dhq_stream_register register (
      .clk,
      .rst_n,
      .s_data (s_axis_tdata),
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_data (data),
      .m_valid(valid),
      .m_ready(m_axis_tready)
  );

  always_ff @(posedge clk) waited <= rst_n && valid && !m_axis_tready;

  assign m_axis_tdata = (FAULT == "stable" && waited) ? ~data : data;
  assign m_axis_tvalid = FAULT == "hold" ? valid && !waited
                       : FAULT == "offer" ? valid && m_axis_tready
                       : FAULT == "count" ? 1'b1
                       : valid;

  dhq_stream_monitor monitor (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );

endmodule
