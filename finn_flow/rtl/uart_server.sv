// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Gives one packet of a stream over a serial line for each byte that comes in, whatever it is.
//
//   uart_rx ──►[receiver]──►[busy]      s_axis ──── busy ────►[transmitter]──► uart_tx
//
// busy rises with a byte and falls when the word with s_axis_tlast is taken; until then further
// bytes are ignored, and without it no word is taken. 8N1, CYCLES cycles a bit, the byte in the low
// bits of a word first. Reset: synchronous, active low.

module uart_server #(
    parameter int unsigned BYTES  = 1,
    parameter int unsigned CYCLES = 4
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [8*BYTES-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic               s_axis_tlast,
    input  logic               uart_rx,
    output logic               uart_tx,
    output logic               busy
);

  logic asked, ready;
  assign s_axis_tready = ready && busy;

  always_ff @(posedge clk) begin
    if (!rst_n) busy <= 1'b0;
    else if (!busy) busy <= asked;
    else if (s_axis_tvalid && s_axis_tready && s_axis_tlast) busy <= 1'b0;
  end

  uart_receiver #(
      .CYCLES(CYCLES)
  ) receiver (
      .clk,
      .rst_n,
      .line(uart_rx),
      // verilator lint_off PINCONNECTEMPTY
      .m_axis_tdata(),
      // verilator lint_on PINCONNECTEMPTY
      .m_axis_tvalid(asked),
      .m_axis_tready(1'b1)
  );

  uart_transmitter #(
      .BYTES (BYTES),
      .CYCLES(CYCLES)
  ) transmitter (
      .clk,
      .rst_n,
      .s_axis_tdata,
      .s_axis_tvalid(s_axis_tvalid && busy),
      .s_axis_tready(ready),
      .line(uart_tx)
  );

endmodule
