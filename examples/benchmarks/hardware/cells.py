# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Models of the cells of an UltraScale netlist for Verilator.

Small cells come from Yosys's library. For those that have none there, these are the parts of UG579
(DSP48E2) and UG573 (RAMB18E2, RAMB36E2) that FINN and Yosys use; anything else stops the
simulation.
"""

import re

from dhq_brevitas.finn_flow.synthesis.yosys import Yosys

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
      $fatal(1, "DSP48E2: a mode that is not modeled");
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
  wire signed [47:0] z = op[6:4] == 3'b010 ? p_q : op[6:4] == 3'b011 ? c :
                         op[6:4] == 3'b001 ? $signed(PCIN) :
                         op[6:4] == 3'b101 ? $signed(PCIN) >>> 17 : 48'sd0;
  wire signed [47:0] result = ALUMODE == 4'b0011 ? z - xy : z + xy;
  assign P = PREG == 0 ? result : p_q;
  assign PCOUT = P;
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
    if (ALUMODE != 4'b0000 && ALUMODE != 4'b0011) $fatal(1, "DSP48E2: ALUMODE is not modeled");
    if (!(op[3:0] inside {4'b0000, 4'b0101, 4'b1100}) || !(op[6:4] inside {0, 1, 2, 3, 5}))
      $fatal(1, "DSP48E2: an OPMODE that is not modeled");
  end
"""


def block_ram(port_bits: int) -> str:
    """Reading of RAMB18E2 (``port_bits`` 16) or RAMB36E2 (32), one word wider than a port or two
    ports; writing stops the simulation."""
    lines, words = port_bits * 4, port_bits // 2
    contents = "".join(f"    memory[{i} * 256 +: 256] = INIT_{i:02X};\n" for i in range(lines))
    parity = "".join(f"    parity[{i} * 256 +: 256] = INITP_{i:02X};\n" for i in range(words))
    ports = ""
    for port, address, clock, enable, out, parity_out in (
        ("A", "ADDRARDADDR", "CLKARDCLK", "ENARDEN", "DOUTADOUT", "DOUTPADOUTP"),
        ("B", "ADDRBWRADDR", "CLKBWRCLK", "ENBWREN", "DOUTBDOUT", "DOUTPBDOUTP"),
    ):
        width = f"READ_WIDTH_{port}"
        ports += f"""
  localparam integer DATA_{port} = {width} < 9 ? {width} : {width} / 9 * 8;
  reg [{port_bits * 2 - 1}:0] word_{port}, late_{port};
  reg [{port_bits // 4 - 1}:0] extra_{port}, late_extra_{port};
  wire [31:0] at_{port} = DATA_{port} == 0 ? 0 : 32'({address}) / DATA_{port} * DATA_{port};
  always @(posedge {clock}) begin
    if ({enable}) for (integer i = 0; i < DATA_{port}; i = i + 1)
      word_{port}[i] <= memory[{(port_bits * 1024).bit_length() - 1}'(at_{port} + i)];
    if ({enable}) for (integer i = 0; i < DATA_{port} / 8; i = i + 1)
      extra_{port}[i] <= parity[{(port_bits * 128).bit_length() - 1}'(at_{port} / 8 + i)];
    late_{port} <= word_{port};
    late_extra_{port} <= extra_{port};
  end
  wire [{port_bits * 2 - 1}:0] data_{port} = DO{port}_REG ? late_{port} : word_{port};
  wire [{port_bits // 4 - 1}:0] more_{port} = DO{port}_REG ? late_extra_{port} : extra_{port};
  assign {{ {parity_out}, {out} }} = """
        narrow = f"{{ more_{port}[{port_bits // 8 - 1}:0], data_{port}[{port_bits - 1}:0] }}"
        high = (
            f"{{ more_A[{port_bits // 4 - 1}:{port_bits // 8}], "
            f"data_A[{port_bits * 2 - 1}:{port_bits}] }}"
        )
        # A word wider than a port leaves through both: its upper half through B.
        ports += f"{narrow};\n" if port == "A" else f"DATA_A > {port_bits} ? {high} : {narrow};\n"
    return f"""
  reg [{port_bits * 1024 - 1}:0] memory;
  reg [{port_bits * 128 - 1}:0] parity;
  initial begin
{contents}{parity}  end
  always @(posedge CLKBWRCLK)
    if ((ENARDEN && WEA != 0 && WRITE_WIDTH_A != 0) || (ENBWREN && WEBWE != 0))
      $fatal(1, "block RAM: writing is not modeled");
{ports}"""


def models_of(netlist: str) -> str:
    """Verilog of all cells that a netlist has."""
    yosys = Yosys()
    bodies = {"DSP48E2": DSP48E2, "RAMB18E2": block_ram(16), "RAMB36E2": block_ram(32)}
    cells = sorted(set(re.findall(r"^  ([A-Z][A-Z0-9_]+) (?:#\(|\S+ +\()", netlist, re.M)))
    return "".join(
        yosys.cell_declaration(cell, bodies[cell]) if cell in bodies else yosys.cell_model(cell)
        for cell in cells
    )
