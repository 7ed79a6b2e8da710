# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A block design as recorded by stand_ins.tcl, and what is wrong with it."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

STAND_INS = Path(__file__).parent / "stand_ins.tcl"
#: Of the cells: inputs of clock, of reset, and interfaces that must be connected; PG020, PG021,
#: PG164, PG247, PG082, PG201. "mm2s" and "S01_AXI" are there if the parameters say so.
CLOCKS = {
    "axi_dma": ["s_axi_lite_aclk", "m_axi_s2mm_aclk"],
    "axi_vdma": ["s_axi_lite_aclk", "m_axi_s2mm_aclk", "s_axis_s2mm_aclk"],
    "smartconnect": ["aclk"],
    "proc_sys_reset": ["slowest_sync_clk"],
    "processing_system7": ["M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"],
    "zynq_ultra_ps_e": ["maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"],
    "dhq": ["ap_clk"],
}
RESETS = {
    "axi_dma": ["axi_resetn"],
    "axi_vdma": ["axi_resetn"],
    "smartconnect": ["aresetn"],
    "proc_sys_reset": ["ext_reset_in"],
    "processing_system7": [],
    "zynq_ultra_ps_e": [],
    "dhq": ["ap_rst_n"],
}
INTERFACES = {
    "axi_dma": ["S_AXI_LITE", "M_AXI_S2MM", "S_AXIS_S2MM"],
    "axi_vdma": ["S_AXI_LITE", "M_AXI_S2MM", "S_AXIS_S2MM"],
    "smartconnect": ["S00_AXI", "M00_AXI"],
    "proc_sys_reset": [],
    "processing_system7": ["M_AXI_GP0", "S_AXI_HP0"],
    "zynq_ultra_ps_e": ["M_AXI_HPM0_FPD", "S_AXI_HP0_FPD"],
    "dhq": ["m_axis_0"],
}
SOURCES = {
    "clock": ("FCLK_CLK0", "pl_clk0"),
    "reset": ("peripheral_aresetn", "FCLK_RESET0_N", "pl_resetn0"),
}


def run_tcl(script: Path, slack: float = 0.1) -> list[list[str]]:
    """What ``script`` called, with the stand-ins; CalledProcessError if it fails."""
    done = subprocess.run(
        ["tclsh", str(STAND_INS), str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SLACK": str(slack)},
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


@dataclass
class BlockDesign:
    """Cells by name with the kinds of their IP, their parameters, and pairs of connected pins."""

    kinds: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    nets: list[tuple[str, str]] = field(default_factory=list)
    interfaces: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, calls: list[list[str]]) -> "BlockDesign":
        design = cls()
        for name, *arguments in calls:
            ends = [argument.split(":")[-1] for argument in arguments]
            if name == "create_bd_cell":
                vlnv = arguments[-2].split(":")
                design.kinds[arguments[-1]] = "dhq" if vlnv[1] == "dhq" else vlnv[2]
                design.parameters[arguments[-1]] = {}
            elif name == "set_property" and arguments[0] == "-dict":
                words = arguments[1].split()
                design.parameters[ends[-1]] |= dict(zip(words[::2], words[1::2], strict=True))
            elif name == "connect_bd_net":
                design.nets.append((ends[0], ends[1]))
            elif name == "connect_bd_intf_net":
                design.interfaces.append((ends[0], ends[1]))
        return design

    def parameter(self, cell: str, name: str) -> int:
        return int(self.parameters[cell][f"CONFIG.{name}"])

    def faults(self, ports: dict[str, int]) -> list[str]:
        """Sentences; ``ports``: bits of the streams of the packaged module."""
        return [*self._pins(), *self._streams(ports)]

    def _pins(self) -> list[str]:
        found = []
        driven = {to: source for source, to in self.nets}
        used = [end for pair in self.interfaces for end in pair]
        known = set()
        for cell, kind in self.kinds.items():
            clocks, interfaces = list(CLOCKS[kind]), list(INTERFACES[kind])
            if kind == "axi_dma" and self.parameter(cell, "c_include_mm2s"):
                clocks.append("m_axi_mm2s_aclk")
                interfaces += ["M_AXI_MM2S", "M_AXIS_MM2S"]
            if kind == "smartconnect" and self.parameter(cell, "NUM_SI") == 2:
                interfaces.append("S01_AXI")
            if kind == "dhq" and any(end.endswith("/s_axis_0") for end in used):
                interfaces.append("s_axis_0")
            for what, pins in (("clock", clocks), ("reset", RESETS[kind])):
                for pin in pins:
                    known.add(f"{cell}/{pin}")
                    if driven.get(f"{cell}/{pin}", "").split("/")[-1] not in SOURCES[what]:
                        found.append(f"{cell}/{pin} has no {what}")
            for interface in interfaces:
                known.add(f"{cell}/{interface}")
                if used.count(f"{cell}/{interface}") != 1:
                    found.append(f"{cell}/{interface} is connected {used.count(interface)} times")
        found += [f"{end} does not exist" for end in [*driven, *used] if end not in known]
        return found

    def _streams(self, ports: dict[str, int]) -> list[str]:
        """Widths of what is connected to the DMA, and marks of frames."""
        found = []
        if (self.kinds["dma"] == "axi_vdma") != ("tuser" in ports):
            found.append("TUSER is for a video DMA, and only for that")
        if "tuser" in ports:
            # Any whole bytes; frames that begin with TUSER.
            if self.parameters["dma"].get("CONFIG.c_use_s2mm_fsync") != "2":
                found.append("the video DMA does not begin frames with TUSER")
            return found if ports["m_axis_0"] % 8 == 0 else [*found, "m_axis_0 is no whole bytes"]
        if self.parameter("dma", "c_m_axi_s2mm_data_width") < ports["m_axis_0"]:
            found.append("the memory side of S2MM is narrower than its stream")
        if ports["m_axis_0"] not in (8, 16, 32, 64, 128, 256, 512, 1024):
            found.append(f"m_axis_0 has {ports['m_axis_0']} bits")
        sends = self.parameter("dma", "c_include_mm2s")
        if bool(sends) != ("s_axis_0" in ports):
            found.append("the DMA and the design disagree about inputs")
        elif sends and self.parameter("dma", "c_m_axis_mm2s_tdata_width") != ports["s_axis_0"]:
            found.append("s_axis_0 and MM2S differ in width")
        elif sends and self.parameter("dma", "c_m_axi_mm2s_data_width") < ports["s_axis_0"]:
            found.append("the memory side of MM2S is narrower than its stream")
        return found


def stream_widths(text: str) -> dict[str, int]:
    """Bits of the streams of a module by its Verilog; "tuser" if m_axis_0 has it."""
    found = re.findall(r"put\s+wire \[(\d+):0\] ([sm]_axis_0)_tdata", text)
    widths = {name: int(high) + 1 for high, name in found}
    # What Vivado takes for TUSER.
    if re.search(r"(?<!\*\))\n\s*output wire m_axis_0_tuser", text):
        widths["tuser"] = 1
    return widths
