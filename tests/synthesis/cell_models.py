# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Models of the cells of a Xilinx netlist for Verilator.

Small cells come from Yosys's library. For the two that have none there, these are the parts of
UG579 (DSP48E2) and UG573 (RAMB18E2) that FINN and Yosys use; anything else stops the simulation.
"""

import re

from dhq_brevitas.finn_flow.synthesis import Yosys

# P = Z ± (A or D + A)·B, or C; every register of its own enable, synchronous reset.
DSP48E2 = """
  wire [8:0] op_in = OPMODE ^ IS_OPMODE_INVERTED;
  wire [4:0] inmode = INMODE ^ IS_INMODE_INVERTED;
  reg signed [29:0] a_q, a1_q;
  reg signed [17:0] b_q, b1_q;
  reg signed [47:0] c_q, p_q;
  reg signed [26:0] d_q, ad_q;
  reg signed [44:0] m_q;
  reg [8:0] op_q;
  initial begin
    a_q = 0; a1_q = 0; b_q = 0; b1_q = 0; c_q = 0; p_q = 0; d_q = 0; ad_q = 0; m_q = 0; op_q = 0;
    if (A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || USE_SIMD != "ONE48" || BMULTSEL != "B")
      $fatal(1, "DSP48E2: a mode that is not modelled");
  end
  wire signed [29:0] a = AREG == 0 ? $signed(A) : a_q;
  wire signed [17:0] b = BREG == 0 ? $signed(B) : b_q;
  wire signed [47:0] c = CREG == 0 ? $signed(C) : c_q;
  wire signed [26:0] d = DREG == 0 ? $signed(D) : d_q;
  wire signed [26:0] a_gated = inmode[1] ? 27'sd0 : $signed(a[26:0]);
  wire signed [26:0] d_gated = inmode[2] ? d : 27'sd0;
  wire signed [26:0] sum = inmode[3] ? d_gated - a_gated : d_gated + a_gated;
  wire signed [26:0] ad = ADREG == 0 ? sum : ad_q;
  wire signed [26:0] factor = AMULTSEL == "AD" ? ad : a_gated;
  wire signed [44:0] product = factor * b;
  wire signed [44:0] m = MREG == 0 ? product : m_q;
  wire [8:0] op = OPMODEREG == 0 ? op_in : op_q;
  wire signed [47:0] xy = op[3:0] == 4'b0101 ? 48'(m) : op[3:0] == 4'b1100 ? c : 48'sd0;
  wire signed [47:0] z = op[6:4] == 3'b010 ? p_q : op[6:4] == 3'b011 ? c : 48'sd0;
  wire signed [47:0] result = ALUMODE == 4'b0011 ? z - xy : z + xy;
  assign P = PREG == 0 ? result : p_q;
  always @(posedge CLK) begin
    if (CEA1) a1_q <= $signed(A);
    if (CEA2) a_q <= AREG == 2 ? a1_q : $signed(A);
    if (CEB1) b1_q <= $signed(B);
    if (CEB2) b_q <= BREG == 2 ? b1_q : $signed(B);
    if (CEC) c_q <= $signed(C);
    if (CED) d_q <= $signed(D);
    if (CEAD) ad_q <= sum;
    if (CEM) m_q <= product;
    if (CECTRL) op_q <= op_in;
    if (CEP) p_q <= result;
    if (RSTA) begin a_q <= 0; a1_q <= 0; end
    if (RSTB) begin b_q <= 0; b1_q <= 0; end
    if (RSTC) c_q <= 0;
    if (RSTD) begin d_q <= 0; ad_q <= 0; end
    if (RSTM) m_q <= 0;
    if (RSTCTRL) op_q <= 0;
    if (RSTP) p_q <= 0;
    if (ALUMODE != 4'b0000 && ALUMODE != 4'b0011) $fatal(1, "DSP48E2: ALUMODE is not modelled");
    if (!(op[3:0] inside {4'b0000, 4'b0101, 4'b1100}) || !(op[6:4] inside {0, 2, 3}))
      $fatal(1, "DSP48E2: an OPMODE that is not modelled");
  end
"""


def ramb18e2() -> str:
    """Reading with one or both ports, each of up to 18 bits; writing is not modelled."""
    contents = "".join(f"    memory[{i} * 256 +: 256] = INIT_{i:02X};\n" for i in range(64))
    parity = "".join(f"    parity[{i} * 256 +: 256] = INITP_{i:02X};\n" for i in range(8))
    ports = ""
    for port, address, clock, enable, out, parity_out in (
        ("A", "ADDRARDADDR", "CLKARDCLK", "ENARDEN", "DOUTADOUT", "DOUTPADOUTP"),
        ("B", "ADDRBWRADDR", "CLKBWRCLK", "ENBWREN", "DOUTBDOUT", "DOUTPBDOUTP"),
    ):
        width = f"READ_WIDTH_{port}"
        ports += f"""
  localparam integer DATA_{port} = {width} == 9 ? 8 : {width} == 18 ? 16 : {width};
  reg [17:0] word_{port}, late_{port};
  always @(posedge {clock}) begin
    if ({enable}) for (integer i = 0; i < DATA_{port}; i = i + 1)
      word_{port}[i] <= memory[14'({address} / DATA_{port} * DATA_{port} + i)];
    if ({enable}) for (integer i = 0; i < DATA_{port} / 8; i = i + 1)
      word_{port}[16 + i] <= parity[11'({address} / 8 + i)];
    late_{port} <= word_{port};
    if ({enable} && ({width} > 18)) $fatal(1, "RAMB18E2: a width that is not modelled");
  end
  assign {{ {parity_out}, {out} }} = DO{port}_REG ? late_{port} : word_{port};
"""
    return f"""
  reg [16383:0] memory;
  reg [2047:0] parity;
  initial begin
{contents}{parity}    if (WRITE_WIDTH_A != 0 || WRITE_WIDTH_B != 0) $fatal(1, "RAMB18E2: writing");
  end
{ports}"""


def models_of(netlist: str) -> str:
    """Verilog of all cells that a netlist has."""
    yosys = Yosys()
    bodies = {"DSP48E2": DSP48E2, "RAMB18E2": ramb18e2()}
    cells = sorted(set(re.findall(r"^  ([A-Z][A-Z0-9_]+) (?:#\(|\S+ \()", netlist, re.M)))
    return "".join(
        yosys.cell_declaration(cell, bodies[cell]) if cell in bodies else yosys.cell_model(cell)
        for cell in cells
    )
