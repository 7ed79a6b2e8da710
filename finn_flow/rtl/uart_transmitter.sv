// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Words over an asynchronous serial line, 8N1: a start bit (0), eight bits, the lowest first, a stop
// bit (1); the byte in the low bits of a word first. A bit lasts CYCLES cycles.
//
// One word per 10·BYTES·CYCLES cycles. The line is 1 at rest, and a register.

module uart_transmitter #(
    parameter int unsigned BYTES  = 1,
    parameter int unsigned CYCLES = 4
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [8*BYTES-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic               line
);

  if (BYTES == 0 || CYCLES < 2) begin : g_bad_counts
    $error("BYTES=%0d must be positive and CYCLES=%0d at least 2", BYTES, CYCLES);
  end

  localparam int unsigned BITS = 10 * BYTES;
  localparam int unsigned BIT_WIDTH = $clog2(BITS + 1);
  localparam int unsigned CYCLE_WIDTH = $clog2(CYCLES);

  logic [BITS-1:0] frame, given;
  logic [BIT_WIDTH-1:0] left;  // bits to send
  logic [CYCLE_WIDTH-1:0] cycle;  // left of the bit
  logic shift;

  for (genvar i = 0; i < BYTES; i++) begin : g_byte
    assign given[10*i+:10] = {1'b1, s_axis_tdata[8*i+:8], 1'b0};
  end

  assign shift = cycle == '0;
  assign s_axis_tready = left == '0;
  assign line = frame[0];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      frame <= '1;
      left  <= '0;
      cycle <= '0;
    end else if (s_axis_tready) begin
      if (s_axis_tvalid) begin
        frame <= given;
        left  <= BIT_WIDTH'(BITS);
        cycle <= CYCLE_WIDTH'(CYCLES - 1);
      end
    end else begin
      cycle <= shift ? CYCLE_WIDTH'(CYCLES - 1) : cycle - 1'b1;
      if (shift) begin
        frame <= {1'b1, frame[BITS-1:1]};
        left  <= left - 1'b1;
      end
    end
  end

endmodule
