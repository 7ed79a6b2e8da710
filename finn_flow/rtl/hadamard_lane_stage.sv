// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One butterfly level of the Hadamard transform inside a word, DISTANCE lanes apart.
//
// For every lane i whose bit DISTANCE is 0, with s = ±1 (-1 where the SWAPS bit is set):
//
//   out[i] = in[i] + s·in[i + DISTANCE],   out[i + DISTANCE] = in[i] - s·in[i + DISTANCE]
//
//   s_data ──► SIMD/2 adders, SIMD/2 subtractors ──► [register] ──► m_data
//
// Latency 1 cycle, throughput one word per cycle. m_valid, m_data: registers. s_ready depends on
// m_ready combinationally unless SKID. Reset (synchronous, active low) drops the word.

module hadamard_lane_stage #(
    parameter int unsigned SIMD = 2,
    parameter int unsigned DISTANCE = 1,
    parameter int unsigned WIDTH = 8,  // of one input lane; an output lane has one bit more
    parameter int unsigned WORDS = 1,  // words per block of the transform
    parameter int unsigned BLOCKS = 1,  // blocks with signs of their own
    parameter bit [BLOCKS*DISTANCE-1:0] SWAPS = '0,  // bit block·DISTANCE + (i mod DISTANCE)
    parameter bit SKID = 0  // register the ready signal
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

  // With one row of signs per block the sequencer counts words; PERIOD 1 repeats it for every word.
  logic [DISTANCE-1:0] swap;

  hadamard_sign_sequencer #(
      .LANES (DISTANCE),
      .PERIOD(1),
      .WORDS (WORDS),
      .BLOCKS(BLOCKS),
      .ROWS  (SWAPS)
  ) signs (
      .clk,
      .rst_n,
      .step(s_valid && s_ready),
      .bits(swap)
  );

  logic [SIMD-1:0][WIDTH:0] result;
  always_comb begin
    for (int unsigned lane = 0; lane < SIMD; lane++) begin
      automatic int unsigned lower = lane & ~DISTANCE;
      automatic logic subtract = (lane != lower) ^ swap[lane%DISTANCE];
      automatic logic [WIDTH-1:0] a = s_data[lower];
      automatic logic [WIDTH-1:0] b = s_data[lower+DISTANCE];
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
      .s_valid,
      .s_ready,
      .m_data,
      .m_valid,
      .m_ready
  );

endmodule
