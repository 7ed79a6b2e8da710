# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One out-of-context synthesis with Yosys, through a cache.

Sources are read by ``read_slang`` and mapped by ``synth_xilinx -flatten -noiopad -noclkbuf``.
Initial values are kept; memory contents come from ``$readmemh``. The slices that FINN instantiates
(DSP48E1, DSP48E2, LUT6_2) are taken as black boxes from Yosys's own library.
"""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from dhq_brevitas.finn_flow.cache import cache_entry
from dhq_brevitas.finn_flow.environment import synthesis_cache_dir
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.synthesis import techmaps

PRIMITIVES = ("DSP48E1", "DSP48E2", "LUT6_2")
READ_OPTIONS = ("--threads 1", "--allow-use-before-declare", "--ignore-assertions")
XILINX_CELLS = ("xilinx/cells_sim.v", "xilinx/cells_xtra.v")
NETLIST = "netlist.v"
CELLS = "cells.json"
LOG = "yosys.log"
_PRIMITIVES_FILE = "yosys_primitives.v"
_RULES_FILE = "yosys_rules.v"
_RUN = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
"""


class SynthesisError(FlowError):
    """A design could not be synthesized."""


class Yosys:
    """Calls of Yosys; :meth:`stop` ends those that are running.

    Yosys runs in processes of its own, because an error ends its process. SynthesisError on
    construction if the package is missing.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec("pyosys")
        if found is None or found.origin is None:
            raise SynthesisError(
                "synthesis needs Yosys, which is not installed: pip install 'dhq-brevitas[synth]'"
            )
        self._share = Path(found.origin).parent / "share"
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def version(self) -> str:
        """Version of the package ``pyosys``, which is that of Yosys."""
        return f"Yosys {importlib.metadata.version('pyosys')}"

    def run(self, commands: Sequence[str], folder: Path) -> None:
        """Runs commands in ``folder``; the log goes to ``yosys.log`` there.

        SynthesisError with Yosys's first message if one fails.
        """
        with self._lock:
            if self._stopped:
                raise SynthesisError("synthesis was stopped")
            with (folder / LOG).open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", _RUN],
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            self._running.add(process)
        try:
            process.communicate("\n".join(commands))
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode:
            raise SynthesisError(_first_error((folder / LOG).read_text(), process.returncode))

    def stop(self) -> None:
        """Ends all running calls; no new one starts."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def synthesize(
        self,
        sources: Sources,
        top: str,
        family: str,
        *,
        parameters: Mapping[str, object] | None = None,
        options: Sequence[str] = (),
    ) -> Path:
        """Folder with the mapped netlist, from the cache if the same was synthesized before.

        Args:
            sources: what to synthesize, as :func:`read_sources` gives it.
            top: name of the top module.
            family: see :func:`~dhq_brevitas.finn_flow.synthesis.parts.part_family`.
            parameters: of the top module.
            options: more options of ``synth_xilinx``, for example ``("-nodsp",)``.

        The folder holds ``cells.json`` (number of cells by type), ``netlist.v`` and ``yosys.log``.
        SynthesisError, with Yosys's first message, if it rejects the design.
        """
        chosen = " ".join(f"-G {name}={value}" for name, value in (parameters or {}).items())
        primitives = "".join(map(self.cell_declaration, PRIMITIVES))
        boxes = " ".join(f"--blackboxed-module {name}" for name in PRIMITIVES)

        def script(names: Sequence[str]) -> list[str]:
            return [
                f"read_slang {' '.join(READ_OPTIONS)} {boxes} --top {top} {chosen} "
                f"{_PRIMITIVES_FILE} {' '.join(names)}",
                *techmaps.commands(_RULES_FILE),
                f"synth_xilinx -top {top} -family {family} -flatten -noiopad -noclkbuf "
                + " ".join(options),
                "check -assert",
                "tee -q -o stat.json stat -json",
                f"write_verilog -noattr {NETLIST}",
            ]

        key = sources.digest(self.version, primitives, techmaps.RULES, *script(()))

        def build(folder: Path, entry: Path) -> None:
            work = folder / "sources"
            work.mkdir()
            names = sources.write(work, "./data")
            (work / _PRIMITIVES_FILE).write_text(primitives)
            (work / _RULES_FILE).write_text(techmaps.RULES)
            self.run(script(names), work)
            stat = json.loads((work / "stat.json").read_text())
            cells = stat["design"].get("num_cells_by_type", {})
            (folder / CELLS).write_text(json.dumps(cells, indent=2) + "\n")
            for name in (NETLIST, LOG):
                (work / name).rename(folder / name)
            shutil.rmtree(work)

        try:
            return cache_entry(synthesis_cache_dir(), f"{_safe(top)}-{key[:32]}", build)
        except SynthesisError as error:
            raise SynthesisError(f"{top} cannot be synthesized: {error}") from error

    def cell_model(self, name: str, files: Sequence[str] = XILINX_CELLS) -> str:
        """Verilog of a cell in ``files`` of Yosys's library, without its timing."""
        library = "".join((self._share / file).read_text() for file in files)
        found = re.search(rf"^module {name}\b.*?^endmodule", library, re.M | re.S)
        if found is None:
            raise SynthesisError(f"Yosys's library has no cell {name}: install pyosys 0.70")
        return re.sub(r"\bspecify\b.*?\bendspecify\b", "", found[0], flags=re.S) + "\n"

    def cell_declaration(self, name: str, body: str = "") -> str:
        """Verilog of a Xilinx cell with ``body`` after its ports and parameters."""
        ports, rest = self.cell_model(name).split(");", 1)
        declared = re.findall(r"^ *(?:parameter|input|output)\b[^;]*;", rest, re.M)
        return "\n".join([f"{ports});", *declared, body, "endmodule", ""])


def _first_error(log: str, status: int) -> str:
    lines = log.splitlines()
    for line in lines:
        if found := re.match(r"(\S+?):(\d+): ERROR: (.*)", line):
            return f"{found[1]}, line {found[2]}: {found[3]}"
    for line in lines:
        if line.startswith("ERROR: "):
            return line.removeprefix("ERROR: ")
    if status < 0:
        return f"Yosys was ended by signal {-status}; the machine may lack memory"
    return f"Yosys failed: {' '.join(lines[-3:])}"


def _safe(name: str) -> str:
    return re.sub(r"\W", "_", name)[:60]
