# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""From sources to a shared object, through a cache shared by all processes of a user.

An entry of the cache is named by a digest of everything it depends on: the texts as compiled, the
memory contents, the top module, the flags, this package's harness, and the versions of Verilator
and of the compiler.
"""

import hashlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dhq_brevitas.finn_flow.cache import cache_entry
from dhq_brevitas.finn_flow.environment import processors, simulator_cache_dir
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.rtlsim.toolchain import (
    CXX_FLAGS,
    RUNTIME_SOURCES,
    TRACE_SOURCES,
    VERILATOR_FLAGS,
    Toolchain,
    find_toolchain,
)

LIBRARY = "simulator.so"
HARNESS = Path(__file__).with_name("harness.cpp")
# Verilator's ports in the header of the class it generates: VL_IN8(&ap_clk,0,0);
_PORT = re.compile(r"VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")
_DIRECTIONS = {"IN": 1, "OUT": 2, "INOUT": 3}
# Files of FINN's library with constructs that Verilator does not take, and what to use instead.
_REMEDIES = {
    "requant.sv": (
        "the scales of this layer are compiled into it as real numbers; set "
        "mem_mode='internal_decoupled', which streams them as integers"
    ),
    "input_gen.sv": "a tiled MVAU has array parameters of variable length; set TH=1",
}
# A function that is not inlined tells each assertion whether they are on, which they always are.
_SWITCH = re.compile(r"vlSymsp->_vm_contextp__->assertOnGet\(\d+, \d+\)")
# Above this size of all generated files the large ones are compiled in parallel, one by one; the
# others together, since each reads Verilator's headers, which takes a second.
_ONE_UNIT, _OWN_UNIT = 600_000, 100_000


def compile_design(
    sources: Sources,
    top: str,
    *,
    trace: bool = False,
    defines: tuple[str, ...] = (),
    optimize: bool = True,
) -> Path:
    """Shared object of the module ``top``, from the cache if the same was compiled before.

    Args:
        sources: what to compile.
        top: name of the top module.
        trace: with the code for FST waveforms.
        defines: preprocessor macros, for example ``("FINN_SIMULATION",)``.
        optimize: the C++; without, it compiles faster and simulates slower.

    SimulationError with Verilator's message if it rejects the design, and the remedy if known. FINN
    names the top module of a layer after its node.
    """
    tools = find_toolchain()
    flags = [*VERILATOR_FLAGS, *(f"-D{name}" for name in defines), *(["--trace-fst"] * trace)]
    cxx_flags = [*CXX_FLAGS, *([] if optimize else ["-O0"])]
    key = sources.digest(
        tools.version, top, *flags, *cxx_flags, _SWITCH.pattern, HARNESS.read_text()
    )

    def build(folder: Path, entry: Path) -> None:
        runtime = _runtime(tools, trace)
        names = sources.write(folder, str(entry / "data"))
        tools.verilate(
            [*flags, "--top-module", top, "--prefix", "Vdesign", "-I.", "-Mdir", "obj", *names],
            folder,
        )
        _link(tools, folder, runtime, trace, cxx_flags)
        shutil.rmtree(folder / "obj")

    try:
        return cache_entry(simulator_cache_dir(), f"{_safe(top)}-{key[:32]}", build) / LIBRARY
    except SimulationError as error:
        known = (text for file, text in _REMEDIES.items() if f"%Error: {file}:" in str(error))
        remedy = "".join(f"{text}.\n" for text in known)
        raise SimulationError(f"{top} cannot be simulated: {remedy}{error}") from error


def _link(tools: Toolchain, folder: Path, runtime: Path, trace: bool, cxx_flags: list[str]) -> None:
    objects = folder / "obj"
    header = (objects / "Vdesign.h").read_text()
    ports = "".join(
        f" X({name}, {_DIRECTIONS[kind]}, {int(high) - int(low) + 1})"
        for kind, name, high, low in _PORT.findall(header)
    )
    (objects / "design.h").write_text(
        f'#include "Vdesign.h"\n#define DESIGN_CLASS Vdesign\n#define DESIGN_TRACE {int(trace)}\n'
        f"#define DESIGN_PORTS(X){ports}\n"
    )
    shutil.copy(HARNESS, objects / "harness.cpp")
    generated = sorted(objects.glob("*.cpp"))
    for path in generated:
        path.write_text(_SWITCH.sub("true", path.read_text()))
    sizes = {path.name: path.stat().st_size for path in generated}
    alone = [
        n for n, size in sizes.items() if size >= _OWN_UNIT and sum(sizes.values()) >= _ONE_UNIT
    ]
    together = (f'#include "{name}"\n' for name in sizes if name not in alone)
    (objects / "all.cc").write_text("".join(together))
    # The longest first.
    units = [*sorted(alone, key=sizes.__getitem__, reverse=True), "all.cc"]
    flags = [*cxx_flags, *_include_flags(tools), f"-DVM_TRACE={int(trace)}"]
    _compile_all(tools, objects, units, flags)
    tools.compile(
        [
            "-shared",
            "-Wl,-Bsymbolic",
            *(f"{Path(unit).stem}.o" for unit in units),
            str(runtime / "runtime.a"),
            "-lpthread",
            *(["-lz"] * trace),
            "-o",
            f"../{LIBRARY}",
        ],
        objects,
    )


def _runtime(tools: Toolchain, trace: bool) -> Path:
    """Entry with Verilator's own runtime compiled once."""
    names = [*RUNTIME_SOURCES, *(TRACE_SOURCES if trace else ())]
    text = " ".join([tools.version, str(tools.include), *CXX_FLAGS, *names])
    key = hashlib.sha256(text.encode()).hexdigest()

    def build(folder: Path, entry: Path) -> None:
        flags = [*CXX_FLAGS, *_include_flags(tools), f"-DVM_TRACE={int(trace)}"]
        units = [str(tools.include / name) for name in names]
        _compile_all(tools, folder, units, flags)
        archiver = Toolchain(tools.verilator, tools.root, Path("ar"), tools.version)
        archiver.compile(["rcs", "runtime.a", *(f"{Path(u).stem}.o" for u in units)], folder)

    return cache_entry(simulator_cache_dir(), f"runtime-{key[:32]}", build)


def _include_flags(tools: Toolchain) -> list[str]:
    return [f"-I{tools.include}", f"-I{tools.include / 'vltstd'}", f"-I{HARNESS.parent}", "-I."]


def _compile_all(tools: Toolchain, folder: Path, units: list[str], flags: list[str]) -> None:
    def compile_one(unit: str) -> None:
        tools.compile(["-x", "c++", *flags, "-c", unit, "-o", f"{Path(unit).stem}.o"], folder)

    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(compile_one, units))


def _safe(name: str) -> str:
    return re.sub(r"\W", "_", name)[:60]
