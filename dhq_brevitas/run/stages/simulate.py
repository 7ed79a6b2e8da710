# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``simulate``: the dataflow graph executed, in Python and as Verilog."""

from dataclasses import dataclass
from typing import Any

from dhq_brevitas.run.stage import Chosen, Results, Stage, StageKind, option
from dhq_brevitas.run.stages.build import BuildOptions, load_dataflow
from dhq_brevitas.run.stages.engine_level import simulate_engine_level
from dhq_brevitas.run.stages.rtl_levels import RTL_LEVELS as CODE_LEVELS
from dhq_brevitas.util.errors import ArgumentError

__all__ = ["STAGE", "SimulateOptions"]

# Those of rtl_levels compare codes, the engine compares samples.
RTL_LEVELS = {**CODE_LEVELS, "engine": simulate_engine_level}
LEVELS = ("python", *RTL_LEVELS)
# rtl, the level that matters, is another name of stitched.
ALIASES = {"rtl": "stitched"}


@dataclass(frozen=True)
class SimulateOptions:
    """How far down to go."""

    level: str = option(
        "python",
        "python: FINN's execution; node: then the Verilog of each layer by itself; stitched or "
        "rtl: then that of the whole accelerator; engine: then that of the accelerator with the "
        "counter and the samples of --shell around it",
        metavar="LEVEL",
        parse=lambda name: ALIASES.get(name, name),
    )
    samples: int = option(512, "pixels that --level node simulates, 0 for all", metavar="N")


def check(options: SimulateOptions, chosen: Chosen) -> None:
    """A level that exists, and a number of samples."""
    if options.level not in LEVELS:
        raise ArgumentError("level", options.level, f"does not exist: use {', '.join(LEVELS)}")
    if options.samples < 0:
        raise ArgumentError("samples", options.samples, "must be at least 1, or 0 for all")
    built = chosen.find(BuildOptions)
    if options.level == "engine" and built is not None and built.shell == "none":
        raise ArgumentError(
            "level", options.level, "needs a shell: repeat the build with --shell axis or pixels"
        )


def unused(options: SimulateOptions) -> dict[str, str]:
    """The other levels take all samples."""
    return {} if options.level == "node" else {"samples": f"--level {options.level} takes them all"}


def run(stage: Stage, options: SimulateOptions) -> Results:
    """finn.npz, of the whole signal; then the RTL, if asked."""
    import numpy as np

    from dhq_brevitas.finn_flow import HostAffine, execute_dataflow

    model = load_dataflow(stage.folder)
    host = HostAffine.from_model(model) or HostAffine()
    accumulators = execute_dataflow(
        model, host.encode(stage.problem.inputs.numpy()), progress=stage.progress
    )
    outputs = host.decode(accumulators)
    expected = stage.folder.array("qonnx.npz", "codes")
    differing = int(np.count_nonzero(accumulators != expected))
    files = stage.save_outputs("finn", outputs, accumulators)
    quality = stage.quality("finn", outputs)
    stage.say(
        f"FINN, Python: {stage.decibels('finn', quality)}{differing} of {accumulators.size} "
        "output codes differ from QONNX"
    )
    results: dict[str, Any] = {**quality, "mismatch_qonnx_finn": differing}
    if options.level in RTL_LEVELS:
        simulate = RTL_LEVELS[options.level]
        measured, written = simulate(stage, options.samples, model, host, accumulators)
        results |= measured
        files += written
    return results, files


STAGE = StageKind(
    "simulate",
    "execute the dataflow graph, in Python or as Verilog",
    SimulateOptions,
    run,
    after="build",
    packages=("finn-plus", "qonnx"),
    needs_finn=True,
    check=check,
    unused=unused,
)
