# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``fastest_cycles``: the rate of the fastest accelerator within limits on its resources."""

import os
import tempfile
from pathlib import Path

from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.transformation.fpgadataflow.set_folding import divisors
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.build import load_graph, prepared
from dhq_brevitas.finn_flow.logs import finn_log_to_file
from dhq_brevitas.finn_flow.ops import ChannelwiseOp, layer_kind
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl
from dhq_brevitas.finn_flow.report import node_resources
from dhq_brevitas.finn_flow.steps import (
    DHQ_BUILD_STEPS,
    DhqBuildConfig,
    slowest_cycles,
    step_dhq_minimize_bit_width,
    step_dhq_specialize_layers,
    step_dhq_target_fps_parallelization,
)
from dhq_brevitas.planning.limits import Limits, Resources
from dhq_brevitas.util.errors import ArgumentError


def fastest_cycles(
    model: ModelWrapper | str | os.PathLike[str],
    limits: Limits,
    *,
    clk_period_ns: float = 5.0,
) -> int:
    """The least ``cycles_per_sample`` for which a build is estimated to keep to ``limits``.

    Args:
        model: QONNX graph, or its file, as for :func:`build_dataflow`.
        limits: with the part and the kernel of matrix products; its cycles do not matter.
        clk_period_ns: target clock period.

    Every rate that a layer can have is tried, the fastest first, folded by the build's own step.
    ArgumentError, with what the smallest accelerator takes, if none keeps to them.
    """
    with tempfile.TemporaryDirectory() as folder, finn_log_to_file(Path(folder) / "finn.log"):
        config = DhqBuildConfig(
            output_dir=folder,
            synth_clk_period_ns=clk_period_ns,
            fpga_part=limits.fpga_part,
            mvau=limits.mvau,
            generate_outputs=[],
            standalone_thresholds=True,
        )
        graph = prepared(load_graph(model))
        for step in DHQ_BUILD_STEPS[: DHQ_BUILD_STEPS.index(step_dhq_specialize_layers) + 1]:
            graph = step(graph, config)
        used = Resources()
        for cycles in _rates(graph):
            config.cycles_per_frame = cycles
            used = _resources(graph, config)
            if limits.hold(used):
                return used.cycles
    name = next(iter(limits.exceeded(used)))
    raise ArgumentError(
        f"max_{name}",
        limits.given()[name],
        f"leaves no accelerator: the smallest, at {used.cycles} cycles a sample, is estimated to "
        f"take {used.lut} LUT, {used.dsp} DSP, {used.bram18} BRAM18",
    )


def _rates(model: ModelWrapper) -> list[int]:
    """Cycles a sample that some layer can have, at least those of the slowest at its fastest."""
    rates: set[int] = set()
    for node in model.graph.node:
        op = getCustomOp(node)
        if layer_kind(node) == "MVAU":
            width, height = op.get_nodeattr("MW"), op.get_nodeattr("MH")
            rates |= {w * h for w in divisors(width) for h in divisors(height)}
        elif isinstance(op, ChannelwiseOp | KernelRtl):
            rates |= {op.channels // lanes for lanes in op.legal_lanes()}
    return sorted(rates)


def _resources(model: ModelWrapper, config: DhqBuildConfig) -> Resources:
    """What a build for the cycles of ``config`` is estimated to take."""
    model = ModelWrapper(model.model, make_deepcopy=True)
    model = step_dhq_target_fps_parallelization(model, config)
    model = step_dhq_minimize_bit_width(model, config)
    total = Resources(cycles=slowest_cycles(model))
    found = res_estimation(model, config.fpga_part)
    for node in model.graph.node:
        total += Resources(**node_resources(model, node, found[node.name], config.fpga_part))
    return total
