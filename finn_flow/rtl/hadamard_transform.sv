// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Streaming fast Walsh-Hadamard transform, optionally with input signs and a requantizer.
//
// For every block x[0 … N-1] of the stream, with H the ±1 Hadamard matrix in Sylvester order,
// H[r][c] = (-1)^popcount(r & c), and D the diagonal of signs (-1 where SIGNS has a 1):
//
//   h = H·D·x,    y = clip(round_half_even(h / 2^SHIFT))  to OUT_WIDTH bits signed
//
// Words carry SIMD consecutive elements, lane 0 in the low bits; element order is natural on both
// sides. A vector of CHANNELS elements is CHANNELS/N independent blocks (a block-diagonal
// transform); CHANNELS matters only for SIGNS, which has one bit per channel.
//
//              ┌─ log2(N/SIMD) word stages ─┐   ┌─ log2 SIMD lane stages ─┐
//   s_axis ──► N/2/SIMD ──► … ──► 2 ──► 1 ──►   SIMD/2 ──► … ──► 2 ──► 1  ──► requantizer ──► m_axis
//              words apart                      lanes apart
//
// Adders: SIMD per stage, SIMD·log2 N in all, each busy in every cycle; no multiplier. Stage k
// works on IN_WIDTH + k bits, so h is exact in IN_WIDTH + log2 N bits. One value needs one bit more:
// if the signs of a block are a row of -H, its elements at their minimum in that row's signs give
// +2^(IN_WIDTH-1)·N. The requantizer sees that bit too; at the default OUT_WIDTH the value saturates.
// The longest delays come first, where words are narrowest; delays hold 2·(N/SIMD - 1) words.
//
// Signs cost no adder: a stage that combines elements i and j of signs d_i, d_j computes
// d_i·(x_i ± d_i·d_j·x_j), exchanges sum and difference where the signs differ, and leaves d_i
// pending. What is left at the end is the sign of element 0 of the block, and only if that is
// negative h is negated (SIMD more adders; D and -D serve DHQ equally, so prefer +1 there).
//
// Throughput: one word per cycle; a block every N/SIMD cycles without bubbles, whatever the stalls
// on either side. The last block drains without further input.
// Latency, first word in to first word out, neither side stalling:
//
//   N/SIMD - 1 + log2 N + [a sign of an element 0 is -1] + [SHIFT > 0] + [clipping possible]
//
// where clipping is possible if h, after the shift, can leave OUT_WIDTH bits or the NARROW range.
// The localparam LATENCY has the number.
//
// Handshake: m_axis_tvalid and m_axis_tdata are registers, tvalid never waits for tready, and a
// word stays until accepted. s_axis_tready depends on m_axis_tready combinationally through at most
// READY_CHAIN stages and the requantizer; longer transforms register it in between.
// s_axis_tready does not depend on s_axis_tvalid.
// Reset (rst_n, synchronous, active low, one cycle suffices) drops every word inside; the next word
// is element 0 of channel 0. Words offered during reset are lost.

module hadamard_transform #(
    parameter int unsigned N = 256,  // block size (order), a power of two from 2 to 4096
    parameter int unsigned SIMD = 8,  // lanes, a power of two from 1 to N
    parameter int unsigned IN_WIDTH = 8,  // signed, 1 to 24
    parameter int unsigned CHANNELS = N,  // a multiple of N: after so many elements SIGNS repeats
    parameter bit [CHANNELS-1:0] SIGNS = CHANNELS'(0),  // bit c set: channel c enters negated
    parameter int unsigned SHIFT = 0,  // below IN_WIDTH + log2 N
    parameter int unsigned OUT_WIDTH = IN_WIDTH + $clog2(N),  // signed, 2 to 64
    parameter bit NARROW = 0,  // clip to ±(2^(OUT_WIDTH-1) - 1)
    parameter string RAM_STYLE = "auto"  // delay lines: "auto" by depth, "distributed", "block"
) (
    input  logic                      clk,
    input  logic                      rst_n,
    input  logic [ SIMD*IN_WIDTH-1:0] s_axis_tdata,
    input  logic                      s_axis_tvalid,
    output logic                      s_axis_tready,
    output logic [SIMD*OUT_WIDTH-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready
);

  if (!dhq_rtl_pkg::is_power_of_two(N) || N < 2 || N > 4096) begin : g_check_n
    $fatal(1, "N=%0d must be a power of two from 2 to 4096", N);
  end
  if (!dhq_rtl_pkg::is_power_of_two(SIMD) || SIMD > N) begin : g_check_simd
    $fatal(1, "SIMD=%0d must be a power of two from 1 to N=%0d", SIMD, N);
  end
  if (IN_WIDTH < 1 || IN_WIDTH > 24) begin : g_check_in_width
    $fatal(1, "IN_WIDTH=%0d must lie in 1 to 24", IN_WIDTH);
  end
  if (CHANNELS < N || CHANNELS % N != 0) begin : g_check_channels
    $fatal(1, "CHANNELS=%0d must be a positive multiple of N=%0d", CHANNELS, N);
  end
  if (SHIFT >= IN_WIDTH + $clog2(N)) begin : g_check_shift
    $fatal(1, "SHIFT=%0d must be below IN_WIDTH + log2 N = %0d", SHIFT, IN_WIDTH + $clog2(N));
  end
  if (OUT_WIDTH < 2 || OUT_WIDTH > 64) begin : g_check_out_width
    $fatal(1, "OUT_WIDTH=%0d must lie in 2 to 64", OUT_WIDTH);
  end

  localparam int unsigned LEVELS = $clog2(N);
  localparam int unsigned WORDS = N / SIMD;
  localparam int unsigned BLOCKS = CHANNELS / N;
  // Ready passes through one LUT per stage; a register after so many bounds the path.
  localparam int unsigned READY_CHAIN = 6;

  // Sign products of the pairs `distance` apart after the signs of all wider pairs were taken out:
  // bit i, i < distance, is d_i·d_(i+distance) of the block. (Vector operations rather than loops
  // over elements: tools limit the iterations of a constant function.)
  function automatic bit [N-1:0] block_pairs(input int unsigned block, input int unsigned distance);
    automatic bit [N-1:0] signs = SIGNS[block*N+:N];
    return (signs ^ (signs >> distance)) & ~({N{1'b1}} << distance);
  endfunction

  // The same for all blocks: bit block·distance + i.
  function automatic bit [CHANNELS-1:0] pair_signs(input int unsigned distance);
    pair_signs = CHANNELS'(block_pairs(0, distance));
    for (int unsigned block = 1; block < BLOCKS; block++)
      pair_signs |= CHANNELS'(block_pairs(block, distance)) << (block * distance);
  endfunction

  function automatic bit [BLOCKS-1:0] first_signs();
    for (int unsigned block = 0; block < BLOCKS; block++) first_signs[block] = SIGNS[block*N];
  endfunction

  // Whether the signs of some block are a row of -H.
  function automatic bit has_negated_row();
    automatic bit [N-1:0] pairs;
    automatic bit is_row;
    has_negated_row = 1'b0;
    for (int unsigned block = 0; block < BLOCKS; block++) begin
      is_row = SIGNS[block*N];
      for (int unsigned level = 0; level < LEVELS; level++) begin
        pairs = block_pairs(block, 1 << level);
        if (pairs != (pairs[0] ? ~({N{1'b1}} << (1 << level)) : '0)) is_row = 1'b0;
      end
      has_negated_row |= is_row;
    end
  endfunction

  localparam bit [BLOCKS-1:0] NEGATE = first_signs();
  localparam int unsigned SUM_WIDTH = IN_WIDTH + LEVELS;
  localparam int unsigned FULL_WIDTH = SUM_WIDTH + (has_negated_row() ? 1 : 0);

  // What enters the stages: lanes of IN_WIDTH + stage bits, without gaps.
  // verilator lint_off UNUSEDSIGNAL
  logic [SIMD*SUM_WIDTH-1:0] data[LEVELS+1]  /* verilator split_var */;
  // verilator lint_on UNUSEDSIGNAL
  logic valid[LEVELS+1]  /* verilator split_var */;
  logic ready[LEVELS+1]  /* verilator split_var */;
  assign valid[0] = s_axis_tvalid;
  assign s_axis_tready = ready[0];
  assign data[0] = (SIMD * SUM_WIDTH)'(s_axis_tdata);

  for (genvar stage = 0; stage < LEVELS; stage++) begin : g_stage
    localparam int unsigned DISTANCE = N >> (stage + 1);  // elements
    localparam int unsigned WIDTH = IN_WIDTH + stage;
    localparam bit SKID = stage != LEVELS - 1
                          && (LEVELS - 1 - stage) % READY_CHAIN == 0;
    localparam bit [CHANNELS-1:0] SWAPS = pair_signs(DISTANCE);

    logic [SIMD-1:0][WIDTH-1:0] s_data;
    logic [SIMD-1:0][WIDTH:0] m_data;
    assign s_data = data[stage][SIMD*WIDTH-1:0];
    assign data[stage+1] = (SIMD * SUM_WIDTH)'(m_data);

    if (DISTANCE >= SIMD) begin : g_word
      hadamard_word_stage #(
          .SIMD(SIMD),
          .DEPTH(DISTANCE / SIMD),
          .WIDTH(WIDTH),
          .WORDS(WORDS),
          .BLOCKS(BLOCKS),
          .SWAPS(SWAPS[BLOCKS*DISTANCE-1:0]),
          .SKID(SKID),
          .RAM_STYLE(RAM_STYLE)
      ) butterfly (
          .clk,
          .rst_n,
          .s_data,
          .s_valid(valid[stage]),
          .s_ready(ready[stage]),
          .m_data,
          .m_valid(valid[stage+1]),
          .m_ready(ready[stage+1])
      );
    end else begin : g_lane
      hadamard_lane_stage #(
          .SIMD(SIMD),
          .DISTANCE(DISTANCE),
          .WIDTH(WIDTH),
          .WORDS(WORDS),
          .BLOCKS(BLOCKS),
          .SWAPS(SWAPS[BLOCKS*DISTANCE-1:0]),
          .SKID(SKID)
      ) butterfly (
          .clk,
          .rst_n,
          .s_data,
          .s_valid(valid[stage]),
          .s_ready(ready[stage]),
          .m_data,
          .m_valid(valid[stage+1]),
          .m_ready(ready[stage+1])
      );
    end
  end

  logic [SIMD-1:0][SUM_WIDTH-1:0] last;
  logic [SIMD-1:0][FULL_WIDTH-1:0] sums;
  assign last = data[LEVELS];
  always_comb begin
    for (int unsigned lane = 0; lane < SIMD; lane++)
      sums[lane] = FULL_WIDTH'($signed(last[lane]));
  end

  hadamard_requantizer #(
      .SIMD(SIMD),
      .WIDTH(FULL_WIDTH),
      .WORDS(WORDS),
      .BLOCKS(BLOCKS),
      .NEGATE(NEGATE),
      .SHIFT(SHIFT),
      .OUT_WIDTH(OUT_WIDTH),
      .NARROW(NARROW)
  ) requantizer (
      .clk,
      .rst_n,
      .s_data (sums),
      .s_valid(valid[LEVELS]),
      .s_ready(ready[LEVELS]),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );

`ifndef SYNTHESIS
  localparam int unsigned LATENCY = WORDS - 1 + LEVELS + dhq_rtl_pkg::requantizer_latency(
      FULL_WIDTH, NEGATE != '0, SHIFT, OUT_WIDTH, NARROW
  );

  dhq_stream_monitor #(
      .WIDTH(SIMD * OUT_WIDTH),
      .HELD(WORDS),
      .LATENCY(LATENCY)
  ) monitor (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
`endif

endmodule
