# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``build``: the FINN dataflow graph."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from dhq_brevitas.planning.limits import LIMITED, Resources
from dhq_brevitas.planning.parts import part_resources
from dhq_brevitas.run.folder import LAYERS, Folder
from dhq_brevitas.run.stage import Chosen, Results, Stage, StageKind, option
from dhq_brevitas.run.stages.export import GRAPH
from dhq_brevitas.run.stages.plan import (
    AUTO_CYCLES,
    check_mvau,
    cycles_option,
    limit_option,
    limits_of,
    mvau_option,
    part_option,
)
from dhq_brevitas.util.errors import ArgumentError

__all__ = ["DATAFLOW", "STAGE", "BuildOptions", "load_dataflow", "stitched"]

DATAFLOW = "build/dataflow.onnx"
VERIFIED_SAMPLES = 64
SHELLS = ("none", "axis", "pixels")


@dataclass(frozen=True)
class BuildOptions:
    """What the build is for."""

    max_lut: int | None = limit_option("LUTs")
    max_dsp: int | None = limit_option("DSPs")
    max_bram18: int | None = limit_option("block RAMs of 18 kbit")
    max_uram: int | None = limit_option("UltraRAMs")
    cycles_per_sample: int | str = cycles_option()
    fpga_part: str = part_option()
    clk_ns: float = option(5.0, "clock period in nanoseconds", metavar="T")
    shell: str = option(
        "axis",
        "what goes around the accelerator where it stands by itself (simulate --level engine, "
        "place): a counter of the points and the samples as AXI4-Stream (axis) or AXI4-Stream "
        "Video (pixels); none: nothing",
        choices=SHELLS,
    )
    mvau: str = mvau_option()


def check(options: BuildOptions, chosen: Chosen) -> None:
    """Cycles, part, clock and kernel that a build can have."""
    check_mvau(options.mvau)
    automatic = options.cycles_per_sample == AUTO_CYCLES
    limits = limits_of(options, 1 if automatic else int(options.cycles_per_sample))
    if automatic and not limits.given() and part_resources(options.fpga_part) is None:
        raise ArgumentError(
            "fpga_part",
            options.fpga_part,
            "has resources that are not known: give limits, such as max_lut, or cycles_per_sample",
        )
    if not options.clk_ns > 0:
        raise ArgumentError("clk_ns", options.clk_ns, "must be positive")


def prepare(
    options: BuildOptions, folder: Folder, run_other: Callable[[str, Any], Any]
) -> BuildOptions:
    """Finds the cycles of the fastest network within the limits, or else the part."""
    if options.cycles_per_sample != AUTO_CYCLES:
        return options
    from dhq_brevitas.finn_flow import fastest_cycles

    limits = limits_of(options, 1)
    if not limits.given():
        there: Any = part_resources(options.fpga_part)
        whole: dict[str, Any] = {name: there[name] for name in LIMITED}
        limits = replace(limits, **whole)
    cycles = fastest_cycles(folder.file(GRAPH), limits, clk_period_ns=options.clk_ns)
    return replace(options, cycles_per_sample=cycles)


def determines(stage: Stage, options: BuildOptions) -> dict[str, Any]:
    """What limits led to counts, not they."""
    values = asdict(options)
    return {
        name: value for name, value in values.items() if name.removeprefix("max_") not in LIMITED
    }


def load_dataflow(folder: Folder) -> Any:
    """The graph, a ModelWrapper, without what it says of programs and files to execute it with."""
    from dhq_brevitas.export.domains import remove_execution
    from dhq_brevitas.export.graph import read_graph

    model = read_graph(folder.file(DATAFLOW))
    remove_execution(model)
    return model


def stitched(stage: Stage, model: Any, name: str, fpga_part: str | None = None) -> Any:
    """The design of ``model`` in the folder ``name`` of the run, a StitchedDesign.

    For the clock of the build, and its part unless another is given.
    """
    from dhq_brevitas.finn_flow.stitching import stitch

    built = stage.earlier(BuildOptions)
    return stitch(
        model,
        stage.folder.file(name),
        fpga_part=fpga_part or built.fpga_part,
        clk_period_ns=built.clk_ns,
    )


def run(stage: Stage, options: BuildOptions) -> Results:
    """The folder build/."""
    import numpy as np
    from qonnx.custom_op.registry import getCustomOp

    from dhq_brevitas.finn_flow import build_dataflow
    from dhq_brevitas.planning.plan_file import read_limits

    planned = read_limits(stage.folder.file(LAYERS))
    cycles = int(options.cycles_per_sample)
    this = limits_of(options, cycles)
    if planned is not None and planned.build != this.build:
        stage.say(f"warning: the plan's limits are for {planned.build}, this build is {this.build}")
    codes = stage.problem.inputs.numpy()
    chosen = np.linspace(0, len(codes) - 1, min(VERIFIED_SAMPLES, len(codes))).round().astype(int)
    built = build_dataflow(
        stage.folder.file(GRAPH),
        stage.folder.file(DATAFLOW).parent,
        cycles_per_sample=cycles,
        fpga_part=options.fpga_part,
        clk_period_ns=options.clk_ns,
        mvau=options.mvau,
        verify_inputs=codes[chosen],
        progress=stage.progress,
    )
    results = {name: value for name, value in built.report.items() if name.endswith("_estimate")}
    results["hardware_layers"] = [node.op_type for node in built.model.graph.node]
    results["build_layers"] = built.report["layers"]
    stage.say(
        f"dataflow graph: {len(results['hardware_layers'])} hardware layers, about "
        f"{results.get('cycles_per_sample_estimate')} cycles a sample, "
        f"{results.get('dsp_rtl_estimate')} DSPs in RTL (the estimate: "
        f"{results.get('dsp_estimate')})"
    )
    if options.mvau == "adders":
        nodes = [node for node in built.model.graph.node if node.op_type == "MVAU_rtl"]
        unrolled = sum(getCustomOp(node).unrolled for node in nodes)
        stage.say(f"{unrolled} of {len(nodes)} matrix products are adder graphs")
    for name, more in this.exceeded(Resources.reported(results)).items():
        stage.say(f"warning: {this.given()[name] + more} {name} are more than --max-{name} allows")
    return results, [DATAFLOW]


STAGE = StageKind(
    "build",
    "build the FINN dataflow graph",
    BuildOptions,
    run,
    after="export",
    packages=("finn-plus", "qonnx"),
    needs_finn=True,
    check=check,
    prepare=prepare,
    determines=determines,
)
