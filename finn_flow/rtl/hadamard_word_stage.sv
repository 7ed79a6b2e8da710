// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One butterfly level of the Hadamard transform across words, DEPTH words apart.
//
// In every group of 2·DEPTH words, for i = 0 … DEPTH-1 and every lane, with s = ±1 (-1 where the
// lane's SWAPS bit is set):
//
//   out[i] = in[i] + s·in[DEPTH + i],   out[DEPTH + i] = in[i] - s·in[DEPTH + i]
//
//           ┌──► first  (DEPTH words) ──► a ─────┐
//   s_data ─┤                                    ├──► a ± b ──► [register] ──► m_data
//           ├──► second (DEPTH words) ──► b ──┐  │
//           └─────────────────────────► b ────┴──┘
//
// Sums are computed while the second half arrives, differences while the first half of the next
// group arrives. Keeping both halves (2·DEPTH words) instead of the differences (DEPTH words) lets
// one adder per lane do both, busy in every cycle.
//
// Latency: DEPTH + 1 cycles from in[0] to out[0]. Throughput: one word per cycle, no bubble between
// groups. Filling and draining are independent: pending differences leave without further input.
// m_valid, m_data: registers. s_ready depends on m_ready combinationally unless SKID.
// Reset (synchronous, active low) drops all words; the memories are not reset.

module hadamard_word_stage #(
    parameter int unsigned SIMD = 1,
    parameter int unsigned DEPTH = 1,
    parameter int unsigned WIDTH = 8,  // of one input lane; an output lane has one bit more
    parameter int unsigned WORDS = 2,  // words per block of the transform
    parameter int unsigned BLOCKS = 1,  // blocks with signs of their own
    parameter bit [BLOCKS*DEPTH*SIMD-1:0] SWAPS = '0,  // bit (block·DEPTH + i)·SIMD + lane
    parameter bit SKID = 0,  // register the ready signal
    parameter string RAM_STYLE = "auto"
) (
    input  logic                       clk,
    input  logic                       rst_n,
    input  logic [SIMD-1:0][WIDTH-1:0] s_data,
    input  logic                       s_valid,
    output logic                       s_ready,
    output logic [SIMD-1:0][WIDTH:0]   m_data,
    output logic                       m_valid,
    input  logic                       m_ready
);

  localparam int unsigned INDEX_WIDTH = dhq_rtl_pkg::index_width(DEPTH);
  localparam bit [INDEX_WIDTH-1:0] LAST = INDEX_WIDTH'(DEPTH - 1);

  // Input side: which half arrives, and its word. Output side: which half leaves, and its word.
  logic in_second, out_difference;
  logic [INDEX_WIDTH-1:0] in_index, out_index, out_index_next;

  logic result_valid, result_ready, take, give;

  // Sums leave as the second half arrives. Differences depend on nothing. A new first half may
  // overwrite a word of the old one as soon as, or while, its difference leaves.
  assign result_valid = out_difference || (in_second && s_valid);
  assign s_ready = result_ready || (!in_second && (!out_difference || in_index != out_index));
  assign take = s_valid && s_ready;
  assign give = result_valid && result_ready;

  assign out_index_next = !give ? out_index : (out_index == LAST) ? '0 : out_index + 1'b1;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      in_second      <= 1'b0;
      in_index       <= '0;
      out_difference <= 1'b0;
      out_index      <= '0;
    end else begin
      if (take) begin
        in_index <= (in_index == LAST) ? '0 : in_index + 1'b1;
        if (in_index == LAST) in_second <= !in_second;
      end
      out_index <= out_index_next;
      if (give && out_index == LAST) out_difference <= !out_difference;
    end
  end

  logic [SIMD-1:0][WIDTH-1:0] first, second;

  hadamard_delay #(
      .DEPTH(DEPTH),
      .WIDTH(SIMD * WIDTH),
      .RAM_STYLE(RAM_STYLE)
  ) first_half (
      .clk,
      .write(take && !in_second),
      .write_index(in_index),
      .read_index(out_index),
      .read_index_next(out_index_next),
      .write_data(s_data),
      .read_data(first)
  );

  hadamard_delay #(
      .DEPTH(DEPTH),
      .WIDTH(SIMD * WIDTH),
      .RAM_STYLE(RAM_STYLE)
  ) second_half (
      .clk,
      .write(take && in_second),
      .write_index(in_index),
      .read_index(out_index),
      .read_index_next(out_index_next),
      .write_data(s_data),
      .read_data(second)
  );

  logic [SIMD-1:0] swap;

  hadamard_sign_sequencer #(
      .LANES (SIMD),
      .PERIOD(DEPTH),
      .WORDS (WORDS),
      .BLOCKS(BLOCKS),
      .ROWS  (SWAPS)
  ) signs (
      .clk,
      .rst_n,
      .step(give),
      .bits(swap)
  );

  logic [SIMD-1:0][WIDTH:0] result;
  always_comb begin
    for (int unsigned lane = 0; lane < SIMD; lane++) begin
      automatic logic subtract = out_difference ^ swap[lane];
      automatic logic [WIDTH-1:0] a = first[lane];
      automatic logic [WIDTH-1:0] b = out_difference ? second[lane] : s_data[lane];
      // a + b, or a - b = a + ~b + 1: one carry chain.
      result[lane] = {a[WIDTH-1], a} + ({b[WIDTH-1], b} ^ {(WIDTH + 1) {subtract}})
                   + (WIDTH + 1)'(subtract);
    end
  end

  dhq_stream_register #(
      .WIDTH(SIMD * (WIDTH + 1)),
      .SKID (SKID)
  ) output_register (
      .clk,
      .rst_n,
      .s_data (result),
      .s_valid(result_valid),
      .s_ready(result_ready),
      .m_data,
      .m_valid,
      .m_ready
  );

`ifndef SYNTHESIS
  logic armed;  // nothing is asserted before the first reset
  initial armed = 1'b0;
  always_ff @(posedge clk) if (!rst_n) armed <= 1'b1;

  a_halves :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) !(in_second && out_difference))
  else $error("a second half arrives while differences are pending");

  a_lockstep :
  assert property (@(posedge clk) disable iff (!rst_n || !armed) in_second |-> in_index == out_index)
  else $error("sum %0d is computed while word %0d arrives", out_index, in_index);

  a_no_overwrite :
  assert property (@(posedge clk) disable iff (!rst_n || !armed)
    take && out_difference |-> in_index < out_index || (in_index == out_index && give))
  else $error("word %0d is overwritten before its difference left", in_index);
`endif

endmodule
