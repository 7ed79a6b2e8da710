// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// stream_fork: every word goes to each output once.
//
// `has` are the outputs that got the word at the input. An output is offered it unless it has it
// (a_once), and the input moves on when all have it (a_all): so each output's words are those of
// the input, each once and in order. The source holds an offered word.

module prove_stream_fork #(
    parameter int unsigned OUTPUTS = 2,
    parameter int unsigned WIDTH = 2
) (
    input logic clk,
    input logic rst_n,
    input logic [WIDTH-1:0] s_data,
    input logic s_valid,
    input logic [OUTPUTS-1:0] m_ready
);

  logic s_ready;
  logic [WIDTH-1:0] m_data, last_in, last;
  logic [OUTPUTS-1:0] m_valid, has, offered;
  logic started, waits;

  stream_fork #(.OUTPUTS(OUTPUTS), .WIDTH(WIDTH)) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    {last_in, last} <= {s_data, m_data};
    if (!rst_n) {has, offered, waits} <= '0;
    else begin
      has <= (s_valid && s_ready) ? '0 : has | (m_valid & m_ready);
      offered <= m_valid & ~m_ready;
      waits <= s_valid && !s_ready;
    end
  end

  always_comb begin
    if (!started) assume (!rst_n);
    if (waits) assume (s_valid && s_data == last_in);
    if (started && rst_n) begin
      a_hold : assert ((offered & ~m_valid) == '0);
      a_stable : assert (offered == '0 || m_data == last);
      a_once : assert (m_valid == (~has & {OUTPUTS{s_valid}}));
      a_all : assert (!s_ready || !s_valid || &(has | (m_valid & m_ready)));
      a_ready : assert (s_ready || !(&m_ready));
      a_value : assert (m_valid == '0 || m_data == s_data);
    end
  end

endmodule
