// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One stream to several readers: every word goes to each output once.
//
//            ┌──► m_axis 0        m_axis_tvalid[i] = s_axis_tvalid, until output i has the word
//   s_axis ──┼──► m_axis 1        s_axis_tready    = every output has it or takes it now
//            └──► …
//
// Outputs need not take a word in the same cycle, but none gets the next one before all have this
// one: what lets a reader run ahead is the FIFO behind its output.
// Latency 0, one word per cycle. m_axis_tdata is the word at the input, the same for all outputs.
// Valid never waits for ready; s_axis_tready depends on m_axis_tready combinationally, and not on
// s_axis_tvalid. Reset (rst_n, synchronous, active low): no output has the word.

module stream_fork #(
    parameter int unsigned OUTPUTS = 2,
    parameter int unsigned WIDTH   = 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [  WIDTH-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [  WIDTH-1:0] m_axis_tdata,
    output logic [OUTPUTS-1:0] m_axis_tvalid,
    input  logic [OUTPUTS-1:0] m_axis_tready
);

  if (OUTPUTS < 2) begin : g_check_outputs
    $fatal(1, "OUTPUTS=%0d must be at least 2", OUTPUTS);
  end

  logic [OUTPUTS-1:0] taken;  // outputs that have the word at the input

  assign m_axis_tdata  = s_axis_tdata;
  assign m_axis_tvalid = ~taken & {OUTPUTS{s_axis_tvalid}};
  assign s_axis_tready = &(taken | m_axis_tready);

  always_ff @(posedge clk) begin
    if (!rst_n) taken <= '0;
    else if (s_axis_tvalid) taken <= s_axis_tready ? '0 : taken | m_axis_tready;
  end

endmodule
