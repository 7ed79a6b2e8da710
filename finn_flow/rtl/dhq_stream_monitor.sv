// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Handshake assertions for the output of a kernel; simulation only, no hardware.
//
// a_hold   an offered word stays offered until it is accepted.
// a_stable its payload does not change meanwhile.
// a_offer  valid never waits for ready: a kernel that holds at least HELD words, which is enough to
//          compute one more output, offers it within LATENCY cycles whatever m_ready does.
// a_count  no word comes out that was not put in.
//
// A kernel that turns S_WORDS words into M_WORDS holds that many of its outputs once all of them came.

module dhq_stream_monitor #(
    parameter int unsigned WIDTH   = 8,
    parameter int unsigned HELD    = 1,
    parameter int unsigned S_WORDS = 1,
    parameter int unsigned M_WORDS = 1,
    parameter int unsigned LATENCY = 1
) (
    input logic             clk,
    input logic             rst_n,
    input logic             s_valid,
    input logic             s_ready,
    input logic [WIDTH-1:0] m_data,
    input logic             m_valid,
    input logic             m_ready
);

  int unsigned held;    // words accepted (or made of such) and not yet delivered
  int unsigned came;    // of S_WORDS
  int unsigned waited;  // cycles for which an output was due and not offered

  logic armed;  // nothing is asserted before the first reset
  initial armed = 1'b0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      armed  <= 1'b1;
      held   <= 0;
      came   <= 0;
      waited <= 0;
    end else begin
      if (s_valid && s_ready) came <= (came == S_WORDS - 1) ? 0 : came + 1;
      held <= held + ((s_valid && s_ready && came == S_WORDS - 1) ? M_WORDS : 0)
              - ((m_valid && m_ready) ? 1 : 0);
      if (m_valid || held < HELD) waited <= 0;
      else waited <= waited + 1;
    end
  end

  a_hold :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) m_valid && !m_ready |=> m_valid)
  else $error("valid fell before ready");

  a_stable :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) m_valid && !m_ready |=> $stable(m_data))
  else $error("payload changed before ready");

  a_offer :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) waited < LATENCY)
  else $error("%0d words held and no output offered for %0d cycles", held, waited);

  a_count :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) !(m_valid && held == 0))
  else $error("an output was offered while no word was held");

endmodule
