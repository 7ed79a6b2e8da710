// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Bytes from an asynchronous serial line, 8N1 as in uart_transmitter.sv, a bit of CYCLES cycles.
//
// The line, of another clock, passes two registers. Bits are read in the middle, counted from the
// falling edge of the start bit. m_axis_tvalid is up until the byte is taken, which must be before
// the next one is whole. A frame without its stop bit is dropped.

module uart_receiver #(
    parameter int unsigned CYCLES = 4
) (
    input  logic       clk,
    input  logic       rst_n,
    input  logic       line,
    output logic [7:0] m_axis_tdata,
    output logic       m_axis_tvalid,
    input  logic       m_axis_tready
);

  if (CYCLES < 4) begin : g_bad_cycles
    $error("CYCLES=%0d must be at least 4", CYCLES);
  end

  localparam int unsigned CYCLE_WIDTH = $clog2(CYCLES);

  logic [1:0] seen;
  logic [7:0] bits;  // as they arrive, the first one moves down and out
  logic [3:0] left;  // bits to read, the stop bit among them; 0 at rest, 10 in the start bit
  logic [CYCLE_WIDTH-1:0] cycle;

  always_ff @(posedge clk) begin
    seen <= {line, seen[1]};
    if (cycle != '0) cycle <= cycle - 1'b1;
    if (m_axis_tready) m_axis_tvalid <= 1'b0;
    if (left == 4'd0) begin
      if (!seen[0]) begin
        left  <= 4'd10;
        cycle <= CYCLE_WIDTH'(CYCLES / 2 - 1);
      end
    end else if (cycle == '0) begin
      bits  <= {seen[0], bits[7:1]};
      left  <= (left == 4'd10 && seen[0]) ? 4'd0 : left - 4'd1;  // too short for a start bit
      cycle <= CYCLE_WIDTH'(CYCLES - 1);
      if (left == 4'd1 && seen[0]) begin
        m_axis_tdata  <= bits;
        m_axis_tvalid <= 1'b1;
      end
    end
    if (!rst_n) begin
      seen <= '1;
      left <= '0;
      m_axis_tvalid <= 1'b0;
    end
  end

endmodule
