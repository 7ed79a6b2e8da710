// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Properties of a kernel between two streams, for any source, any sink and resets at any time.
//
//   a_hold     an offered word stays offered until it is accepted
//   a_stable   its payload does not change meanwhile
//   a_count    nothing is offered while no word is held
//   a_capacity no more than CAPACITY words are held: the kernel takes no word without room for it
//   a_offer    whoever holds HELD words, enough for one more output, offers it within LATENCY
//              cycles whatever the sink does: valid never waits for ready, and nothing gets stuck
//   a_ready    with FULL_RATE: until the sink is slow, the kernel takes a word in every cycle
//   a_value    the outputs of one block of WORDS words are what `expected` says of its inputs; they
//              are as many, or OUT_WORDS, the first of which needs the whole block
//
// a_value watches one block, chosen by the free input `pick`: as it may be any, all are right, each
// once and in order. `block` holds its words, `word` is the output that is due, and `index` the
// number of the block modulo BLOCKS, with which the specification repeats.

module stream_checker #(
    parameter int unsigned IN = 1,
    parameter int unsigned OUT = 1,
    parameter int unsigned WORDS = 1,
    parameter int unsigned OUT_WORDS = WORDS,
    parameter int unsigned BLOCKS = 1,
    parameter int unsigned CAPACITY = 1,
    parameter int unsigned HELD = 1,
    parameter int unsigned LATENCY = 1,
    parameter bit FULL_RATE = 1,
    localparam int unsigned IN_WORD_WIDTH = dhq_rtl_pkg::index_width(WORDS),
    localparam int unsigned WORD_WIDTH = dhq_rtl_pkg::index_width(OUT_WORDS),
    localparam int unsigned INDEX_WIDTH = dhq_rtl_pkg::index_width(BLOCKS)
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   pick,
    input  logic [         IN-1:0] s_data,
    input  logic                   s_valid,
    input  logic                   s_ready,
    input  logic [        OUT-1:0] m_data,
    input  logic                   m_valid,
    input  logic                   m_ready,
    output logic [WORDS-1:0][IN-1:0] block,
    output logic [ WORD_WIDTH-1:0] word,
    output logic [INDEX_WIDTH-1:0] index,
    input  logic [        OUT-1:0] expected
);

  // The first cycle is a reset: before it every register holds anything.
  logic started;
  initial started = 1'b0;
  always_ff @(posedge clk) started <= 1'b1;
  always_comb if (!started) assume (!rst_n);

  logic take, give;
  assign take = s_valid && s_ready;
  assign give = m_valid && m_ready;

  logic [$clog2(CAPACITY + 2)-1:0] held, ahead;  // words inside; of these before the watched block
  logic [$clog2(CAPACITY + 2)-1:0] left;  // that an output leaves no use for
  logic [$clog2(LATENCY + 1)-1:0] waited;
  logic [IN_WORD_WIDTH-1:0] in_word;
  logic [INDEX_WIDTH-1:0] in_index;
  logic watching, recording, slow, offered, last_word;
  logic [OUT-1:0] last;

  assign last_word = word == WORD_WIDTH'(OUT_WORDS - 1);
  always_comb
    if (!give) left = '0;
    else if (OUT_WORDS == WORDS) left = 1;
    else left = last_word ? $bits(left)'(WORDS) : '0;

  always_ff @(posedge clk) begin
    last <= m_data;
    if (take && (recording || !watching)) block[in_word] <= s_data;
    if (!rst_n) begin
      {held, ahead, waited, in_word, in_index, word, index} <= '0;
      {watching, recording, slow, offered} <= '0;
    end else begin
      offered <= m_valid && !m_ready;
      slow <= slow || !m_ready;
      held <= held + $bits(held)'(take) - left;
      waited <= (m_valid || held < HELD) ? '0 : waited + 1'b1;
      if (take) begin
        in_word <= (in_word == IN_WORD_WIDTH'(WORDS - 1)) ? '0 : in_word + 1'b1;
        if (in_word == IN_WORD_WIDTH'(WORDS - 1)) begin
          in_index  <= (in_index == INDEX_WIDTH'(BLOCKS - 1)) ? '0 : in_index + 1'b1;
          recording <= 1'b0;
        end
      end
      if (give) word <= last_word ? '0 : word + 1'b1;
      if (watching) begin
        if (ahead != '0) ahead <= ahead - left;
        else if (give && last_word) watching <= 1'b0;
      end else if (take && pick && in_word == '0) begin
        watching <= 1'b1;
        recording <= WORDS > 1;
        ahead <= held - left;
        index <= in_index;
      end
    end
  end

  always_comb
    if (started && rst_n) begin
      a_hold : assert (!offered || m_valid);
      a_stable : assert (!offered || m_data == last);
      a_count : assert (!m_valid || held >= ((OUT_WORDS == WORDS) ? 1 : WORDS));
      a_capacity : assert (held <= CAPACITY);
      a_offer : assert (waited < LATENCY);
      a_ready : assert (!FULL_RATE || slow || !m_ready || s_ready);
      a_value : assert (!(m_valid && watching && ahead == '0) || m_data == expected);
    end

endmodule
