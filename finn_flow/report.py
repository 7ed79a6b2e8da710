# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Summary of FINN's estimate reports."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finn.builder.build_dataflow_config import DataflowBuildConfig
from finn.util.basic import get_dsp_block
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.ops import is_hardware
from dhq_brevitas.finn_flow.ranges import MAX_FLOAT32_INTEGER, integer_ranges
from dhq_brevitas.util.files import read_json

RESOURCES = {"LUT": "lut", "DSP": "dsp", "BRAM_18K": "bram18", "URAM": "uram"}
FOLDING_ATTRIBUTES = ("PE", "SIMD")
# Of the port for the weights. A DSP58 has a mode of its own, for which FINN's estimate holds.
MULTIPLIED_BITS = {"DSP48E1": 25, "DSP48E2": 27}


def read_report(model: ModelWrapper, cfg: DataflowBuildConfig) -> dict[str, Any]:
    """The estimates of the report folder of ``cfg``, by the names that this project uses.

    ``cycles_per_sample_estimate`` and ``latency_cycles_estimate`` (FINN's latency: the cycles of
    all layers in sequence), ``samples_per_second_estimate``, ``slowest_layer``, ``lut_estimate``,
    ``dsp_estimate``, ``bram18_estimate``, ``uram_estimate``, ``dsp_rtl_estimate`` (DSPs, those of
    the MVAUs counted by :func:`mvau_dsps`), and ``layers``: for each node its name, op_type,
    folding, datatypes, cycles and FINN's estimates of its resources. What FINN wrote no report on
    is absent. ``accumulators_beyond_float32``, absent if empty, lists matrix products whose sums
    could pass 2^24, where QONNX's float32 execution could round while hardware does not.
    """
    folder = cfg.get_report_directory()
    cycles = _read(folder, "estimate_layer_cycles")
    resources = _read(folder, "estimate_layer_resources")
    performance = _read(folder, "estimate_network_performance")
    report: dict[str, Any] = {}
    if performance:
        vectors = _vectors(model)
        report["cycles_per_sample_estimate"] = math.ceil(performance["max_cycles"] / vectors)
        report["latency_cycles_estimate"] = performance["critical_path_cycles"]
        report["samples_per_second_estimate"] = performance["estimated_throughput_fps"] * vectors
        report["slowest_layer"] = performance["max_cycles_node_name"]
    report |= _resources(resources.get("total", {}))
    if "dsp_estimate" in report:
        more = (missed_dsps(model, node, cfg.fpga_part) for node in model.graph.node)
        report["dsp_rtl_estimate"] = report["dsp_estimate"] + sum(more)
    ranges = integer_ranges(model)
    wide = [
        node.name
        for node in model.graph.node
        if node.op_type.startswith("MVAU")
        and node.output[0] in ranges
        and ranges[node.output[0]].magnitude > MAX_FLOAT32_INTEGER
    ]
    if wide:
        report["accumulators_beyond_float32"] = wide
    report["layers"] = [
        _layer(node, cycles, resources) for node in model.graph.node if is_hardware(node)
    ]
    return report


def node_resources(
    model: ModelWrapper, node: NodeProto, found: Mapping[str, float], fpga_part: str
) -> dict[str, int]:
    """LUTs, DSPs as in RTL and memories of a node; ``found`` is FINN's ``res_estimation`` of it."""
    used = {ours: round(found[theirs]) for theirs, ours in RESOURCES.items()}
    used["dsp"] += missed_dsps(model, node, fpga_part)
    return used


def missed_dsps(model: ModelWrapper, node: NodeProto, fpga_part: str) -> int:
    """DSPs of a node that its estimate leaves out: none but those of an MVAU in FINN's RTL."""
    block = get_dsp_block(fpga_part)
    if node.op_type != "MVAU_rtl" or block not in MULTIPLIED_BITS:
        return 0
    op = getCustomOp(node)
    if op.ours:
        return 0
    return mvau_dsps(model, node, MULTIPLIED_BITS[block]) - op.dsp_estimation(fpga_part)


def mvau_dsps(model: ModelWrapper, node: NodeProto, port: int) -> int:
    """⌈PE / lanes⌉ · SIMD, lanes = 1 + ⌊(port - s - w) / (w + a - 1)⌋, as ``mvu.sv`` has it.

    A DSP multiplies one input of a bits with as many weights of w bits as its port holds side by
    side, s = 1 if one of them is -2^(w-1). (FINN's estimate takes four, whatever their width.)
    """
    op = getCustomOp(node)
    weights, datatype = model.get_initializer(node.input[1]), op.get_input_datatype(1)
    wide = int(weights.min() == datatype.min())
    width = datatype.bitwidth()
    product = width + op.get_input_datatype(0).bitwidth() - 1
    lanes = 1 + (port - wide - width) // product
    return math.ceil(op.get_nodeattr("PE") / lanes) * int(op.get_nodeattr("SIMD"))


def _layer(node: Any, cycles: dict[str, Any], resources: dict[str, Any]) -> dict[str, Any]:
    op = getCustomOp(node)
    attributes = op.get_nodeattr_types()
    layer: dict[str, Any] = {"name": node.name, "op_type": node.op_type}
    layer |= {a: op.get_nodeattr(a) for a in FOLDING_ATTRIBUTES if a in attributes}
    layer["input_datatype"] = op.get_input_datatype(0).name
    layer["output_datatype"] = op.get_output_datatype(0).name
    if node.name in cycles:
        layer["cycles_estimate"] = cycles[node.name]
    return layer | _resources(resources.get(node.name, {}))


def _resources(values: dict[str, Any]) -> dict[str, int]:
    return {
        f"{name}_estimate": round(values[key]) for key, name in RESOURCES.items() if key in values
    }


def _vectors(model: ModelWrapper) -> int:
    for node in model.graph.node:
        if is_hardware(node):
            return math.prod(getCustomOp(node).get_normal_output_shape()[:-1])
    return 1


def _read(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / f"{name}.json") or {}
