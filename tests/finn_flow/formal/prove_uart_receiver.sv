// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// uart_receiver: the bytes of an ideal line, each once.
//
// The sender begins when it likes, but behind a byte that was taken: the kernel wants them taken.

module prove_uart_receiver #(
    parameter int unsigned CYCLES = 4
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [7:0] word,
    input logic m_ready
);

  localparam int unsigned WHOLE = 9 * CYCLES;  // the stop bit begins
  localparam int unsigned LATENCY = CYCLES / 2 + 3;  // until it was read in its middle

  logic line, idle, m_valid, started, offered, waits;
  logic [$clog2(10*CYCLES)-1:0] at;
  logic [7:0] m_data, last, due;
  logic [$clog2(LATENCY+1)-1:0] waited;

  serial_line #(.CYCLES(CYCLES)) sender (.*);
  uart_receiver #(.CYCLES(CYCLES)) dut (
      .clk, .rst_n, .line, .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  // `waits`: a byte that is whole and was not taken, `due`.
  initial started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    last <= m_data;
    if (idle && start) due <= word;
    if (!rst_n) {waits, offered, waited} <= '0;
    else begin
      offered <= m_valid && !m_ready;
      waited <= (waits && !m_valid) ? waited + 1'b1 : '0;
      if (!idle && 32'(at) == WHOLE) waits <= 1'b1;
      else if (m_valid && m_ready) waits <= 1'b0;
    end
  end

  always_comb begin
    if (!started) assume (!rst_n);
    // Taken before the sender begins again.
    if (idle && waits) assume (!start);
    if (started && rst_n) begin
      a_hold : assert (!offered || m_valid);
      a_stable : assert (!offered || m_data == last);
      a_count : assert (!m_valid || waits);
      a_offer : assert (waited < LATENCY);
      a_value : assert (!m_valid || m_data == due);
    end
  end

endmodule
