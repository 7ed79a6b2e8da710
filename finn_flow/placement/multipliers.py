# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Registers beside a multiplier of ECP5, moved into it.

A MULT18X18D has registers for its factors and for its product (Lattice FPGA-TN-02205, "ECP5 and
ECP5-5G sysDSP Usage Guide"). Yosys uses none of them: such registers stay in the fabric, and two
wires and the whole multiplier lie in one cycle. :func:`pack_registers` edits the mapped netlist:
the same registers, with the same clock and enable, in another place.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

MULTIPLIER, FLIP_FLOP = "MULT18X18D", "TRELLIS_FF"
# Ports of the multiplier: its register for them, and that register's enable.
_REGISTERS = {"A": ("INPUTA", 0), "B": ("INPUTB", 1), "P": ("OUTPUT", 0)}
_WIDTHS = {"A": 18, "B": 18, "P": 36}
# Flip-flops as those of the multiplier: rising edge, 0 at the start. SRMODE matters with a reset.
_ALIKE = {"CLKMUX": {"CLK"}, "CEMUX": {"CE", "1 "}, "REGSET": {"RESET"}, "LSRMUX": {"LSR"}}

Cell = dict[str, Any]
Bit = int | str  # a net, or a constant


class _Register(NamedTuple):
    """Flip-flops of one port: clock, enable, and by the port's bits their other sides."""

    clock: Bit
    enable: Bit
    nets: dict[str, Bit]


def pack_registers(module: Mapping[str, Any]) -> int:
    """Moves registers of a flat module of Yosys's JSON into multipliers; how many have any.

    A factor's register moves if both factors are registers, and it stays for other readers; a
    product's, if nothing else reads the product, and there is no enable: nextpnr 0.11 writes none
    for it into the bitstream (REG_OUTPUT_CE). Not moved: registers with a reset, with an initial 1,
    and those of which the bits differ in clock or enable.
    """
    cells = module["cells"]
    registers = [cell for cell in cells.values() if _is_register(cell)]
    by_output = {cell["connections"]["Q"][0]: cell for cell in registers}
    by_input = {cell["connections"]["DI"][0]: cell for cell in registers}
    readers = _readers(module)
    packed = 0
    for cell in cells.values():
        if cell["type"] != MULTIPLIER or cell["parameters"]:
            continue
        factors = {port: _joined(cell, port, by_output, "DI") for port in "AB"}
        found = factors if all(factors.values()) else {}
        used = {bit for bit in _bits(cell, "P").values() if readers[bit]}
        if used and all(readers[bit] == 1 for bit in used):
            found = {**found, "P": _joined(cell, "P", by_input, "Q", used)}
        chosen = {port: register for port, register in found.items() if register is not None}
        if any(register.enable != "1" for register in chosen.values()):
            chosen.pop("P", None)
        if len({register.clock for register in chosen.values()}) != 1:
            continue
        packed += 1
        if "P" in chosen:  # what was its register is none for another multiplier's factor any more
            for bit in used:
                del by_output[by_input.pop(bit)["connections"]["Q"][0]]
        _move(cell, chosen)
        readers.update(bit for port in "AB" if port in chosen for bit in chosen[port].nets.values())
    _remove_unread(module)
    return packed


def _is_register(cell: Cell) -> bool:
    given = cell["parameters"]
    return (
        cell["type"] == FLIP_FLOP
        and all(given.get(name) in values for name, values in _ALIKE.items())
        and cell["connections"]["LSR"] == ["0"]
    )


def _bits(cell: Cell, port: str) -> dict[str, Bit]:
    names = (f"{port}{index}" for index in range(_WIDTHS[port]))
    return {name: cell["connections"][name][0] for name in names if name in cell["connections"]}


def _readers(module: Mapping[str, Any]) -> Counter[Bit]:
    """How many ports read each net."""
    found = Counter(
        bit
        for cell in module["cells"].values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] != "output"
        for bit in bits
    )
    found.update(bit for port in module["ports"].values() for bit in port["bits"])
    return found


def _joined(
    cell: Cell, port: str, registers: Mapping[Bit, Cell], side: str, used: set[Bit] | None = None
) -> _Register | None:
    """The flip-flops at a port as one register, or None if they are not one."""
    nets: dict[str, Bit] = {}
    controls = set()
    for name, bit in _bits(cell, port).items():
        if bit == "0" or (used is not None and bit not in used):
            nets[name] = bit
        elif bit in registers:
            connections = registers[bit]["connections"]
            nets[name] = connections[side][0]
            enabled = registers[bit]["parameters"]["CEMUX"] == "CE"
            controls.add((connections["CLK"][0], connections["CE"][0] if enabled else "1"))
        else:
            return None
    return _Register(*controls.pop(), nets) if len(controls) == 1 else None


def _move(cell: Cell, chosen: Mapping[str, _Register]) -> None:
    connections, directions = cell["connections"], cell["port_directions"]
    for port, register in chosen.items():
        name, number = _REGISTERS[port]
        cell["parameters"] |= {
            f"REG_{name}_CLK": "CLK0",
            f"REG_{name}_CE": f"CE{number}",
            f"REG_{name}_RST": "RST0",
        }
        connections |= {net: [bit] for net, bit in register.nets.items()}
        connections |= {"CLK0": [register.clock], f"CE{number}": [register.enable]}
        directions |= {"CLK0": "input", f"CE{number}": "input"}
    cell["parameters"]["GSR"] = "DISABLED"
    connections["RST0"] = ["0"]
    directions["RST0"] = "input"


def _remove_unread(module: Mapping[str, Any]) -> None:
    """Removes flip-flops that nothing reads, and those that have moved behind a product."""
    cells, readers = module["cells"], _readers(module)
    multipliers = [cell for cell in cells.values() if cell["type"] == MULTIPLIER]
    driven = {bit for cell in multipliers for bit in _bits(cell, "P").values()}
    for name, cell in list(cells.items()):
        if _is_register(cell):
            output = cell["connections"]["Q"][0]
            if output in driven or not readers[output]:
                del cells[name]
