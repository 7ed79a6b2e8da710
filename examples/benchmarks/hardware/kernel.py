# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Resources of one kernel of this package by itself, and the logic depth of a netlist."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dhq_brevitas.finn_flow import rtl
from dhq_brevitas.finn_flow.synthesis.design import read_resources
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import LOG, NETLIST, Yosys

RTL_FOLDER = Path(str(rtl.__file__)).parent


def synthesize_kernel(
    kernel: str, parameters: Mapping[str, object], family: str = "xcup", yosys: Yosys | None = None
) -> Resources:
    """Resources of a module of ``finn_flow/rtl`` with these parameters, cached.

    Only for parameters that name no file. SynthesisError if the kernel refuses them.
    """
    yosys = yosys or Yosys()
    sources = read_sources(sorted(RTL_FOLDER.glob("*.sv")))
    return read_resources(yosys.synthesize(sources, kernel, family, parameters=parameters))


def cells_in_a_row(entry: Path, yosys: Yosys) -> int:
    """LUTs, inverters, wide multiplexers and carry elements (4 bits each) in a row.

    ``entry``: a folder that :meth:`Yosys.synthesize` left.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = [
            "read_verilog -lib +/xilinx/cells_sim.v",
            f"read_verilog {entry / NETLIST}",
            "ltp -noff w:* t:LUT* t:INV t:MUXF* t:CARRY4",
        ]
        yosys.run(commands, folder)
        log = (folder / LOG).read_text()
    found = re.search(r"Longest topological path in \S+ \(length=(\d+)\)", log)
    if found is None:
        raise SystemExit("Yosys did not report the longest path")
    return int(found[1])
