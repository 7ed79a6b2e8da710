// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One lane of x·M + B, modulo 2^WIDTH.
//
//   data ──►[x]──┐
//   scale ───────┴─×──►[product]──(►[product], wide)──┐
//   bias ──────────►[bias]────────(►[bias])───────────┴─ + ──►[sum]──► result
//
// HAS_SCALE 0: M = 2^SCALE_SHIFT, no multiplier and no product registers. HAS_BIAS 0: B = 0.
// Neither: the result is the shifted x register. Registers as a DSP48E2 has them (A/B, M, P);
// products beyond 27 x 18 bits have one more for the cascade. enable[i] loads register i;
// scale and bias arrive registered, in step with [x].
// Latency 1 + HAS_SCALE·(1 + [wide]) + (HAS_SCALE or HAS_BIAS) cycles. Nothing is reset.

module lookup_affine #(
    parameter int unsigned IN_WIDTH = 16,
    parameter bit IN_SIGNED = 1,
    parameter bit HAS_SCALE = 1,
    parameter int unsigned SCALE_WIDTH = 16,
    parameter int unsigned SCALE_SHIFT = 0,
    parameter bit HAS_BIAS = 1,
    parameter int unsigned BIAS_WIDTH = 16,
    parameter int unsigned WIDTH = 33,
    localparam int unsigned X_WIDTH = dhq_rtl_pkg::min_of(IN_WIDTH + (IN_SIGNED ? 0 : 1), WIDTH),
    localparam int unsigned M_WIDTH = dhq_rtl_pkg::min_of(SCALE_WIDTH, WIDTH),
    localparam bit WIDE = HAS_SCALE && dhq_rtl_pkg::wide_product(X_WIDTH, M_WIDTH),
    localparam int unsigned STAGES = dhq_rtl_pkg::affine_stages(
        HAS_SCALE, HAS_BIAS, X_WIDTH, M_WIDTH
    )
) (
    input  logic                          clk,
    input  logic        [     STAGES-1:0] enable,
    input  logic        [   IN_WIDTH-1:0] data,
    // Idle without scale or bias; of wide ones only the bits below WIDTH matter.
    // verilator lint_off UNUSEDSIGNAL
    input  logic signed [SCALE_WIDTH-1:0] scale,
    input  logic signed [ BIAS_WIDTH-1:0] bias,
    // verilator lint_on UNUSEDSIGNAL
    output logic signed [      WIDTH-1:0] result
);

  // Operands modulo 2^WIDTH give the product modulo 2^WIDTH.
  logic signed [X_WIDTH-1:0] x;
  always_ff @(posedge clk)
    if (enable[0]) x <= X_WIDTH'($signed({IN_SIGNED && data[IN_WIDTH-1], data}));

  if (HAS_SCALE) begin : g_scale
    logic signed [M_WIDTH-1:0] multiplier;
    logic signed [X_WIDTH+M_WIDTH-1:0] product[1+WIDE];
    logic signed [WIDTH-1:0] addend[1+WIDE];

    assign multiplier = M_WIDTH'(scale);

    always_ff @(posedge clk) begin
      if (enable[1]) begin
        product[0] <= x * multiplier;
        addend[0]  <= HAS_BIAS ? WIDTH'(bias) : '0;
      end
      if (WIDE && enable[1+WIDE]) begin
        product[WIDE] <= product[0];
        addend[WIDE]  <= addend[0];
      end
      if (enable[STAGES-1]) result <= WIDTH'(product[WIDE]) + addend[WIDE];
    end
  end else if (HAS_BIAS) begin : g_bias
    always_ff @(posedge clk) begin
      if (enable[1]) result <= (WIDTH'(x) <<< SCALE_SHIFT) + WIDTH'(bias);
    end
  end else begin : g_shift
    assign result = WIDTH'(x) <<< SCALE_SHIFT;
  end

endmodule
