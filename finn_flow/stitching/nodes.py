# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``simulate_nodes``: the RTL of every layer by itself, through FINN's own node execution."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from tqdm import tqdm

from dhq_brevitas.export.execute import batches, one_or_all, set_batch_size
from dhq_brevitas.export.graph import describe
from dhq_brevitas.finn_flow.build import DEFAULT_FPGA_PART
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.execute import checked_codes
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl
from dhq_brevitas.finn_flow.ranges import MAX_FLOAT32_INTEGER
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator
from dhq_brevitas.finn_flow.stitching.prepare import check_simulable, generate_nodes

#: FINN unpacks the beats of a simulation in a time that grows with their number squared.
BATCH_SIZE = 128
#: Layers that put out what they take in; their Python in FINN insists on float32.
PASSING = ("StreamingDataWidthConverter", "StreamingFIFO")


@dataclass(frozen=True)
class NodeResult:
    """One layer, simulated by itself.

    Attributes:
        name, op_type: of the node.
        samples: samples simulated.
        codes: output codes compared with the Python of the layer.
        mismatches: how many of them differ.
        cycles: clock cycles of a batch, its pipeline filled once, added over the batches.
        cycles_estimate: FINN's estimate for a sample.
    """

    name: str
    op_type: str
    samples: int
    codes: int
    mismatches: int
    cycles: int
    cycles_estimate: int


def simulate_nodes(
    model: ModelWrapper,
    codes: Any,
    *,
    fpga_part: str = DEFAULT_FPGA_PART,
    clk_period_ns: float = 5.0,
    batch_size: int = BATCH_SIZE,
    progress: bool = True,
) -> tuple[Any, list[NodeResult]]:
    """Integer outputs with the RTL of one layer simulated after the other, each one compared.

    A layer gets what the RTL of the layer before it put out; on the same input its Python
    runs as well, so that a difference is counted at the layer that makes it.

    Args:
        model: a graph of RTL layers; left as it is.
        codes: integer inputs [samples, …], of the datatype of the graph input; for several inputs a
            sequence of arrays in the graph's order.
        fpga_part, clk_period_ns: as in the build.
        batch_size: samples simulated at once.
        progress: show a progress bar.

    Returns (int64 [samples, …], or a tuple of them for several outputs, and a :class:`NodeResult`
    of every node from input to output).
    UnsupportedNodeError, SimulationError, FlowError name a node that cannot be simulated, and why.
    """
    check_simulable(model)
    given = [x.astype(np.float64) for x in checked_codes(model, codes)]
    batch_size = min(batch_size, len(given[0]))
    batched = prepare_nodes(set_batch_size(model, batch_size), fpga_part, clk_period_ns)
    graph = batched.graph
    constants = {i.name: batched.get_initializer(i.name) for i in graph.initializer}
    cycles, mismatches, compared = ({node.name: 0 for node in graph.node} for _ in range(3))
    outputs: list[list[np.ndarray]] = [[] for _ in graph.output]
    total = math.ceil(len(given[0]) / batch_size) * len(graph.node)
    with tqdm(total=total, desc="RTL, nodes", disable=not progress, leave=False) as bar:
        for batch, used in batches(given, batch_size):
            context = constants | {t.name: x for t, x in zip(graph.input, batch, strict=True)}
            for node in graph.node:
                bar.set_postfix_str(node.name)
                expected = _in_python(node, context, batched)
                cycles[node.name] += _in_rtl(node, context, batched)
                mismatches[node.name] += _differing(node, context, expected, used)
                compared[node.name] += sum(wanted[:used].size for wanted in expected)
                bar.update()
            for tensor, output in zip(graph.output, outputs, strict=True):
                output.append(context[tensor.name][:used].astype(np.int64))
    results = [
        NodeResult(
            node.name,
            node.op_type,
            len(given[0]),
            compared[node.name],
            mismatches[node.name],
            cycles[node.name],
            int(getCustomOp(node).get_exp_cycles()) // batch_size,
        )
        for node in graph.node
    ]
    return one_or_all([np.concatenate(output) for output in outputs]), results


def _differing(
    node: NodeProto, context: dict[str, np.ndarray], expected: list[np.ndarray], samples: int
) -> int:
    """Codes in which the first ``samples`` samples of all outputs differ."""
    pairs = [(context[name], x) for name, x in zip(node.output, expected, strict=True)]
    return sum(int(np.count_nonzero(a[:samples] != b[:samples])) for a, b in pairs)


def prepare_nodes(
    model: ModelWrapper, fpga_part: str = DEFAULT_FPGA_PART, clk_period_ns: float = 5.0
) -> ModelWrapper:
    """Copy of ``model`` that ``execute_onnx`` simulates: HDL generated, each node compiled."""
    check_simulable(model)
    enable_verilator()
    model = generate_nodes(model, fpga_part, clk_period_ns).transform(SetExecMode("rtlsim"))
    try:
        return model.transform(PrepareRTLSim(num_workers=1))
    except SimulationError as error:
        raise SimulationError(f"a layer cannot be simulated: {error}") from error


def _in_rtl(node: NodeProto, context: dict[str, np.ndarray], model: ModelWrapper) -> int:
    """Simulates ``node``, puts its output into ``context`` and returns the clock cycles."""
    op = getCustomOp(node)
    own = context
    if not _is_ours(op):
        own = {name: context[name].astype(np.float32) for name in node.input}
    for name in node.output:
        own[name] = np.zeros(model.get_tensor_shape(name), np.float32)
    try:
        op.execute_node(own, model.graph)
    except SimulationError as error:
        raise SimulationError(f"{describe(node)}: {error}") from error
    except Exception as error:
        raise FlowError(f"{describe(node)} failed in simulation: {error}") from error
    for name in node.output:
        context[name] = own[name].astype(np.float64)
    return int(op.get_nodeattr("cycles_rtlsim"))


def _is_ours(op: Any) -> bool:
    """Whether integers reach the simulation of a layer, and come back, without FINN's packing."""
    return isinstance(op, KernelRtl) or bool(getattr(op, "ours", False))


def _check_float32(node: NodeProto, integers: np.ndarray) -> None:
    largest = int(np.abs(integers).max())
    if largest > MAX_FLOAT32_INTEGER:
        raise FlowError(
            f"{describe(node)} takes or puts out integers of {largest.bit_length() + 1} bits, and "
            "FINN packs those of its own layers in float32, which holds 24; simulate the stitched "
            "design, which is exact"
        )


def _in_python(
    node: NodeProto, context: dict[str, np.ndarray], model: ModelWrapper
) -> list[np.ndarray]:
    """Outputs of the Python of ``node``, float64; FlowError if its simulation rounds integers."""
    op = getCustomOp(node)
    if not _is_ours(op):
        _check_float32(node, context[node.input[0]])
    shape = model.get_tensor_shape(node.output[0])
    if node.op_type.startswith(PASSING):
        return [context[node.input[0]].reshape(shape)]
    wide = {
        name: context[name].astype(np.float64) if context[name].dtype.kind == "f" else context[name]
        for name in node.input
    }
    wide |= {name: np.empty(model.get_tensor_shape(name)) for name in node.output}
    op.set_nodeattr("exec_mode", "cppsim")
    op.execute_node(wide, model.graph)
    op.set_nodeattr("exec_mode", "rtlsim")
    for name in () if _is_ours(op) else node.output:
        _check_float32(node, wide[name])
    return [wide[name] for name in node.output]
