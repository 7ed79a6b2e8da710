# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The level ``engine`` of ``dhq simulate``: samples of an accelerator that needs no input."""

from typing import Any

import numpy as np

from dhq_brevitas.run.stage import Results, Stage
from dhq_brevitas.run.stages.build import BuildOptions, stitched

__all__ = ["make_stage_engine", "simulate_engine_level"]


def make_stage_engine(stage: Stage, design: Any, host: Any, shell: str | None = None) -> Any:
    """The engine of a stitched design that counts through the points of the problem.

    ``shell``: by default that of the build.
    """
    from dhq_brevitas.finn_flow.engine import make_engine

    return make_engine(
        design,
        host,
        host.encode(stage.problem.inputs.numpy()),
        stage.problem.shape,
        stage.task.samples,
        shell or stage.earlier(BuildOptions).shell,
    )


def simulate_engine_level(
    stage: Stage, samples: int, model: Any, host: Any, expected: np.ndarray
) -> Results:
    """The engine's samples of the whole signal: engine.npz and what the task writes of them.

    They are compared with what the host makes of the codes ``expected``. Keys: ``psnr_engine``,
    ``mismatch_host_engine``, ``engine_codes_compared``, ``engine_shell``, ``cycles_per_sample``,
    ``latency_cycles``, ``fifo_depths``.
    """
    from dhq_brevitas.finn_flow.engine import simulate_engine
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator

    enable_verilator()
    built = stage.earlier(BuildOptions)
    stage.say(f"stitching the engine (shell {built.shell}) and compiling it with Verilator")
    design = stitched(stage, model, "engine")
    engine = make_stage_engine(stage, design, host)
    result = simulate_engine(engine, progress=stage.progress)
    form = stage.task.samples
    differing = int(np.count_nonzero(result.samples != form.encode(host.decode(expected))))
    outputs = form.decode(result.samples)
    files = stage.save_outputs("engine", outputs, result.samples)
    quality = stage.quality("engine", outputs)
    stage.say(
        f"RTL, engine: {quality['psnr_engine']:.2f} dB, {differing} of {result.samples.size} "
        f"samples of {form.bits} bits differ from the host's"
    )
    results: dict[str, Any] = {
        **quality,
        "mismatch_host_engine": differing,
        "engine_codes_compared": result.samples.size,
        "engine_shell": built.shell,
        "latency_cycles": result.latency_cycles,
        "fifo_depths": design.fifo_depths,
    }
    if result.cycles_per_sample is not None:
        results["cycles_per_sample"] = result.cycles_per_sample
    return results, [*files, f"engine/{engine.top}.v"]
