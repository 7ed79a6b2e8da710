// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// uart_transmitter: the line is the ideal one, cycle by cycle; it takes words when it is at rest.

module prove_uart_transmitter #(
    parameter int unsigned BYTES = 1,
    parameter int unsigned CYCLES = 4
) (
    input logic clk,
    input logic rst_n,
    input logic [8*BYTES-1:0] s_data,
    input logic s_valid
);

  logic s_ready, line, idle, ideal, started;

  uart_transmitter #(.BYTES(BYTES), .CYCLES(CYCLES)) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready), .line
  );
  serial_line #(.BYTES(BYTES), .CYCLES(CYCLES)) model (
      .clk, .rst_n, .start(s_valid), .word(s_data), .idle, .at(), .line(ideal)
  );

  initial started = 1'b0;
  always_ff @(posedge clk) started <= 1'b1;

  always_comb begin
    if (!started) assume (!rst_n);
    if (started && rst_n) begin
      a_ready : assert (s_ready == idle);
      a_value : assert (line == ideal);
    end
  end

endmodule
