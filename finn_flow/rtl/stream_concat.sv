// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Vectors of several streams one behind the other: BEATS[0] words of input 0, BEATS[1] of input 1, …
// and from the start again.
//
//   s_axis 0 ──┐
//   s_axis 1 ──┼──► m_axis        source: the input whose turn it is; count: its words so far
//   …          ┘
//
// Latency 0, one word per cycle; a vector takes as many cycles as all inputs have words together.
// Valid never waits for ready. s_axis_tready[i] = m_axis_tready for the input whose turn it is, else
// 0: combinational, and independent of s_axis_tvalid. Reset (rst_n, synchronous, active low): the
// next word is the first one of input 0.

module stream_concat #(
    parameter int unsigned INPUTS = 2,
    parameter int unsigned WIDTH = 8,  // of a word, the same for all inputs
    parameter bit [INPUTS-1:0][15:0] BEATS = {INPUTS{16'd1}}  // words of a vector, input 0 lowest
) (
    input  logic                    clk,
    input  logic                    rst_n,
    input  logic [INPUTS*WIDTH-1:0] s_axis_tdata,
    input  logic [      INPUTS-1:0] s_axis_tvalid,
    output logic [      INPUTS-1:0] s_axis_tready,
    output logic [       WIDTH-1:0] m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready
);

  // The most words of an input; 0 if one has none.
  function automatic int unsigned most_beats();
    automatic int unsigned most = 0;
    for (int unsigned i = 0; i < INPUTS; i++) begin
      if (BEATS[i] == 0) return 0;
      if (32'(BEATS[i]) > most) most = 32'(BEATS[i]);
    end
    return most;
  endfunction

  localparam int unsigned COUNT_WIDTH = dhq_rtl_pkg::index_width(most_beats());

  if (INPUTS < 2 || most_beats() == 0) begin : g_check_inputs
    $fatal(1, "INPUTS=%0d must be at least 2, each with a word: BEATS=%0h", INPUTS, BEATS);
  end

  logic [INPUTS-1:0] source;  // one-hot
  logic [COUNT_WIDTH-1:0] count, last;

  always_comb begin
    m_axis_tdata = '0;
    last         = '0;
    for (int unsigned i = 0; i < INPUTS; i++) begin
      m_axis_tdata |= {WIDTH{source[i]}} & s_axis_tdata[i*WIDTH+:WIDTH];
      last         |= {COUNT_WIDTH{source[i]}} & COUNT_WIDTH'(BEATS[i] - 1'b1);
    end
  end

  assign m_axis_tvalid = |(source & s_axis_tvalid);
  assign s_axis_tready = source & {INPUTS{m_axis_tready}};

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      source <= INPUTS'(1);
      count  <= '0;
    end else if (m_axis_tvalid && m_axis_tready) begin
      count <= (count == last) ? '0 : count + 1'b1;
      if (count == last) source <= {source[INPUTS-2:0], source[INPUTS-1]};
    end
  end

endmodule
