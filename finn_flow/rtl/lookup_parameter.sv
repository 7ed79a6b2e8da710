// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Per-tensor or per-channel constants of lookup_activation, one per lane.
//
//   PER_CHANNEL 0: values[lane] = VALUE, a constant.
//   PER_CHANNEL 1: values[lane] = memory[fold][lane], loaded into a register with `enable`.
//
// FILE ($readmemh), PER_CHANNEL only: FOLDS lines of LANES·WIDTH bits, lane 0 in the low bits;
// numbers are two's complement. The memory style is left to synthesis.
// Latency 1 cycle (0 for a constant). Nothing is reset.

module lookup_parameter #(
    parameter bit PER_CHANNEL = 1,
    parameter int unsigned FOLDS = 4,
    parameter int unsigned LANES = 1,
    parameter int unsigned WIDTH = 16,
    parameter string FILE = "parameter.mem",
    parameter logic [WIDTH-1:0] VALUE = '0,
    localparam int unsigned FOLD_WIDTH = dhq_rtl_pkg::index_width(FOLDS)
) (
    // A constant uses no input.
    // verilator lint_off UNUSEDSIGNAL
    input  logic                         clk,
    input  logic                         enable,
    input  logic [FOLD_WIDTH-1:0]        fold,
    // verilator lint_on UNUSEDSIGNAL
    output logic [LANES-1:0][WIDTH-1:0]  values
);

  if (PER_CHANNEL) begin : g_channel
    logic [LANES*WIDTH-1:0] memory[FOLDS];
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk) if (enable) values <= memory[fold];
  end else begin : g_tensor
    assign values = {LANES{VALUE}};
  end

endmodule
