# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The whole accelerator as one Verilog design, without Vivado, and its simulation.

:func:`stitch` writes a folder that any tool can read. :func:`simulate_stitched` streams a signal
through it.
"""

import os
from pathlib import Path
from typing import Any

from finn.util.basic import make_build_dir
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export.execute import listed, one_or_all
from dhq_brevitas.finn_flow.environment import processors
from dhq_brevitas.finn_flow.execute import checked_codes
from dhq_brevitas.finn_flow.stitching.design import StitchedDesign, open_stitched, stitch
from dhq_brevitas.finn_flow.stitching.nodes import NodeResult, prepare_nodes, simulate_nodes
from dhq_brevitas.finn_flow.stitching.prepare import branch_ends, check_simulable, stream_ends
from dhq_brevitas.finn_flow.stitching.simulate import SimulationStats, run_signal

__all__ = [
    "NodeResult",
    "SimulationStats",
    "StitchedDesign",
    "check_simulable",
    "open_stitched",
    "prepare_nodes",
    "simulate_nodes",
    "simulate_stitched",
    "stitch",
]


def simulate_stitched(
    model: ModelWrapper | StitchedDesign,
    codes: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    stalls: tuple[int, int] = (0, 0),
    seed: int = 1,
    timeout: int = 1_000_000,
    trace: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **stitch_options: Any,
) -> tuple[Any, SimulationStats]:
    """Integer outputs of the RTL of a whole dataflow graph, and what was measured.

    Args:
        model: a stitched design or its graph; or a graph of RTL layers, which is stitched first.
        codes: integer inputs [samples, …], of the datatype of the graph input; for several inputs a
            sequence of arrays in the graph's order.
        folder: of the design if it is stitched here; by default a new one in FINN_BUILD_DIR.
        stalls: of 256, how often the source and the sink hold a beat back at random.
        seed: of the stalls.
        timeout: cycles without output after which the design counts as stuck.
        trace: FST waveform to write. Long signals make large files.
        progress: show a progress bar.
        stitch_options: passed to :func:`stitch`.

    Returns (int64 [samples, …], or a tuple of them for several outputs, :class:`SimulationStats`).
    FlowError for codes that do not fit,
    UnsupportedNodeError for a layer without Verilog, SimulationError if the design gets stuck or an
    assertion in it fails.
    """
    design = model if isinstance(model, StitchedDesign) else open_stitched(model)
    if design is None:
        design = stitch(model, folder or make_build_dir("stitched_"), **stitch_options)
    arrays = checked_codes(design.model, codes)
    outputs, stats, _ = run_signal(
        design.library(trace=trace is not None),
        [array.reshape(len(array), -1) for array in arrays],
        design.input_formats,
        design.output_formats,
        stalls=stalls,
        seed=seed,
        timeout=timeout,
        trace=None if trace is None else Path(trace),
        progress=progress,
        hint=_branches(design.model),
        parts=1 if trace is not None or any(stalls) else processors(),
    )
    ends = design.model.graph.output
    shapes = [design.model.get_tensor_shape(tensor.name)[1:] for tensor in ends]
    return one_or_all(
        [
            output.reshape(len(output), *shape)
            for output, shape in zip(listed(outputs), shapes, strict=True)
        ]
    ), stats


def _branches(model: ModelWrapper) -> str:
    """Where branches meet that may wait for each other, for a message about a stuck design."""
    ends = [
        f"{fifo.get_nodeattr('depth')} words {stream_ends(model, fifo)}"
        for fifo in branch_ends(model)
    ]
    return f". Branches that meet again wait in FIFOs of {', '.join(ends)}" if ends else ""
