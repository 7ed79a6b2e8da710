# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Registers in multipliers: which move, and a proof that the netlist computes the same."""

import copy
import json
import subprocess
from collections import Counter
from pathlib import Path

import pyosys
import pytest

from dhq_brevitas.finn_flow.placement.multipliers import MULTIPLIER, pack_registers
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys

ABC = Path(pyosys.__file__).with_name("yosys-abc")
# Products: with enables; of a register that is read elsewhere; of a product's register; of an
# input, and read twice; with a reset; without an enable.
MANY = """\
module many (
    input logic clk, rst_n, first, second,
    input logic signed [4:0] a, b,
    input logic [4:0] c, d,
    output logic signed [9:0] whole,
    output logic [9:0] chained, shared, spread, late, free,
    output logic [4:0] kept
);
  logic signed [4:0] a_in, b_in;
  logic [4:0] c_in, d_in, e_in, f_in, g_in, h_in, i_in;
  logic [9:0] square, product;
  assign product = d_in * c;
  assign kept = c_in;
  always_ff @(posedge clk) begin
    if (first) {a_in, whole} <= {a, 10'(a_in * b_in)};
    if (second) {b_in, d_in} <= {b, d};
    if (first) {c_in, e_in, f_in} <= {c, d, c ^ d};
    square <= c_in * e_in;
    chained <= square[9:5] * f_in;
    {shared, spread} <= {product, product + shared};
    {h_in, i_in, free} <= {c, d, 10'(h_in * i_in)};
    if (!rst_n) {g_in, late} <= '0;
    else {g_in, late} <= {d, 10'(g_in * f_in)};
  end
endmodule
"""
WHOLE, SQUARE, CHAINED, PRODUCT, LATE, FREE = (
    MANY[: MANY.index(text)].count("\n") + 1
    for text in ("a_in *", "c_in *", "square[9:5] *", "d_in * c", "g_in *", "h_in *")
)
FACTORS = {"REG_INPUTA_CLK", "REG_INPUTB_CLK"}


def model() -> str:
    """MULT18X18D with the registers of its factors and of its product, Lattice FPGA-TN-02205."""

    def bus(port: str, width: int) -> str:
        return "{" + ", ".join(f"{port}{index}" for index in reversed(range(width))) + "}"

    a, b, c, p = bus("A", 18), bus("B", 18), bus("C", 18), bus("P", 36)
    inputs = f"{a}, {b}, {c}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, CE1, CE2, RST0"
    ports = inputs.translate({ord("{"): None, ord("}"): None})
    chosen = '{0} == "CE0" ? CE0 : {0} == "CE1" ? CE1 : CE2'
    text = f"module {MULTIPLIER} (input {ports.replace(', ', ', input ')},"
    text += f" output {p.strip('{}').replace(', ', ', output ')});\n"
    for name in ("INPUTA", "INPUTB", "OUTPUT"):
        text += f'parameter REG_{name}_CLK = "NONE", REG_{name}_CE = "CE0";\n'
        text += f'parameter REG_{name}_RST = "RST0";\n'
    return (
        text
        + f"""
parameter GSR = "ENABLED";
reg [18:0] a = 0, b = 0;
reg [35:0] p = 0;
wire [18:0] a_now = {{SIGNEDA & A17, {a}}}, b_now = {{SIGNEDB & B17, {b}}};
wire signed [18:0] x = REG_INPUTA_CLK == "NONE" ? a_now : a;
wire signed [18:0] y = REG_INPUTB_CLK == "NONE" ? b_now : b;
wire [35:0] product = x * y;
assign {p} = REG_OUTPUT_CLK == "NONE" ? product : p;
always @(posedge CLK0) begin
  if ({chosen.format("REG_INPUTA_CE")}) a <= a_now;
  if ({chosen.format("REG_INPUTB_CE")}) b <= b_now;
  if ({chosen.format("REG_OUTPUT_CE")}) p <= product;
end
endmodule
"""
    )


@pytest.fixture(scope="module")
def netlist(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("many")
    (folder / "many.sv").write_text(MANY)
    commands = ["read_slang --threads 1 --top many many.sv", "synth_ecp5 -top many -json many.json"]
    Yosys().run(commands, folder)
    module = json.loads((folder / "many.json").read_text())["modules"]["many"]
    # As the top of its file it would be kept instead of the other one.
    return module | {"attributes": {}}


@pytest.fixture(scope="module")
def packed(netlist) -> dict:
    module = copy.deepcopy(netlist)
    assert pack_registers(module) == 4
    assert pack_registers(module) == 0
    return module


def multipliers(module: dict) -> dict[int, dict]:
    """By the line of MANY."""
    return {
        int(cell["attributes"]["src"].split(":")[1].split(".")[0]): cell
        for cell in module["cells"].values()
        if cell["type"] == MULTIPLIER
    }


def test_what_moves(netlist, packed):
    moved = {
        line: {name for name in cell["parameters"] if name.endswith("CLK")}
        for line, cell in multipliers(packed).items()
    }
    assert moved == {
        WHOLE: FACTORS,
        SQUARE: FACTORS,
        CHAINED: FACTORS,
        PRODUCT: set(),
        LATE: set(),
        FREE: {*FACTORS, "REG_OUTPUT_CLK"},
    }
    connections = multipliers(packed)[WHOLE]["connections"]
    first, second = (netlist["ports"][name]["bits"] for name in ("first", "second"))
    assert [connections[name] for name in ("CE0", "CE1")] == [first, second]
    before, after = (
        Counter(cell["type"] for cell in module["cells"].values()) for module in (netlist, packed)
    )
    # a_in, b_in; e_in; square[9:5]; h_in, i_in and free. c_in and f_in have other readers.
    assert before - after == {"TRELLIS_FF": 40}


def outcome(before: dict, after: dict, folder: Path) -> str:
    """What ABC says of both, from the start and for ever, by induction over pairs of registers."""
    for name, module in (("before", before), ("after", after)):
        (folder / f"{name}.json").write_text(json.dumps({"modules": {name: module}}))
    (folder / "model.v").write_text(model())
    commands = [
        *("read_json before.json", "read_json after.json", "read_verilog model.v"),
        "read_verilog -D NO_INCLUDES -D YOSYS +/lattice/cells_sim_ecp5.v",
        *("hierarchy -check", "proc", "miter -equiv -flatten -make_assert before after both"),
        *("hierarchy -top both", "flatten", "opt -full -nodffe -nosdff", "chformal -lower"),
        *("formalff -clk2ff", "techmap", "dffunmap", "simplemap", "opt -fast -nodffe -nosdff"),
        *("aigmap", "opt_clean", "write_aiger -zinit both.aig"),
    ]
    Yosys().run(commands, folder)
    script = "read_aiger both.aig; fold; strash; dprove"
    done = subprocess.run(
        [ABC, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("fault", [False, True])
def test_proof(netlist, packed, tmp_path, fault):
    """Negative control: an enable of a register is lost."""
    module = copy.deepcopy(packed)
    if fault:
        multipliers(module)[WHOLE]["connections"]["CE1"] = ["1"]
    assert ("Networks are equivalent." in outcome(netlist, module, tmp_path)) is not fault
