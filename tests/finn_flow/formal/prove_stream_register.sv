// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// dhq_stream_register: the words that went in.

module prove_stream_register #(
    parameter int unsigned WIDTH = 4,
    parameter bit SKID = 0
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  logic s_ready, m_valid;
  logic [WIDTH-1:0] m_data, block;

  dhq_stream_register #(.WIDTH(WIDTH), .SKID(SKID)) dut (.*);

  stream_checker #(
      .IN(WIDTH), .OUT(WIDTH), .CAPACITY(1 + SKID)
  ) check (.*, .word(), .index(), .expected(block));

endmodule
