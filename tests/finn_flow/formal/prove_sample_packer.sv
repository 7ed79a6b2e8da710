// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// sample_packer: GATHER parts, the first lowest; the last word of a line, the first of a frame.

module prove_sample_packer #(
    parameter int unsigned WIDTH = 2,
    parameter int unsigned GATHER = 2,
    parameter int unsigned LINE = 3,
    parameter int unsigned LINES = 2
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam bit [LINE*LINES-1:0] ENDS = {LINES{LINE'(1) << (LINE - 1)}};

  logic s_ready, m_valid, last, user;
  logic [GATHER*WIDTH-1:0] data;
  logic [GATHER-1:0][WIDTH-1:0] parts;
  logic [dhq_rtl_pkg::index_width(LINE*LINES)-1:0] index;

  sample_packer #(.WIDTH(WIDTH), .GATHER(GATHER), .LINE(LINE), .LINES(LINES)) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready),
      .m_axis_tlast(last), .m_axis_tuser(user)
  );

  wire [GATHER*WIDTH+1:0] m_data = {user, last, data};
  wire [GATHER*WIDTH+1:0] expected = {index == '0, ENDS[index], parts};

  stream_checker #(
      .IN(WIDTH), .OUT(GATHER * WIDTH + 2), .WORDS(GATHER), .OUT_WORDS(1), .BLOCKS(LINE * LINES),
      .CAPACITY(GATHER), .HELD(GATHER)
  ) check (.*, .block(parts), .word());

endmodule
