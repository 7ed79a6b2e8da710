# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A proof: Yosys makes gates of a kernel and its properties, ABC decides them.

Both come with the package ``pyosys``. ABC's ``pdr`` (property directed reachability) finds an
inductive invariant, and checks it, so that what it proves holds for ever; where it does not end,
``bmc3`` shows that nothing fails within so many cycles.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import finn
import pyosys

from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys

HERE = Path(__file__).parent
RTL = HERE.parents[2] / "finn_flow" / "rtl"
ABC = Path(pyosys.__file__).with_name("yosys-abc")
# What harnesses share.
SHARED = ("transform_spec.sv", "stream_checker.sv", "serial_line.sv")
GATES = (
    "proc",
    "flatten",
    "memory_map -formal",
    # What Verilog leaves open may be anything: before an optimization chooses.
    "setundef -undriven -anyseq",
    "opt -full",
    "wreduce",
    "async2sync",
    "chformal -lower",
    "formalff -clk2ff -ff2anyinit",
    "opt -full -nodffe -nosdff",
    "techmap",
    "setundef -anyseq",
    "dffunmap",
    "simplemap",
    "opt -fast -nodffe -nosdff",
    "aigmap",
    "opt_clean",
)


@dataclass(frozen=True)
class Verdict:
    """``depth``: of the counterexample or of the search, in cycles; None for a proof without."""

    outcome: str
    depth: int | None
    prop: str | None
    seconds: float


def kernel_sources() -> dict[str, str]:
    """Texts of the kernels by file name; the monitor has properties that slang does not read."""
    paths = sorted(RTL.glob("*.sv"), key=lambda p: (not p.name.endswith("_pkg.sv"), p.name))
    return {p.name: p.read_text() for p in paths if p.name != "dhq_stream_monitor.sv"}


def finn_mvau_sources() -> dict[str, str]:
    """FINN's MVAU as Yosys reads it and as this package corrects it."""
    names = ("mvu_pkg", "mvu", "mvu_vvu_axi", "add_multi", "replay_buffer", "mvu_vvu_8sx9_dsp58")
    folder = Path(finn.__path__[0]) / "finn-rtllib" / "mvu"
    package = "dhq_rtl_pkg.sv"
    texts = read_sources([folder / f"{name}.sv" for name in names]).texts
    return {package: kernel_sources()[package], **texts}


@dataclass(frozen=True)
class Case:
    """A harness ``prove_<kernel>`` with parameters and the words of its $readmemh files.

    ``cycles``: prove for so many only. ``handshake``: everything but the payload, for real sizes.
    ``sources``: of the kernel, by file name.
    """

    kernel: str
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    memories: Mapping[str, Iterable[int]] = field(default_factory=dict)
    cycles: int | None = None
    handshake: bool = False
    sources: Callable[[], dict[str, str]] = kernel_sources

    def __str__(self) -> str:
        return " ".join((self.kernel, *(f"{k}={v}" for k, v in self.parameters.items())))


def decide(
    case: Case,
    folder: Path,
    *,
    sources: Mapping[str, str] | None = None,
    only: str | None = None,
    refute: int | None = None,
    seconds: int = 600,
) -> Verdict:
    """Decides the properties of ``case``, of which ``only`` one if named.

    Args:
        sources: texts instead of the case's.
        refute: look for a counterexample of at most so many cycles instead of a proof.
        seconds: that ABC may take; "open" if it does.
    """
    began = time.perf_counter()
    texts = {**(sources or case.sources())}
    top = f"prove_{case.kernel}"
    for name in (*SHARED, f"{top}.sv"):
        texts[name] = (HERE / name).read_text()
    for name, text in texts.items():
        (folder / name).write_text(text)
    for name, words in case.memories.items():
        (folder / name).write_text("".join(f"{word:x}\n" for word in words))
    options = " ".join(f"-G {name}={value}" for name, value in case.parameters.items())
    read = f"read_slang --threads 1 -DSYNTHESIS --top {top} {options} {' '.join(texts)}"
    drop = [f"delete t:$assert c:*{only} %d"] if only else []
    drop += ["delete c:*a_value c:*a_stable"] if case.handshake else []
    write = "write_aiger -zinit -B -symbols -map gates.aim -ywmap gates.json gates.aig"
    Yosys().run([read, *GATES, *drop, write], folder)
    paths = json.loads((folder / "gates.json").read_text())["asserts"]
    names = [path[-1].lstrip("\\").split(".")[-1] for path in paths]
    cycles = refute or case.cycles
    search = f"bmc3 -F {cycles} -T {seconds}" if cycles else f"pdr -T {seconds}"
    commands = f"read_aiger gates.aig; fold; strash; {search}; write_cex -a trace.aiw"
    done = subprocess.run(
        [ABC, "-c", commands], cwd=folder, capture_output=True, text=True, check=True
    )
    (folder / "abc.log").write_text(done.stdout + done.stderr)
    elapsed = time.perf_counter() - began
    if failed := re.search(r"Output (\d+) of miter .* was asserted in frame (\d+)", done.stdout):
        return Verdict("refuted", int(failed[2]) + 1, names[int(failed[1])], elapsed)
    if "Property proved" in done.stdout:
        return Verdict("proved", None, None, elapsed)
    if bound := re.search(r"No output asserted in (\d+) frames", done.stdout):
        if cycles and int(bound[1]) >= cycles:
            return Verdict("bounded", int(bound[1]), None, elapsed)
        return Verdict("open", int(bound[1]), None, elapsed)
    return Verdict("open", None, None, elapsed)
