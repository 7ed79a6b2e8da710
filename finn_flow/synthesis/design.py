# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``synthesize_design``: every node of a stitched accelerator, and all of it, out of context."""

import json
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model
from tqdm import tqdm

from dhq_brevitas.export.graph import describe
from dhq_brevitas.finn_flow.environment import processors
from dhq_brevitas.finn_flow.ops import JOINT_VARIANTS
from dhq_brevitas.finn_flow.report import FOLDING_ATTRIBUTES, RESOURCES
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.stitching import StitchedDesign
from dhq_brevitas.finn_flow.stitching.folder import FINN_FILE_LIST
from dhq_brevitas.finn_flow.stitching.top import make_top
from dhq_brevitas.finn_flow.synthesis.parts import part_family
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import CELLS, SynthesisError, Yosys

_JOINTS = [variant.__name__ for variant in JOINT_VARIANTS]


@dataclass(frozen=True)
class NodeSynthesis:
    """One node, with its weight or parameter streamer.

    Attributes:
        name: of the node.
        op_type: of the node.
        folding: PE, SIMD, where it has them.
        resources: synthesized out of context.
        estimate: FINN's and our operators' own, by the names of ``resources``.
    """

    name: str
    op_type: str
    folding: dict[str, int]
    resources: Resources
    estimate: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """One flat dictionary; a ratio, synthesized by estimated, where neither is zero."""
        values: dict[str, Any] = {"name": self.name, "op_type": self.op_type, **self.folding}
        values |= asdict(self.resources)
        values |= {f"{name}_estimate": number for name, number in self.estimate.items()}
        for name, number in self.estimate.items():
            if number and (found := getattr(self.resources, name)):
                values[f"{name}_ratio"] = round(found / number, 3)
        return values


@dataclass(frozen=True)
class DesignSynthesis:
    """A stitched accelerator.

    Attributes:
        total: all of it, flattened and synthesized as one.
        nodes: each by itself, from input to output.
        fpga_part: part whose family was mapped to.
        family: Yosys's name of that family.
        tool: name and version of the tool.
        netlist: folder with the netlist of all of it, in the cache.
    """

    total: Resources
    nodes: list[NodeSynthesis]
    fpga_part: str
    family: str
    tool: str
    netlist: Path

    def as_json(self) -> dict[str, Any]:
        """``lut``, ``ff``, … of the whole, and a list ``synthesis_nodes``."""
        return {
            **asdict(self.total),
            "synthesis_part": self.fpga_part,
            "synthesis_family": self.family,
            "synthesis_tool": self.tool,
            "synthesis_nodes": [node.as_json() for node in self.nodes],
        }


def synthesize_design(
    design: StitchedDesign, fpga_part: str, *, progress: bool = True
) -> DesignSynthesis:
    """Resources of a stitched accelerator and of each of its nodes, by Yosys.

    Args:
        design: made for ``fpga_part``.
        fpga_part: decides the family.
        progress: show a progress bar.

    Runs one Yosys for each processor. Results are cached by content, see
    :func:`~dhq_brevitas.finn_flow.environment.synthesis_cache_dir`. FlowError for a part that Yosys
    does not know; SynthesisError, naming the node, if Yosys is missing or rejects the design.
    """
    family = part_family(fpga_part)
    yosys = Yosys()
    jobs: dict[str, tuple[Sources, str]] = {
        # The longest first.
        "": (stitched_sources(design), design.top)
    }
    nodes = list(design.model.graph.node)
    for node in nodes:
        jobs[node.name] = node_sources(node)
    entries: dict[str, Path] = {}
    pool = ThreadPoolExecutor(processors())
    try:
        futures: dict[Future, str] = {
            pool.submit(yosys.synthesize, sources, top, family): name
            for name, (sources, top) in jobs.items()
        }
        with tqdm(total=len(jobs), desc="synthesis", unit="design", disable=not progress) as bar:
            for future in as_completed(futures):
                name = futures[future]
                try:
                    entries[name] = future.result()
                except SynthesisError as error:
                    node = next((n for n in nodes if n.name == name), None)
                    where = "the stitched design" if node is None else describe(node)
                    raise SynthesisError(
                        f"{where}: {error}; the files of FINN's library are made fit for Yosys as "
                        "finn-plus 1.6.1 has them, so install that version"
                    ) from error
                bar.update()
    finally:
        yosys.stop()
        pool.shutdown(cancel_futures=True)
    return DesignSynthesis(
        total=read_resources(entries[""]),
        nodes=[_node_synthesis(node, fpga_part, entries[node.name]) for node in nodes],
        fpga_part=fpga_part,
        family=family,
        tool=yosys.version,
        netlist=entries[""],
    )


def stitched_sources(design: StitchedDesign) -> Sources:
    """Sources of a stitched design; its ``top`` is the top module."""
    return read_sources((design.folder / FINN_FILE_LIST).read_text().splitlines())


def read_resources(entry: Path) -> Resources:
    """Resources of a folder that :meth:`Yosys.synthesize` left."""
    cells: Mapping[str, int] = json.loads((entry / CELLS).read_text())
    return Resources.of_cells(cells)


def node_sources(node: NodeProto) -> tuple[Sources, str]:
    """Sources and top module of one node with its streamer, whose configuration port is tied off.

    The HDL of the node is generated, as in the graph of a stitched design. The name of the node
    is taken out of its modules, so that equal nodes are equal sources.
    """
    name = f"{node.name}_alone"
    # Further inputs of other layers are constants.
    streams = list(node.input) if node.op_type in _JOINTS else list(node.input)[:1]
    inputs = [helper.make_tensor_value_info(tensor, 1, [1]) for tensor in streams]
    outputs = [helper.make_tensor_value_info(tensor, 1, [1]) for tensor in node.output]
    alone = ModelWrapper(
        qonnx_make_model(helper.make_graph([node], "node", inputs, outputs)), make_deepcopy=True
    )
    for tensor in list(node.input)[len(streams) :]:
        alone.set_initializer(tensor, np.zeros(1, np.float32))
    top = make_top(alone, name)
    sources = read_sources(top.sources)
    sources.texts[f"{name}.v"] = top.text

    def anonymous(text: str) -> str:
        return re.sub(rf"{node.name}(?!\d)", "node", text)

    sources.texts = {anonymous(file): anonymous(text) for file, text in sources.texts.items()}
    sources.data = {anonymous(file): content for file, content in sources.data.items()}
    return sources, anonymous(name)


def _node_synthesis(node: NodeProto, fpga_part: str, entry: Path) -> NodeSynthesis:
    op = getCustomOp(node)
    attributes = op.get_nodeattr_types()
    estimate = op.node_res_estimation(fpga_part)
    return NodeSynthesis(
        name=node.name,
        op_type=node.op_type,
        folding={a: int(op.get_nodeattr(a)) for a in FOLDING_ATTRIBUTES if a in attributes},
        resources=read_resources(entry),
        estimate={
            name: round(float(estimate[key])) for key, name in RESOURCES.items() if key in estimate
        },
    )
