// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// The codes of every point of a grid, the last axis fastest, over and over: no input is needed.
//
//   code of axis i = STARTS[i] + STEPS[i]·index i,   index i = 0 … LASTS[i]
//
//   [index 0]◄─wraps─[index 1]◄─wraps─ … ◄─[beat]        m_axis_tdata = the codes of one beat
//   [code 0]         [code 1]
//
// A sample is AXES/LANES beats, of LANES codes each, the first in the low bits. One beat per cycle,
// from the first cycle behind reset (synchronous, active low), which returns to the first point.
// Codes are registers; a multiplexer behind them selects those of the beat.

module coordinate_source #(
    parameter int unsigned AXES = 2,
    parameter int unsigned LANES = 1,
    parameter int unsigned WIDTH = 8,
    parameter int unsigned INDEX_WIDTH = 16,
    // Element 0 in the low bits: last indices, codes and steps in two's complement.
    parameter logic [AXES*INDEX_WIDTH-1:0] LASTS = {INDEX_WIDTH'(5), INDEX_WIDTH'(3)},
    parameter logic [AXES*WIDTH-1:0] STARTS = {-WIDTH'(3), -WIDTH'(2)},
    parameter logic [AXES*WIDTH-1:0] STEPS = {WIDTH'(1), WIDTH'(1)},
    localparam int unsigned BEATS = AXES / LANES
) (
    input  logic                   clk,
    input  logic                   rst_n,
    output logic [LANES*WIDTH-1:0] m_axis_tdata,
    output logic                   m_axis_tvalid,
    input  logic                   m_axis_tready
);

  if (LANES == 0 || AXES % LANES != 0) begin : g_bad_lanes
    $error("LANES=%0d must divide AXES=%0d", LANES, AXES);
  end

  localparam int unsigned BEAT_WIDTH = dhq_rtl_pkg::index_width(BEATS);

  logic [AXES-1:0][WIDTH-1:0] code;
  logic [AXES-1:0][INDEX_WIDTH-1:0] index;
  logic [AXES:0] wraps;  // whether all axes behind axis i are at their last point
  logic [BEAT_WIDTH-1:0] beat;
  logic last_beat, advance;

  assign last_beat = BEATS == 1 || beat == BEAT_WIDTH'(BEATS - 1);
  assign advance   = m_axis_tvalid && m_axis_tready && last_beat;

  always_comb begin
    wraps[AXES] = 1'b1;
    for (int i = int'(AXES) - 1; i >= 0; i--)
      wraps[i] = wraps[i+1] && index[i] == LASTS[INDEX_WIDTH*i+:INDEX_WIDTH];
  end

  always_ff @(posedge clk) begin
    m_axis_tvalid <= rst_n;
    if (!rst_n) beat <= '0;
    else if (m_axis_tvalid && m_axis_tready) beat <= last_beat ? '0 : beat + 1'b1;
    for (int unsigned i = 0; i < AXES; i++) begin
      if (!rst_n || (advance && wraps[i])) begin
        code[i]  <= STARTS[WIDTH*i+:WIDTH];
        index[i] <= '0;
      end else if (advance && wraps[i+1]) begin
        code[i]  <= code[i] + STEPS[WIDTH*i+:WIDTH];
        index[i] <= index[i] + 1'b1;
      end
    end
  end

  always_comb begin
    m_axis_tdata = code[LANES-1:0];
    for (int unsigned b = 1; b < BEATS; b++)
      if (beat == BEAT_WIDTH'(b)) m_axis_tdata = code[LANES*b+:LANES];
  end

endmodule
