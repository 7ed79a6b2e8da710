// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Pipeline register for a valid/ready stream.
//
//   s_data ──►[ data ]──► m_data         s_ready ◄── SKID ? register : (!m_valid | m_ready)
//         └──►[spare]─┘  (SKID only)
//
// Latency 1 cycle, throughput 1 word per cycle, both with and without SKID. m_valid and m_data are
// registers; m_data is stable from m_valid until m_ready. Without SKID s_ready depends on m_ready
// combinationally; with SKID a second word of storage makes s_ready a register too.
// Reset (synchronous, active low) empties it; the data registers are not reset.

module dhq_stream_register #(
    parameter int unsigned WIDTH = 8,
    parameter bit SKID = 0
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic [WIDTH-1:0] s_data,
    input  logic             s_valid,
    output logic             s_ready,
    output logic [WIDTH-1:0] m_data,
    output logic             m_valid,
    input  logic             m_ready
);

  logic load;  // the output register takes a word at this edge
  assign load = !m_valid || m_ready;

  if (SKID) begin : g_skid
    logic spare_valid;
    logic [WIDTH-1:0] spare_data;
    assign s_ready = !spare_valid;

    always_ff @(posedge clk) begin
      if (!spare_valid) spare_data <= s_data;
      if (load) m_data <= spare_valid ? spare_data : s_data;
      if (!rst_n) begin
        m_valid     <= 1'b0;
        spare_valid <= 1'b0;
      end else if (load) begin
        m_valid     <= spare_valid || s_valid;
        spare_valid <= 1'b0;
      end else if (s_valid) begin
        spare_valid <= 1'b1;
      end
    end
  end else begin : g_plain
    assign s_ready = load;

    always_ff @(posedge clk) begin
      if (load) m_data <= s_data;
      if (!rst_n) m_valid <= 1'b0;
      else if (load) m_valid <= s_valid;
    end
  end

endmodule
