# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Running a whole signal through a dataflow graph in Python, in batches.

The graph is executed node by node by the ``execute_node`` of FINN's layers, as FINN's
``execute_onnx`` does, with two differences that matter for whole pictures:

* tensors are carried as float64 rather than float32, so that sums beyond 24 bits stay exact;
* every tensor is checked against its annotated datatype. FINN only warns about a value that does
  not fit; in hardware its upper bits would be gone.
"""

from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export.domains import check_nodes, remove_execution
from dhq_brevitas.export.execute import (
    BATCH_SIZE,
    batches,
    check_samples,
    one_or_all,
    set_batch_size,
)
from dhq_brevitas.export.graph import describe
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops import DOMAIN, RTL_DOMAIN, is_hardware

# Thresholding compares every value with every threshold at once; this many at a time.
MAX_COMPARISONS = 1 << 27


def execute_dataflow(
    model: ModelWrapper,
    codes: Any,
    *,
    batch_size: int | None = None,
    progress: bool = True,
    description: str = "FINN, Python",
) -> Any:
    """Integer outputs of a graph of hardware layers, abstract or specialized to RTL.

    Args:
        model: the graph; left as it is.
        codes: integer inputs [samples, …], of the datatype of the graph input; for several inputs a
            sequence of arrays in the graph's order.
        batch_size: samples executed at once; by default as many as thresholds leave room for.
        progress: show a progress bar.
        description: label of the progress bar.

    Returns int64 [samples, …], or a tuple of them for several outputs. FlowError for inputs outside
    the datatype, for a node that is no hardware layer of FINN or this package, and for a tensor
    that does not fit its datatype. What the graph says of programs and files to execute it with
    does not count.
    """
    check_layers(model)
    given = [x.astype(np.float64) for x in checked_codes(model, codes)]
    if batch_size is None:
        batch_size = default_batch_size(model)
    batch_size = min(batch_size, len(given[0]))
    batched = set_batch_size(model, batch_size)
    remove_execution(batched)
    nodes = [(node, _python_op(node)) for node in batched.graph.node]
    constants = {i.name: batched.get_initializer(i.name) for i in batched.graph.initializer}
    constants = {
        name: value.astype(np.float64) if value.dtype.kind == "f" else value
        for name, value in constants.items()
    }
    names = [tensor.name for tensor in batched.graph.output]
    last_reader = {name: i for i, (node, _) in enumerate(nodes) for name in node.input}
    results: list[list[np.ndarray]] = [[] for _ in names]
    for batch, used in batches(given, batch_size, progress, description):
        context = dict(constants)
        context |= {t.name: x for t, x in zip(batched.graph.input, batch, strict=True)}
        for i, (node, op) in enumerate(nodes):
            for output in node.output:
                context[output] = np.empty(batched.get_tensor_shape(output))
            op.execute_node(context, batched.graph)
            for output in node.output:
                context[output] = context[output].astype(np.float64)
                what = f"the output of {describe(node)}"
                _check_datatype(batched, output, context[output], what)
            for name in set(node.input):
                if last_reader[name] == i and name not in names:
                    del context[name]
        for name, result in zip(names, results, strict=True):
            result.append(context[name][:used].astype(np.int64))
    return one_or_all([np.concatenate(result) for result in results])


def check_layers(model: ModelWrapper) -> None:
    """FlowError unless all nodes are hardware layers that Python executes."""
    for node in model.graph.node:
        if not is_hardware(node):
            raise FlowError(
                f"{describe(node)} is no hardware layer; run the build steps up to "
                "step_dhq_convert_to_hw first"
            )
        if node.domain not in (DOMAIN, RTL_DOMAIN) or node.op_type.endswith("_hls"):
            raise FlowError(
                f"{describe(node)} of the domain {node.domain!r} has no Python execution; use the "
                "graph as it was before step_specialize_layers, or an RTL variant"
            )
    try:
        check_nodes(model)
    except ValueError as error:
        raise FlowError(str(error)) from error


def is_dataflow(model: ModelWrapper) -> bool:
    """Whether all nodes are hardware layers."""
    return all(is_hardware(node) for node in model.graph.node)


def default_batch_size(model: ModelWrapper) -> int:
    """As many samples as keep each Thresholding below ``MAX_COMPARISONS`` at once."""
    batch_size = BATCH_SIZE
    for node in model.graph.node:
        if node.op_type.startswith("Thresholding"):
            op = getCustomOp(node)
            comparisons = op.get_nodeattr("NumChannels") * op.get_nodeattr("numSteps")
            batch_size = min(batch_size, max(1, MAX_COMPARISONS // comparisons))
    return batch_size


def _python_op(node: NodeProto) -> CustomOp:
    """The layer, set to Python execution if it is specialized."""
    op = getCustomOp(node)
    if node.op_type.endswith("_rtl"):
        # In FINN's terms "cppsim" of an RTL layer is the Python of its abstraction.
        op.set_nodeattr("exec_mode", "cppsim")
    return op


def check_inputs(model: ModelWrapper, samples: Any) -> list[np.ndarray]:
    """``samples`` as one array for each input; FlowError unless they are of the shapes that the
    graph takes, and at least one."""
    try:
        return check_samples(model, samples)
    except ValueError as error:
        raise FlowError(str(error)) from error


def checked_codes(model: ModelWrapper, codes: Any) -> list[np.ndarray]:
    """``codes`` as one array for each input; FlowError for another shape or values outside the
    input's datatype."""
    arrays = check_inputs(model, codes)
    for tensor, array in zip(model.graph.input, arrays, strict=True):
        what = "the input" if len(arrays) == 1 else f"the input {tensor.name}"
        _check_datatype(model, tensor.name, array, what)
    return arrays


def _check_datatype(model: ModelWrapper, tensor: str, values: np.ndarray, what: str) -> None:
    datatype = model.get_tensor_datatype(tensor)
    if not datatype.is_integer():
        raise FlowError(f"{what} is annotated {datatype.name}; a stream carries integers")
    low, high = values.min(), values.max()
    if low < datatype.min() or high > datatype.max():
        raise FlowError(
            f"{what} ranges from {low:.0f} to {high:.0f} and does not fit {datatype.name}"
        )
    if np.any(values != np.rint(values)):
        raise FlowError(f"{what} holds values that are not integers")
