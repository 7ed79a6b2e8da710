// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// dhq_pipeline_control: registers that its enables load deliver the words that went in.

module prove_pipeline_control #(
    parameter int unsigned STAGES = 3,
    parameter int unsigned WIDTH = 2
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  logic s_ready, m_valid;
  logic [STAGES-1:0] enable;
  logic [WIDTH-1:0] m_data, block;
  logic [STAGES-1:0][WIDTH-1:0] data;

  dhq_pipeline_control #(.STAGES(STAGES)) dut (.*);

  always_ff @(posedge clk) begin
    for (int unsigned i = 0; i < STAGES; i++)
      if (enable[i]) data[i] <= (i == 0) ? s_data : data[(i == 0) ? 0 : i-1];
  end
  assign m_data = data[STAGES-1];

  stream_checker #(
      .IN(WIDTH), .OUT(WIDTH), .CAPACITY(STAGES), .LATENCY(STAGES)
  ) check (.*, .word(), .index(), .expected(block));

endmodule
