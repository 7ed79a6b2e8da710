// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// stream_concat: word `at` of a vector is the next one of the input whose part it is in.
//
// Each output word is the word at one input, which moves on with it and no other input does: so the
// output has every input's words, each once and in order. Sources hold offered words.

module prove_stream_concat #(
    parameter int unsigned INPUTS = 2,
    parameter int unsigned WIDTH = 1,
    parameter bit [INPUTS-1:0][15:0] BEATS = {16'd3, 16'd2}
) (
    input logic clk,
    input logic rst_n,
    input logic [INPUTS-1:0][WIDTH-1:0] s_data,
    input logic [INPUTS-1:0] s_valid,
    input logic m_ready
);

  function automatic int unsigned words();
    automatic int unsigned sum = 0;
    for (int i = 0; i < INPUTS; i++) sum += 32'(BEATS[i]);
    return sum;
  endfunction

  logic [INPUTS-1:0] s_ready, waits;
  logic [INPUTS-1:0][WIDTH-1:0] last_in;
  logic [WIDTH-1:0] m_data, last;
  logic [$clog2(words())-1:0] at;
  logic m_valid, started, offered;

  stream_concat #(.INPUTS(INPUTS), .WIDTH(WIDTH), .BEATS(BEATS)) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    {last_in, last} <= {s_data, m_data};
    waits <= {INPUTS{rst_n}} & s_valid & ~s_ready;
    offered <= rst_n && m_valid && !m_ready;
    if (!rst_n) at <= '0;
    else if (m_valid && m_ready) at <= (32'(at) == words() - 1) ? '0 : at + 1'b1;
  end

  always_comb begin
    automatic int unsigned from = 0, first = 0;
    for (int unsigned i = 0; i < INPUTS; i++) begin
      if (32'(at) >= first) from = i;
      first += 32'(BEATS[i]);
    end
    if (!started) assume (!rst_n);
    for (int i = 0; i < INPUTS; i++)
      if (waits[i]) assume (s_valid[i] && s_data[i] == last_in[i]);
    if (started && rst_n) begin
      a_hold : assert (!offered || m_valid);
      a_stable : assert (!offered || m_data == last);
      a_offer : assert (m_valid == s_valid[from]);
      a_ready : assert (s_ready == INPUTS'(m_ready) << from);
      a_value : assert (!m_valid || m_data == s_data[from]);
    end
  end

endmodule
