# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The functions of ``finn.xsi`` over Verilator, with FINN's signatures.

``reset_rtlsim`` and ``close_rtlsim`` are FINN's own (``finn_xsi/adapter.py``), as is the
``SimEngine``. ``rtlsim_multi_io`` runs the compiled loop where nothing but streams is driven, and
FINN's Python engine otherwise; both count the same cycles.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from finn.util.basic import get_rtlsim_timeout_error_message
from finn.util.exception import FINNUserError
from finn_xsi import adapter as finn_adapter
from finn_xsi.sim_engine import SimEngine

from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import collect
from dhq_brevitas.finn_flow.rtlsim.streams import STARVED, Beats, run_streams, stream_words
from dhq_brevitas.finn_flow.rtlsim.xsi import Design

KERNEL = "verilator"

reset_rtlsim = finn_adapter.reset_rtlsim
close_rtlsim = finn_adapter.close_rtlsim


def locate_glbl() -> None:
    """None: Vivado's global reset module is not needed."""


def get_simkernel_so() -> str:
    """Name of the simulation kernel; the stand-in for xsi ignores it."""
    return KERNEL


def compile_sim_obj(
    top_module_name: str,
    source_list: list[str],
    sim_out_dir: Path,
    debug: bool = False,
    behav: bool = False,
    fifosim: bool = False,
) -> tuple[Path, Path]:
    """Compiles the design, or takes it from the cache.

    Args:
        top_module_name: top module.
        source_list: its Verilog and SystemVerilog files.
        sim_out_dir: folder that gets ``xsim.dir/<top>/xsimk.so``, where FINN expects it.
        debug: with the code for waveforms.
        behav: with FINN_SIMULATION defined, as FINN's FIFO gauges need it.
        fifosim: top is FINN's ``finn_design_wrapper``.

    Returns (``sim_out_dir``, path of the shared object below it). SimulationError names the top
    module and the reason.
    """
    library = compile_design(
        collect(source_list),
        "finn_design_wrapper" if fifosim else top_module_name,
        trace=debug,
        defines=("FINN_SIMULATION",) if behav else (),
    )
    relative = Path("xsim.dir") / top_module_name / "xsimk.so"
    target = Path(sim_out_dir) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(library, target)
    except OSError:  # another file system
        shutil.copy(library, target)
    return Path(sim_out_dir), relative


def load_sim_obj(
    sim_out_dir: Path,
    out_so_relative_path: Path,
    tracefile: str | None = None,
    simkernel_so: str | None = None,
) -> SimEngine:
    """Opens a compiled design in FINN's engine; with ``tracefile``, an FST waveform is written."""
    return finn_adapter.load_sim_obj(
        Path(sim_out_dir), Path(out_so_relative_path), tracefile, simkernel_so or KERNEL
    )


def rtlsim_multi_io(
    sim: SimEngine,
    io_dict: dict[str, dict[str, list[int]]],
    num_out_values: int | np.integer | dict[str, int | np.integer],
    sname: str = "_V_V",
    liveness_threshold: int = 10000,
    liveness_estimate: int | float | None = None,
) -> int:
    """Feeds the inputs of ``io_dict`` and collects its outputs; returns the clock cycles taken.

    FINNUserError if an output delivers nothing for ``liveness_threshold`` cycles.
    """
    if sim.tasks or sim.watchdogs or not isinstance(sim.top, Design):
        return finn_adapter.rtlsim_multi_io(
            sim, io_dict, num_out_values, sname, liveness_threshold, liveness_estimate
        )
    counts = num_out_values
    if not isinstance(counts, dict):
        counts = dict.fromkeys(io_dict["outputs"], counts)
    streams = [
        Beats(name + sname, pack_beats(values, stream_words(sim.top, name + sname)), False)
        for name, values in io_dict["inputs"].items()
    ]
    for name in io_dict["outputs"]:
        words = np.zeros((int(counts[name]), stream_words(sim.top, name + sname)), np.uint32)
        streams.append(Beats(name + sname, words, True, timeout=liveness_threshold))
    start = sim.ticks
    status, sim.ticks = run_streams(sim.top, streams, tick=start)
    if status == STARVED:
        starved = [
            f"{beats.name}: {len(beats.ticks)} of {len(beats.words)} beats"
            for beats in streams
            if len(beats.ticks) < len(beats.words)
        ]
        raise FINNUserError(
            get_rtlsim_timeout_error_message(liveness_threshold, liveness_estimate)
            + f" Streams that did not finish: {', '.join(starved)}. Check rtlsim_trace if any."
        )
    for beats, name in zip(streams[len(io_dict["inputs"]) :], io_dict["outputs"], strict=True):
        size = beats.words.shape[1] * 4
        content = beats.words.tobytes()
        io_dict["outputs"][name] = [
            int.from_bytes(content[i : i + size], "little") for i in range(0, len(content), size)
        ]
    return sim.ticks - start


def pack_beats(values: Any, words: int) -> np.ndarray:
    """uint32 [beats, words] from arbitrarily long non-negative integers."""
    content = b"".join(int(value).to_bytes(words * 4, "little") for value in values)
    return np.frombuffer(content, dtype=np.uint32).reshape(-1, words).copy()
