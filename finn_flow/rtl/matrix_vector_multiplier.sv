// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One product of a chain of sums.
//
//   d, a ─►[ ]─► d - a ─►[ ]─►┐
//                             × ─►[ ]─► + ─►[sum]─► sum_out      sum_out = sum_in + (d - a)·b
//   b ─────►[ ]─────────►[ ]─►┘         ▲
//                                    sum_in (0 if FIRST)
//
// d, a and b are signed and enter together. DSP names the slice that holds all of this, DSP48E2 or
// DSP48E1; sum_in and sum_out then are its cascade, p is sum_out for logic. With DSP "" it is logic
// that a tool may map, a is 0 and there is one register before the product instead of two; SIGNS 1 says that d is
// 0, 1 or -1 (2 bits) or, with WIDE 1, +1 if it is 0 and -1 if it is 1: then no product, and no register
// for it, is needed.
// Latency from d, a, b: 4 cycles with a DSP slice, 3 without, 2 with SIGNS. Nothing is reset.

module matrix_vector_multiplier #(
    parameter string DSP = "",
    parameter bit SIGNS = 0,
    parameter int unsigned WIDE = 27,  // bits of d and a
    parameter int unsigned NARROW = 18,  // bits of b
    parameter int unsigned SUM = 48,
    parameter bit FIRST = 1
) (
    input  logic                     clk,
    input  logic                     enable,
    input  logic signed [  WIDE-1:0] d,
    // verilator lint_off UNUSEDSIGNAL
    input  logic signed [  WIDE-1:0] a,
    input  logic signed [   SUM-1:0] sum_in,
    // verilator lint_on UNUSEDSIGNAL
    input  logic signed [NARROW-1:0] b,
    output logic signed [   SUM-1:0] sum_out,
    output logic signed [   SUM-1:0] p
);

  // The slices have no model for Verilator.
  localparam bit LOGIC =
`ifdef VERILATOR
      1;
`else
      DSP == "";
`endif

  if (LOGIC) begin : g_logic
    logic signed [SUM-1:0] previous;
    assign previous = FIRST ? '0 : sum_in;

    if (SIGNS) begin : g_signs
      logic signed [NARROW-1:0] factor;
      logic signed [WIDE-1:0] sign;
      logic minus;
      logic [SUM-1:0] added;
      // One adder: its carry in is the bit below.
      // verilator lint_off UNUSEDSIGNAL
      logic [SUM:0] sum;
      // verilator lint_on UNUSEDSIGNAL
      assign minus = sign[WIDE-1];
      assign added = (WIDE == 1 || sign[0]) ? SUM'(factor) ^ {SUM{minus}} : '0;
      assign sum   = {previous, 1'b1} + {added, (WIDE == 1 || sign[0]) && minus};
      always_ff @(posedge clk) begin
        if (enable) begin
          {sign, factor} <= {d, b};
          p <= sum[SUM:1];
        end
      end
    end else begin : g_product
      logic signed [WIDE-1:0] difference;
      logic signed [WIDE+NARROW-1:0] product;
      if (DSP != "") begin : g_as_slice
        // The slice's latency; a product ahead of its time takes fewer registers to simulate.
        logic signed [WIDE+NARROW-1:0] early, late;
        assign difference = d - a;
        always_ff @(posedge clk) begin
          if (enable) begin
            early <= difference * b;
            {late, product} <= {early, late};
          end
        end
      end else begin : g_plain
        logic signed [NARROW-1:0] factor;
        always_ff @(posedge clk) begin
          if (enable) begin
            {difference, factor} <= {d, b};
            product <= difference * factor;
          end
        end
      end
      always_ff @(posedge clk) if (enable) p <= previous + SUM'(product);
    end
    assign sum_out = p;
  end
`ifndef VERILATOR
  else begin : g_slice
    // Z = 0 or the cascade, X and Y the product.
    localparam logic [6:0] OPERATION = FIRST ? 7'b000_01_01 : 7'b001_01_01;
    logic [47:0] p_slice, cascade;
    assign p = SUM'(p_slice);
    assign sum_out = SUM'(cascade);

    if (DSP == "DSP48E2") begin : g_e2
      DSP48E2 #(
          .AMULTSEL("AD"), .BMULTSEL("B"), .PREADDINSEL("A"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
          .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"),
          .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(1), .BREG(2), .BCASCREG(2), .CREG(0), .MREG(1),
          .PREG(1), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
      ) slice (
          .CLK(clk),
          .A(30'(a)), .B(18'(b)), .C('0), .D(27'(d)),
          .PCIN(FIRST ? '0 : 48'(sum_in)), .P(p_slice), .PCOUT(cascade),
          .ACIN('0), .BCIN('0), .CARRYCASCIN('0), .MULTSIGNIN('0), .CARRYIN('0), .CARRYINSEL('0),
          .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .MULTSIGNOUT(), .CARRYOUT(), .OVERFLOW(), .UNDERFLOW(),
          .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT(),
          .ALUMODE('0), .INMODE(5'b01100), .OPMODE({2'b00, OPERATION}),
          .CEA1('0), .CEA2(enable), .CED(enable), .CEAD(enable), .CEB1(enable), .CEB2(enable),
          .CEM(enable), .CEP(enable), .CEC('0), .CEALUMODE('0), .CECARRYIN('0), .CECTRL('0),
          .CEINMODE('0),
          .RSTA('0), .RSTB('0), .RSTC('0), .RSTD('0), .RSTM('0), .RSTP('0), .RSTALLCARRYIN('0),
          .RSTALUMODE('0), .RSTCTRL('0), .RSTINMODE('0)
      );
    end else begin : g_e1
      DSP48E1 #(
          .A_INPUT("DIRECT"), .B_INPUT("DIRECT"), .USE_DPORT("TRUE"), .USE_MULT("MULTIPLY"),
          .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"),
          .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(1), .BREG(2), .BCASCREG(2), .CREG(0), .MREG(1),
          .PREG(1), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
      ) slice (
          .CLK(clk),
          .A(30'(a)), .B(18'(b)), .C('0), .D(25'(d)),
          .PCIN(FIRST ? '0 : 48'(sum_in)), .P(p_slice), .PCOUT(cascade),
          .ACIN('0), .BCIN('0), .CARRYCASCIN('0), .MULTSIGNIN('0), .CARRYIN('0), .CARRYINSEL('0),
          .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .MULTSIGNOUT(), .CARRYOUT(), .OVERFLOW(), .UNDERFLOW(),
          .PATTERNDETECT(), .PATTERNBDETECT(),
          .ALUMODE('0), .INMODE(5'b01100), .OPMODE(OPERATION),
          .CEA1('0), .CEA2(enable), .CED(enable), .CEAD(enable), .CEB1(enable), .CEB2(enable),
          .CEM(enable), .CEP(enable), .CEC('0), .CEALUMODE('0), .CECARRYIN('0), .CECTRL('0),
          .CEINMODE('0),
          .RSTA('0), .RSTB('0), .RSTC('0), .RSTD('0), .RSTM('0), .RSTP('0), .RSTALLCARRYIN('0),
          .RSTALUMODE('0), .RSTCTRL('0), .RSTINMODE('0)
      );
    end
  end
`endif

endmodule
