# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The RTL levels of ``dhq simulate``: every layer by itself, or the stitched accelerator.

Both compare integers, code for code, with FINN's Python execution, and return values for the
summary and the names of the files they wrote.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from dhq_brevitas.run.stage import Results, Stage
from dhq_brevitas.run.stages.build import BuildOptions, stitched

__all__ = ["RTL_LEVELS", "simulate_node_level", "simulate_stitched_level"]


def simulate_node_level(
    stage: Stage, samples: int, model: Any, host: Any, expected: np.ndarray
) -> Results:
    """Every layer's own RTL, through FINN's node execution, on ``samples`` spread over the signal.

    0 samples are all.

    Keys: ``nodes`` (each with its mismatches and cycles), ``mismatch_finn_rtl``,
    ``rtl_samples_compared``, ``rtl_codes_compared``; ``psnr_rtl`` and rtl.npz if these are all.
    """
    from dhq_brevitas.finn_flow.stitching import simulate_nodes

    count = min(samples or len(expected), len(expected))
    chosen = np.linspace(0, len(expected) - 1, count).round().astype(int)
    stage.say(f"generating and compiling {len(model.graph.node)} layers with Verilator")
    built = stage.earlier(BuildOptions)
    accumulators, nodes = simulate_nodes(
        model,
        host.encode(stage.problem.inputs.numpy()[chosen]),
        fpga_part=built.fpga_part,
        clk_period_ns=built.clk_ns,
        progress=stage.progress,
    )
    differing = int(np.count_nonzero(accumulators != expected[chosen]))
    inside = sum(node.mismatches for node in nodes)
    stage.say(
        f"RTL, {len(nodes)} layers: {differing} of {accumulators.size} output codes differ from "
        f"FINN on {count} of {len(expected)} samples; inside, "
        f"{inside} of {sum(node.codes for node in nodes)} codes"
    )
    results = {"nodes": [asdict(node) for node in nodes], **_compared(differing, accumulators)}
    if count < len(expected):
        return results, []
    quality, files = _reconstruction(stage, host, accumulators)
    return results | quality, files


def simulate_stitched_level(
    stage: Stage, samples: int, model: Any, host: Any, expected: np.ndarray
) -> Results:
    """The whole accelerator as one Verilog design on the whole signal: rtl.npz, folder stitched.

    Keys: ``psnr_rtl``, ``mismatch_finn_rtl``, ``rtl_samples_compared``, ``rtl_codes_compared``,
    ``cycles_per_sample``, ``latency_cycles``, ``fifo_depths``, ``rtl_samples_per_second``.
    """
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator
    from dhq_brevitas.finn_flow.stitching import simulate_stitched

    enable_verilator()
    stage.say("stitching the accelerator and compiling it with Verilator")
    design = stitched(stage, model, "stitched")
    accumulators, statistics = simulate_stitched(
        design, host.encode(stage.problem.inputs.numpy()), progress=stage.progress
    )
    differing = int(np.count_nonzero(accumulators != expected))
    quality, files = _reconstruction(stage, host, accumulators)
    results: dict[str, Any] = {
        **quality,
        **_compared(differing, accumulators),
        "latency_cycles": statistics.latency_cycles,
        "fifo_depths": design.fifo_depths,
        "rtl_samples_per_second": statistics.samples_per_second,
    }
    rate = ""
    if statistics.cycles_per_sample is not None:
        results["cycles_per_sample"] = statistics.cycles_per_sample
        rate = f"{statistics.cycles_per_sample:.2f} cycles a sample, "
    stage.say(
        f"RTL, stitched: {stage.decibels('rtl', results)}{differing} of {accumulators.size} output "
        f"codes differ from FINN; {rate}{statistics.samples_per_second:.0f} samples simulated a "
        "second"
    )
    return results, [*files, f"stitched/{design.top}.v"]


def _compared(differing: int, accumulators: np.ndarray) -> dict[str, int]:
    return {
        "mismatch_finn_rtl": differing,
        "rtl_samples_compared": len(accumulators),
        "rtl_codes_compared": accumulators.size,
    }


def _reconstruction(stage: Stage, host: Any, accumulators: np.ndarray) -> Results:
    outputs = host.decode(accumulators)
    files = stage.save_outputs("rtl", outputs, accumulators)
    return stage.quality("rtl", outputs), files


RTL_LEVELS: dict[str, Callable[..., Results]] = {
    "node": simulate_node_level,
    "stitched": simulate_stitched_level,
}
