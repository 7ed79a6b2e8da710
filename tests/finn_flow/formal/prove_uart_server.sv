// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// uart_server: one packet for each byte that comes in while none is under way, on an ideal line.
//
// What comes in is what a uart_receiver, proved by itself, says of the line, which may do anything.

module prove_uart_server #(
    parameter int unsigned BYTES = 1,
    parameter int unsigned CYCLES = 4
) (
    input logic clk,
    input logic rst_n,
    input logic [8*BYTES-1:0] s_data,
    input logic s_valid,
    input logic s_last,
    input logic uart_rx
);

  logic s_ready, uart_tx, busy, asked, idle, ideal, started, packet, take;

  uart_server #(.BYTES(BYTES), .CYCLES(CYCLES)) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .s_axis_tlast(s_last), .uart_rx, .uart_tx, .busy
  );
  uart_receiver #(.CYCLES(CYCLES)) ear (
      .clk, .rst_n, .line(uart_rx), .m_axis_tdata(), .m_axis_tvalid(asked), .m_axis_tready(1'b1)
  );
  serial_line #(.BYTES(BYTES), .CYCLES(CYCLES)) model (
      .clk, .rst_n, .start(take), .word(s_data), .idle, .at(), .line(ideal)
  );
  assign take = s_valid && s_ready;

  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    if (!rst_n) packet <= 1'b0;
    else packet <= packet ? !(take && s_last) : asked;
  end

  always_comb begin
    if (!started) assume (!rst_n);
    if (started && rst_n) begin
      a_busy : assert (busy == packet);
      a_ready : assert (s_ready == (packet && idle));
      a_value : assert (uart_tx == ideal);
    end
  end

endmodule
