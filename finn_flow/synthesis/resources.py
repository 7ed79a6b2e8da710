# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Cells of a Xilinx netlist as the resources of a device."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dhq_brevitas.finn_flow.errors import FlowError

#: LUTs that one memory or shift register cell takes: UG474 (7 series), UG574 (UltraScale).
LUTRAM_CELLS = {
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
    "SRL16E": 1,
    "SRLC32E": 1,
}
# Wide multiplexers, constants and clock buffers sit beside LUTs and take none.
_FREE = re.compile(r"MUXF[789]|VCC|GND|BUFG")
_KINDS = (
    ("lut", re.compile(r"LUT[1-6]|LUT6_2|INV")),
    ("ff", re.compile(r"FD[RSCP]E")),
    ("carry", re.compile(r"CARRY4")),
    ("dsp", re.compile(r"DSP48E[12]")),
    ("ramb18", re.compile(r"RAMB18E[12]")),
    ("bram36", re.compile(r"RAMB36E[12]")),
    ("uram", re.compile(r"URAM288(_BASE)?")),
)


@dataclass(frozen=True)
class Resources:
    """Resources of a netlist, before placement.

    Attributes:
        lut: all LUTs; two small ones that could share a LUT6 count as two.
        lutram: of these, the ones used as memory or shift register.
        ff: flip-flops.
        carry: carry chain elements of four bits (a CARRY8 is two).
        dsp: DSP slices.
        bram18: block RAM of 18 kbit; one of 36 kbit is two, as in FINN's BRAM_18K.
        bram36: of these, the ones of 36 kbit, counted once.
        uram: UltraRAM.
    """

    lut: int = 0
    lutram: int = 0
    ff: int = 0
    carry: int = 0
    dsp: int = 0
    bram18: int = 0
    bram36: int = 0
    uram: int = 0

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> "Resources":
        """From the number of cells by type. FlowError for a latch or an unmapped cell."""
        counts = dict.fromkeys(cls.__dataclass_fields__, 0) | {"ramb18": 0}
        for cell, number in cells.items():
            if cell in LUTRAM_CELLS:
                counts["lutram"] += number * LUTRAM_CELLS[cell]
                continue
            if cell == "CARRY8":
                counts["carry"] += 2 * number
                continue
            kind = next((name for name, pattern in _KINDS if pattern.fullmatch(cell)), None)
            if kind is not None:
                counts[kind] += number
            elif not _FREE.fullmatch(cell):
                raise FlowError(
                    f"the netlist has {number} cells of type {cell}, which are no resource of the "
                    "device (a latch, or something that Yosys could not map)"
                )
        counts["lut"] += counts["lutram"]
        counts["bram18"] = counts.pop("ramb18") + 2 * counts["bram36"]
        return cls(**counts)

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )
