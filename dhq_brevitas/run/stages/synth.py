# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``synth``: resources of the accelerator by Yosys, and their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dhq_brevitas.run.stage import Results, Stage, StageKind, option
from dhq_brevitas.run.stages.build import BuildOptions, load_dataflow, stitched

__all__ = ["STAGE", "SynthOptions", "synthesis_rows"]

DESIGN = "synth"
COLUMNS = {
    "lut": "LUT",
    "lutram": "LUTRAM",
    "ff": "FF",
    "carry": "CARRY4",
    "dsp": "DSP",
    "bram18": "BRAM18",
    "uram": "URAM",
}
ESTIMATED = ("lut", "dsp", "bram18")
#: Nodes that the table sums up by kind.
INFRASTRUCTURE = {"StreamingFIFO": "FIFOs", "StreamingDataWidthConverter": "width converters"}


@dataclass(frozen=True)
class SynthOptions:
    """The part may be another one than that of the build."""

    fpga_part: str | None = option(None, "FPGA part (that of the build)", metavar="PART")


def run(stage: Stage, options: SynthOptions) -> Results:
    """Synthesis of every node and of the stitched design, which is left in the folder synth/."""
    from dhq_brevitas.finn_flow.synthesis import Yosys, part_family, synthesize_design

    part = options.fpga_part or stage.earlier(BuildOptions).fpga_part
    part_family(part)
    Yosys()
    stage.say("stitching the accelerator; its FIFOs are sized in RTL simulation")
    design = stitched(stage, load_dataflow(stage.folder), DESIGN, part)
    result = synthesize_design(design, part, progress=stage.progress)
    total = result.total
    stage.say(
        f"{result.tool}, {part}: {total.lut} LUT ({total.lutram} of them memory), {total.ff} FF, "
        f"{total.dsp} DSP, {total.bram18} BRAM18, {total.uram} URAM"
    )
    return result.as_json(), [f"{DESIGN}/{design.top}.v", f"{DESIGN}/fifo_depths.json"]


def synthesis_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Table of a synthesis, a heading first: every layer, FIFOs and converters, sum, whole.

    Where there is an estimate, a cell is ``synthesized / estimated = ratio``.
    """
    nodes: Sequence[Mapping[str, Any]] = summary.get("synthesis_nodes", [])
    if not nodes:
        return []
    rows = [["synthesized / estimated", *COLUMNS.values()]]
    for node in nodes:
        if _infrastructure(node) is None:
            folding = " ".join(f"{key} {node[key]}" for key in ("PE", "SIMD") if key in node)
            rows.append(_row(f"{node['name']} {folding}", [node]))
    for kind in INFRASTRUCTURE.values():
        members = [node for node in nodes if _infrastructure(node) == kind]
        if members:
            rows.append(_row(f"{len(members)} {kind}", members))
    rows.append(_row("sum", nodes))
    whole = {f"{key}_estimate": 0 for key in ESTIMATED} | {key: summary[key] for key in COLUMNS}
    rows.append(_row("stitched, as one", [whole]))
    return rows


def _infrastructure(node: Mapping[str, Any]) -> str | None:
    return INFRASTRUCTURE.get(node["op_type"].removesuffix("_rtl").removesuffix("_hls"))


def _row(title: str, nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [title]
    for key in COLUMNS:
        found = sum(node[key] for node in nodes)
        estimate = sum(node.get(f"{key}_estimate", 0) for node in nodes)
        if key in ESTIMATED and estimate:
            cells.append(f"{found} / {estimate} = {found / estimate:.2f}")
        else:
            cells.append(str(found))
    return cells


STAGE = StageKind(
    "synth",
    "synthesize the accelerator with Yosys, node by node and as a whole (minutes)",
    SynthOptions,
    run,
    after="build",
    branch=True,
    packages=("finn-plus", "pyosys"),
    needs_finn=True,
)
