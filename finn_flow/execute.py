# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Running a whole signal through a graph in Python, in batches.

A dataflow graph is executed node by node by the ``execute_node`` of FINN's layers, as FINN's
``execute_onnx`` does, with two differences that matter for whole pictures:

* tensors are carried as float64 rather than float32, so that sums beyond 24 bits stay exact;
* every tensor is checked against its annotated datatype. FINN only warns about a value that does
  not fit; in hardware its upper bits would be gone.
"""

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_node
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import get_preferred_qonnx_opset
from tqdm import tqdm

from dhq_brevitas.export import exact_tensor, set_batch_size, with_exact_sums
from dhq_brevitas.finn_flow.checks import describe
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops import DOMAIN

DEFAULT_BATCH_SIZE = 4096
# Shapes in attributes, samples first; the last four are of width converters and FIFOs.
BATCH_ATTRIBUTES = {"numInputVectors", "inShape", "outShape", "normal_shape", "folded_shape"}
# Thresholding compares every value with every threshold at once; this many at a time.
MAX_COMPARISONS = 1 << 27


def with_batch_size(model: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy of a QONNX or dataflow graph whose first axis holds ``batch_size`` samples.

    Sets the first entry of ``numInputVectors`` of every hardware layer, or of the shapes that the
    attributes of a converter or FIFO hold, and the shape of every tensor.
    """
    if batch_size < 1:
        raise FlowError(f"batch_size={batch_size} must be at least 1")
    model = ModelWrapper(model.model, make_deepcopy=True)
    for node in model.graph.node:
        if node.domain.startswith(DOMAIN):
            op = getCustomOp(node)
            for name in BATCH_ATTRIBUTES & op.get_nodeattr_types().keys():
                shape = [int(n) for n in op.get_nodeattr(name)]
                op.set_nodeattr(name, [batch_size, *shape[1:]])
    return set_batch_size(model, batch_size)


def execute_dataflow(
    model: ModelWrapper,
    codes: np.ndarray,
    *,
    batch_size: int | None = None,
    progress: bool = True,
    description: str = "FINN, Python",
) -> np.ndarray:
    """Integer outputs of a graph of hardware layers, abstract or specialised to RTL.

    Args:
        model: the graph; left as it is.
        codes: integer inputs [samples, …], of the datatype of the graph input.
        batch_size: samples executed at once; by default as many as thresholds leave room for.
        progress: show a progress bar.
        description: label of the progress bar.

    Returns int64 [samples, …]. FlowError for inputs outside the datatype, for a node that is no
    hardware layer, and for a tensor that does not fit its datatype.
    """
    for node in model.graph.node:
        if not node.domain.startswith(DOMAIN):
            raise FlowError(
                f"{describe(node)} is no hardware layer; run the build steps up to "
                "step_dhq_convert_to_hw first"
            )
    codes = np.asarray(codes)
    _check_shape(model, codes)
    _check_datatype(model, model.graph.input[0].name, codes, "the input codes")
    if batch_size is None:
        batch_size = default_batch_size(model)
    batch_size = min(batch_size, len(codes)) or 1
    batched = with_batch_size(model, batch_size)
    nodes = [(node, _python_op(node)) for node in batched.graph.node]
    constants = {i.name: batched.get_initializer(i.name) for i in batched.graph.initializer}
    constants = {
        name: value.astype(np.float64) if value.dtype.kind == "f" else value
        for name, value in constants.items()
    }
    outputs = []
    for batch, used in _batches(codes.astype(np.float64), batch_size, progress, description):
        context = {**constants, batched.graph.input[0].name: batch}
        for node, op in nodes:
            output = node.output[0]
            context[output] = np.empty(batched.get_tensor_shape(output))
            op.execute_node(context, batched.graph)
            context[output] = context[output].astype(np.float64)
            _check_datatype(batched, output, context[output], f"the output of {describe(node)}")
            del context[node.input[0]]
        outputs.append(context[batched.graph.output[0].name][:used].astype(np.int64))
    return np.concatenate(outputs)


def execute_qonnx(
    model: ModelWrapper,
    inputs: np.ndarray,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    progress: bool = False,
    description: str = "QONNX",
) -> np.ndarray:
    """Outputs of a QONNX graph, or one converted in part, by QONNX's executor.

    ``inputs`` are [samples, …]; every node runs as in ``qonnx.core.onnx_exec``, with two
    differences: tensors are not rounded to their annotation, since in integer form there is nothing
    to round, and sums are exact (:func:`dhq_brevitas.export.with_exact_sums`).
    """
    inputs = np.asarray(inputs)
    _check_shape(model, inputs)
    batch_size = min(batch_size, len(inputs)) or 1
    batched = with_exact_sums(with_batch_size(model, batch_size))
    opsets, default_opset = batched.get_opset_imports(), get_preferred_qonnx_opset()
    outputs = []
    for batch, used in _batches(inputs.astype(np.float32), batch_size, progress, description):
        context = batched.make_empty_exec_context()
        context[batched.graph.input[0].name] = batch
        for node in batched.graph.node:
            execute_node(node, context, batched.graph, opsets.get(node.domain, default_opset))
        outputs.append(exact_tensor(context, batched.graph.output[0].name)[:used])
    return np.concatenate(outputs)


def is_dataflow(model: ModelWrapper) -> bool:
    """Whether all nodes are hardware layers."""
    return all(node.domain.startswith(DOMAIN) for node in model.graph.node)


def default_batch_size(model: ModelWrapper) -> int:
    """As many samples as keep each Thresholding below ``MAX_COMPARISONS`` at once."""
    batch_size = DEFAULT_BATCH_SIZE
    for node in model.graph.node:
        if node.op_type.startswith("Thresholding"):
            op = getCustomOp(node)
            comparisons = op.get_nodeattr("NumChannels") * op.get_nodeattr("numSteps")
            batch_size = min(batch_size, max(1, MAX_COMPARISONS // comparisons))
    return batch_size


def _python_op(node: NodeProto) -> CustomOp:
    """The layer, set to Python execution if it is specialised."""
    op = getCustomOp(node)
    if node.op_type.endswith("_rtl"):
        # In FINN's terms "cppsim" of an RTL layer is the Python of its abstraction.
        op.set_nodeattr("exec_mode", "cppsim")
    return op


def _batches(
    samples: np.ndarray, batch_size: int, progress: bool, description: str
) -> Iterator[tuple[np.ndarray, int]]:
    """Batches of ``batch_size``, the last one filled up, each with its number of real samples."""
    with tqdm(
        total=len(samples), desc=description, unit="sample", disable=not progress, leave=False
    ) as bar:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            used = len(batch)
            if used < batch_size:
                batch = np.concatenate([batch, np.repeat(batch[:1], batch_size - used, axis=0)])
            yield batch, used
            bar.update(used)


def _check_shape(model: ModelWrapper, samples: np.ndarray) -> None:
    expected = model.get_tensor_shape(model.graph.input[0].name)
    if samples.ndim != len(expected) or list(samples.shape[1:]) != list(expected[1:]):
        raise FlowError(
            f"inputs of shape {list(samples.shape)} do not fit the graph, which takes "
            f"[samples, {', '.join(map(str, expected[1:]))}]"
        )
    if len(samples) == 0:
        raise FlowError("inputs hold no sample")


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
