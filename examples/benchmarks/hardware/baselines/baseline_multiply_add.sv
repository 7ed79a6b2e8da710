// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// p = c + a·b, signed, in one DSP48E2; with REGISTERS two cycles later, else at once. Nothing is reset.

module baseline_multiply_add #(
    parameter bit REGISTERS = 1
) (
    input  logic               clk,
    input  logic signed [26:0] a,
    input  logic signed [17:0] b,
    input  logic signed [47:0] c,
    output logic signed [47:0] p
);

`ifdef VERILATOR  // which has no model of the slice
  logic signed [26:0] a_1;
  logic signed [17:0] b_1;
  logic signed [47:0] c_1;
  if (REGISTERS) begin : g_registers
    always_ff @(posedge clk) begin
      {a_1, b_1, c_1} <= {a, b, c};
      p <= c_1 + a_1 * b_1;
    end
  end else begin : g_none
    assign {a_1, b_1, c_1} = {a, b, c};
    assign p = c_1 + a_1 * b_1;
  end
`else
  DSP48E2 #(
      .AMULTSEL("A"), .BMULTSEL("B"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
      .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"),
      .AREG(REGISTERS), .ACASCREG(REGISTERS), .BREG(REGISTERS), .BCASCREG(REGISTERS),
      .CREG(REGISTERS), .PREG(REGISTERS), .DREG(0), .ADREG(0), .MREG(0), .ALUMODEREG(0),
      .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
  ) slice (
      .CLK(clk), .A(30'(a)), .B(b), .C(c), .D('0), .P(p),
      // C and the product.
      .ALUMODE('0), .INMODE('0), .OPMODE(9'b00_011_01_01),
      .PCIN('0), .ACIN('0), .BCIN('0), .CARRYCASCIN('0), .MULTSIGNIN('0), .CARRYIN('0),
      .CARRYINSEL('0), .PCOUT(), .ACOUT(), .BCOUT(), .CARRYCASCOUT(), .MULTSIGNOUT(), .CARRYOUT(),
      .OVERFLOW(), .UNDERFLOW(), .PATTERNDETECT(), .PATTERNBDETECT(), .XOROUT(),
      .CEA1('0), .CEA2('1), .CEB1('0), .CEB2('1), .CEC('1), .CEP('1), .CED('0), .CEAD('0),
      .CEM('0), .CEALUMODE('0), .CECARRYIN('0), .CECTRL('0), .CEINMODE('0),
      .RSTA('0), .RSTB('0), .RSTC('0), .RSTD('0), .RSTM('0), .RSTP('0), .RSTALLCARRYIN('0),
      .RSTALUMODE('0), .RSTCTRL('0), .RSTINMODE('0)
  );
`endif

endmodule
