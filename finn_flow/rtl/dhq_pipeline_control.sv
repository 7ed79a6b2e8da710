// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Valid/ready control of a pipeline of STAGES registers that the parent holds.
//
//   s_valid ──►[valid 0]──►[valid 1]── … ──►[valid STAGES-1]──► m_valid
//
// The parent loads register i with enable[i]. A stage moves on whenever the next one is empty or
// moves on, so gaps close while the output waits. Latency STAGES cycles, one word per cycle.
// m_valid is a register. s_ready = enable[0] = m_ready or any stage empty: combinational.
// Reset (synchronous, active low) empties all stages.

module dhq_pipeline_control #(
    parameter int unsigned STAGES = 4
) (
    input  logic              clk,
    input  logic              rst_n,
    input  logic              s_valid,
    output logic              s_ready,
    output logic              m_valid,
    input  logic              m_ready,
    output logic [STAGES-1:0] enable
);

  logic [STAGES-1:0] valid;

  always_comb begin
    for (int unsigned i = 0; i < STAGES; i++) enable[i] = m_ready || (~valid >> i) != '0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) valid <= '0;
    else valid <= (enable & STAGES'({valid, s_valid})) | (~enable & valid);
  end

  assign s_ready = enable[0];
  assign m_valid = valid[STAGES-1];

endmodule
