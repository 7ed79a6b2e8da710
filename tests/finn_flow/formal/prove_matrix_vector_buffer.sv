// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// matrix_vector_buffer: every vector, as often as its parent passes over it, word by word.
//
// The parent is that of matrix_vector, stalled at any time: it begins a vector when one is
// complete, passes over it PASSES times and begins the next one then or later. Watched is one
// vector, chosen by `pick`; x must be its words when they are due, whatever comes in meanwhile.

module prove_matrix_vector_buffer #(
    parameter int unsigned LANES = 2,
    parameter int unsigned IN_LANES = 1,
    parameter int unsigned WIDTH = 1,
    parameter int unsigned WORDS = 2,
    parameter int unsigned CHAIN = 2,
    parameter int unsigned DEPTH = 4,
    parameter int unsigned PASSES = 2,
    localparam int unsigned PARTS = WORDS * LANES / IN_LANES  // of a vector
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic later,  // the parent does not begin yet
    input logic [IN_LANES-1:0][WIDTH-1:0] s_data,
    input logic s_valid,
    input logic enable
);

  logic s_ready, complete, begin_vector, next, rewind, last_pass;
  logic [LANES-1:0][WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(WORDS)-1:0] word;

  matrix_vector_buffer #(
      .LANES(LANES), .IN_LANES(IN_LANES), .WIDTH(WIDTH), .WORDS(WORDS), .CHAIN(CHAIN), .DEPTH(DEPTH)
  ) dut (.column(word), .*);

  logic started, watching, recording, current, take, last_part, begins, ends;
  logic [$clog2(PARTS+1)-1:0] part;
  // Vectors complete and not begun, and those of them before the watched one.
  logic [$clog2(DEPTH/WORDS+3)-1:0] whole, ahead;
  logic [$clog2(DEPTH*LANES/IN_LANES+2)-1:0] held;  // parts of words that are due again
  logic [dhq_rtl_pkg::index_width(PASSES)-1:0] pass;
  logic [PARTS-1:0][IN_LANES-1:0][WIDTH-1:0] parts;
  logic [WORDS-1:0][LANES-1:0][WIDTH-1:0] block;
  logic [CHAIN-1:0] due;  // [i]: the lanes l with l mod CHAIN = i show a watched word
  logic [CHAIN-1:0][LANES-1:0][WIDTH-1:0] due_words;

  assign take = s_valid && s_ready;
  assign last_part = part == $bits(part)'(PARTS - 1);
  assign block = parts;
  assign rewind = next && word == $bits(word)'(WORDS - 1);
  assign last_pass = pass == $bits(pass)'(PASSES - 1);
  assign ends = rewind && last_pass;
  assign begin_vector = (!next || ends) && !later;
  assign begins = enable && begin_vector && complete;

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    if (take && (recording || !watching)) parts[part] <= s_data;
    if (!rst_n) begin
      {part, whole, ahead, held, word, pass} <= '0;
      {watching, recording, current, next, due} <= '0;
    end else begin
      if (take) part <= last_part ? '0 : part + 1'b1;
      whole <= whole + $bits(whole)'(take && last_part) - $bits(whole)'(begins);
      held <= held + $bits(held)'(take)
          - $bits(held)'((enable && next && last_pass) ? LANES / IN_LANES : 0);
      if (take && last_part) recording <= 1'b0;
      if (take && part == '0 && pick && !watching) begin
        {watching, recording} <= '1;
        ahead <= whole - $bits(whole)'(begins);
      end else if (watching && begins && ahead != '0) ahead <= ahead - 1'b1;
      if (enable) begin
        if (begins) current <= watching && ahead == '0 && !current;
        else if (ends) current <= 1'b0;
        if (current && ends) watching <= 1'b0;
        if (begins) next <= 1'b1;
        else if (ends) next <= 1'b0;
        if (next) word <= rewind ? '0 : word + 1'b1;
        if (rewind) pass <= last_pass ? '0 : pass + 1'b1;
        due <= CHAIN'({due, next && current});
        due_words <= ($bits(due_words))'({due_words, block[word]});
      end
    end
  end

  always_comb begin
    automatic bit right = 1;
    for (int lane = 0; lane < LANES; lane++)
      if (due[lane%CHAIN] && x[lane] != due_words[lane%CHAIN][lane]) right = 0;
    if (!started) assume (!rst_n);
    if (started && rst_n) begin
      a_complete : assert (complete == (whole != '0));
      a_capacity : assert (held <= DEPTH * LANES / IN_LANES);
      a_offer : assert (s_ready || held + CHAIN * LANES / IN_LANES >= DEPTH * LANES / IN_LANES);
      a_value : assert (right);
    end
  end

endmodule
