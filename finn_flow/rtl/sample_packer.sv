// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Gathers words and marks lines and frames, as AXI4-Stream (TLAST) and AXI4-Stream Video want them.
//
//   s_axis ──►[part GATHER-1]─► … ─►[part 0]      m_axis_tdata = {part GATHER-1, …, part 0}
//
// m_axis_tlast marks the last of LINE gathered words, m_axis_tuser the first of LINES such lines.
// The first word is part 0, in the low bits. Latency 1 cycle from the last part; one part per cycle.
// s_axis_tready depends on m_axis_tready combinationally. Reset (synchronous, active low) empties
// it, and the next word is the first of a frame.

module sample_packer #(
    parameter int unsigned WIDTH  = 8,
    parameter int unsigned GATHER = 1,
    parameter int unsigned LINE   = 4,
    parameter int unsigned LINES  = 1
) (
    input  logic                    clk,
    input  logic                    rst_n,
    input  logic [       WIDTH-1:0] s_axis_tdata,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    output logic [GATHER*WIDTH-1:0] m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready,
    output logic                    m_axis_tlast,
    output logic                    m_axis_tuser
);

  if (GATHER == 0 || LINE == 0 || LINES == 0) begin : g_bad_counts
    $error("GATHER=%0d, LINE=%0d and LINES=%0d must be positive", GATHER, LINE, LINES);
  end

  localparam int unsigned PART_WIDTH = dhq_rtl_pkg::index_width(GATHER);
  localparam int unsigned WORD_WIDTH = dhq_rtl_pkg::index_width(LINE);
  localparam int unsigned LINE_WIDTH = dhq_rtl_pkg::index_width(LINES);

  logic [PART_WIDTH-1:0] part;
  logic [WORD_WIDTH-1:0] word;  // of the line, at the output
  logic [LINE_WIDTH-1:0] line;
  logic take, give, last_part;

  assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
  assign take          = s_axis_tvalid && s_axis_tready;
  assign give          = m_axis_tvalid && m_axis_tready;
  assign last_part     = part == PART_WIDTH'(GATHER - 1);
  assign m_axis_tlast  = word == WORD_WIDTH'(LINE - 1);
  assign m_axis_tuser  = word == '0 && line == '0;

  always_ff @(posedge clk) begin
    if (take) m_axis_tdata <= (GATHER * WIDTH)'({s_axis_tdata, m_axis_tdata} >> WIDTH);
    if (!rst_n) begin
      m_axis_tvalid <= 1'b0;
      part <= '0;
      word <= '0;
      line <= '0;
    end else begin
      if (take) part <= last_part ? '0 : part + 1'b1;
      if (take || give) m_axis_tvalid <= take && last_part;
      if (give) word <= m_axis_tlast ? '0 : word + 1'b1;
      if (give && m_axis_tlast) line <= (line == LINE_WIDTH'(LINES - 1)) ? '0 : line + 1'b1;
    end
  end

endmodule
