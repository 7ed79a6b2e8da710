# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What Yosys maps otherwise than its own passes would, as rules of its ``techmap``.

``bmux_to_shiftx``: slang reads a bit of a vector by $bmux; only as $shiftx does Yosys see a shift
register in it.

``rom_to_luts``: a memory that is never written, marked as one of logic, of more than 32 words, is a
LUT6 for 64 words of a bit and the multiplexers of a slice, MUXF7 and MUXF8, as AMD's ROM256X1 is
(UG474, UG574). By itself Yosys makes multiplexers of constants of it, shares what is alike in the
bits, and has LUTs of fewer inputs in between: for 1024 weights of 4 bits about 270 instead of 68.
"""

__all__ = ["RULES", "commands"]

RULES = r"""
(* techmap_celltype = "$bmux" *)
module bmux_to_shiftx (A, S, Y);
  parameter WIDTH = 0;
  parameter S_WIDTH = 0;
  input [(WIDTH << S_WIDTH) - 1:0] A;
  input [S_WIDTH - 1:0] S;
  output [WIDTH - 1:0] Y;
  wire _TECHMAP_FAIL_ = WIDTH != 1;
  generate if (WIDTH == 1)
    \$shiftx #(
        .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(1 << S_WIDTH), .B_WIDTH(S_WIDTH), .Y_WIDTH(1)
    ) mux (.A(A), .B(S), .Y(Y));
  endgenerate
endmodule

(* techmap_celltype = "$mem_v2" *)
module rom_to_luts (
    RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA
);
  parameter SIZE = 0;
  parameter OFFSET = 0;
  parameter ABITS = 0;
  parameter WIDTH = 0;
  parameter INIT = 0;
  parameter RD_PORTS = 0;
  parameter RD_CLK_ENABLE = 0;
  parameter WR_PORTS = 0;
  // Those of every memory must be declared.
  parameter MEMID = "", RD_CLK_POLARITY = 0, RD_TRANSPARENCY_MASK = 0, RD_COLLISION_X_MASK = 0,
      RD_WIDE_CONTINUATION = 0, RD_CE_OVER_SRST = 0, RD_ARST_VALUE = 0, RD_SRST_VALUE = 0,
      RD_INIT_VALUE = 0, WR_CLK_ENABLE = 0, WR_CLK_POLARITY = 0, WR_PRIORITY_MASK = 0,
      WR_WIDE_CONTINUATION = 0;
  input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [RD_PORTS*ABITS-1:0] RD_ADDR;
  output [RD_PORTS*WIDTH-1:0] RD_DATA;
  input WR_CLK, WR_EN, WR_ADDR, WR_DATA;
  localparam LEVELS = $clog2(SIZE) - 6;
  localparam FITS = WR_PORTS == 0 && RD_CLK_ENABLE == 0 && OFFSET == 0 && LEVELS >= 0;
  wire _TECHMAP_FAIL_ = !FITS;

  // A bit of 64 words from the first on; 0 where there is none.
  function [63:0] column(input integer first, input integer place);
    integer i;
    for (i = 0; i < 64; i = i + 1)
      column[i] = first + i < SIZE ? INIT[(first + i) * WIDTH + place] : 1'b0;
  endfunction

  genvar port, place, i;
  generate
    if (FITS)
      for (port = 0; port < RD_PORTS; port = port + 1) begin : ports
        wire [ABITS-1:0] a = RD_ADDR[port*ABITS+:ABITS];
        for (place = 0; place < WIDTH; place = place + 1) begin : bits
          // A tree: what is at 2i and 2i + 1 is chosen from at i.
          wire [(2<<LEVELS)-1:0] found;
          for (i = 0; i < 1 << LEVELS; i = i + 1) begin : sections
            localparam [63:0] WORDS = column(64 * i, place);
            if (WORDS == 64'b0 || WORDS == ~64'b0) assign found[(1<<LEVELS)+i] = WORDS[0];
            else
              LUT6 #(.INIT(WORDS)) lut (.O(found[(1<<LEVELS)+i]),
                  .I0(a[0]), .I1(a[1]), .I2(a[2]), .I3(a[3]), .I4(a[4]), .I5(a[5]));
          end
          for (i = 1; i < 1 << LEVELS; i = i + 1) begin : muxes
            localparam LEVEL = LEVELS - $clog2(i + 1);
            if (LEVEL == 0)
              MUXF7 mux (.O(found[i]), .I0(found[2*i]), .I1(found[2*i+1]), .S(a[6]));
            else if (LEVEL == 1)
              MUXF8 mux (.O(found[i]), .I0(found[2*i]), .I1(found[2*i+1]), .S(a[7]));
            else assign found[i] = a[6+LEVEL] ? found[2*i+1] : found[2*i];
          end
          assign RD_DATA[port*WIDTH+place] = found[1];
        end
      end
  endgenerate
endmodule
"""


def commands(file: str) -> list[str]:
    """Commands that apply the RULES, which are in ``file``, to what was read."""
    return [
        f"techmap -map {file} t:$bmux",
        "memory_collect",
        f"techmap -map {file} t:$mem_v2 a:ram_style=registers %i",
    ]
