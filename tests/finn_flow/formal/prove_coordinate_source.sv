// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// coordinate_source: STARTS + STEPS·index; the indices are the digits of the point's number, the
// last axis lowest.

module prove_coordinate_source #(
    parameter int unsigned AXES = 2,
    parameter int unsigned LANES = 1,
    parameter int unsigned WIDTH = 3,
    parameter bit [AXES-1:0][15:0] LASTS = {16'd2, 16'd1},
    parameter bit [AXES-1:0][WIDTH-1:0] STARTS = {3'd5, 3'd6},
    parameter bit [AXES-1:0][WIDTH-1:0] STEPS = {3'd3, 3'd1}
) (
    input logic clk,
    input logic rst_n,
    input logic m_ready
);

  localparam int unsigned BEATS = AXES / LANES;

  function automatic int unsigned points();
    points = 1;
    for (int i = 0; i < AXES; i++) points *= 32'(LASTS[i]) + 1;
  endfunction
  localparam int unsigned WORDS = points() * BEATS;

  // All beats of the grid.
  function automatic bit [WORDS-1:0][LANES-1:0][WIDTH-1:0] grid();
    for (int word = 0; word < WORDS; word++) begin
      automatic int unsigned number = word / BEATS;
      for (int axis = AXES - 1; axis >= 0; axis--) begin
        automatic int unsigned size = 32'(LASTS[axis]) + 1;
        if (axis / LANES == word % BEATS)
          grid[word][axis%LANES] = STARTS[axis] + WIDTH'(number % size) * STEPS[axis];
        number /= size;
      end
    end
  endfunction
  localparam bit [WORDS-1:0][LANES-1:0][WIDTH-1:0] GRID = grid();

  logic m_valid, started, reset_before, offered;
  logic [LANES-1:0][WIDTH-1:0] m_data, last;
  logic [$clog2(WORDS)-1:0] given;  // beats since the first point

  coordinate_source #(
      .AXES(AXES), .LANES(LANES), .WIDTH(WIDTH), .LASTS(LASTS), .STARTS(STARTS), .STEPS(STEPS)
  ) dut (
      .clk, .rst_n, .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    reset_before <= !rst_n;
    last <= m_data;
    offered <= rst_n && m_valid && !m_ready;
    if (!rst_n) given <= '0;
    else if (m_valid && m_ready)
      given <= (given == $bits(given)'(WORDS - 1)) ? '0 : given + 1'b1;
  end

  always_comb begin
    if (!started) assume (!rst_n);
    if (started && rst_n) begin
      a_hold : assert (!offered || m_valid);
      a_stable : assert (!offered || m_data == last);
      a_offer : assert (m_valid || reset_before);
      a_value : assert (!m_valid || m_data == GRID[given]);
    end
  end

endmodule
