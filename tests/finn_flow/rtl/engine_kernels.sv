// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of the engine with the ports of the bench: a stream in, a stream out.

// verilator lint_off DECLFILENAME

// The input stream is not taken.
module source_bench #(
    parameter int unsigned AXES = 2,
    parameter int unsigned LANES = 1,
    parameter int unsigned WIDTH = 8,
    parameter int unsigned INDEX_WIDTH = 16,
    parameter logic [AXES*INDEX_WIDTH-1:0] LASTS = 0,
    parameter logic [AXES*WIDTH-1:0] STARTS = 0,
    parameter logic [AXES*WIDTH-1:0] STEPS = 0
) (
    input  logic                   clk,
    input  logic                   rst_n,
    // verilator lint_off UNUSEDSIGNAL
    input  logic                   s_axis_tdata,
    input  logic                   s_axis_tvalid,
    // verilator lint_on UNUSEDSIGNAL
    output logic                   s_axis_tready,
    output logic [LANES*WIDTH-1:0] m_axis_tdata,
    output logic                   m_axis_tvalid,
    input  logic                   m_axis_tready
);
  assign s_axis_tready = 1'b0;
  coordinate_source #(
      .AXES(AXES),
      .LANES(LANES),
      .WIDTH(WIDTH),
      .INDEX_WIDTH(INDEX_WIDTH),
      .LASTS(LASTS),
      .STARTS(STARTS),
      .STEPS(STEPS)
  ) source (
      .*
  );
endmodule

// The marks above the data.
module packer_bench #(
    parameter int unsigned WIDTH  = 8,
    parameter int unsigned GATHER = 1,
    parameter int unsigned LINE   = 4,
    parameter int unsigned LINES  = 1
) (
    input  logic                      clk,
    input  logic                      rst_n,
    input  logic [         WIDTH-1:0] s_axis_tdata,
    input  logic                      s_axis_tvalid,
    output logic                      s_axis_tready,
    output logic [GATHER*WIDTH+2-1:0] m_axis_tdata,
    output logic                      m_axis_tvalid,
    input  logic                      m_axis_tready
);
  logic [GATHER*WIDTH-1:0] data;
  logic last, user;
  assign m_axis_tdata = {user, last, data};
  sample_packer #(
      .WIDTH (WIDTH),
      .GATHER(GATHER),
      .LINE  (LINE),
      .LINES (LINES)
  ) packer (
      .m_axis_tdata(data),
      .m_axis_tlast(last),
      .m_axis_tuser(user),
      .*
  );
endmodule

// A transmitter and a receiver with a bit length of its own.
module uart_bench #(
    parameter int unsigned BYTES = 1,
    parameter int unsigned CYCLES = 4,
    parameter int unsigned RECEIVER_CYCLES = 4
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [8*BYTES-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [        7:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);
  logic line;
  uart_transmitter #(
      .BYTES (BYTES),
      .CYCLES(CYCLES)
  ) transmitter (
      .*
  );
  uart_receiver #(.CYCLES(RECEIVER_CYCLES)) receiver (.*);
endmodule

// A computer that asks for a packet of PACKET words whenever none comes, and receives.
module server_bench #(
    parameter int unsigned BYTES  = 1,
    parameter int unsigned CYCLES = 4,
    parameter int unsigned PACKET = 3
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic [8*BYTES-1:0] s_axis_tdata,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    output logic [        7:0] m_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready
);
  logic [7:0] word;
  logic last, to_board, to_computer, busy, free;
  assign last = word == 8'(PACKET - 1);
  always_ff @(posedge clk) begin
    if (!rst_n) word <= '0;
    else if (s_axis_tvalid && s_axis_tready) word <= last ? '0 : word + 1'b1;
  end
  a_asked :
  assert property (@(posedge clk) disable iff (!rst_n) !(s_axis_tready && !busy))
  else $error("a word was taken that nobody asked for");

  uart_transmitter #(
      .CYCLES(CYCLES)
  ) asker (
      .s_axis_tdata (8'h55),
      .s_axis_tvalid(free && !busy),
      .s_axis_tready(free),
      .line(to_board),
      .clk,
      .rst_n
  );
  uart_server #(
      .BYTES (BYTES),
      .CYCLES(CYCLES)
  ) server (
      .s_axis_tlast(last),
      .uart_rx(to_board),
      .uart_tx(to_computer),
      .*
  );
  uart_receiver #(
      .CYCLES(CYCLES)
  ) receiver (
      .line(to_computer),
      .*
  );
endmodule
