# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``run_qonnx``: any number of samples through a QONNX graph, in batches, with exact sums."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import numpy as np
import onnxruntime
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, helper
from qonnx.core.execute_custom_node import execute_custom_node
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import is_custom_op
from qonnx.util.basic import get_preferred_qonnx_opset, qonnx_make_model
from tqdm import tqdm

from dhq_brevitas.export.domains import check_executable, remove_execution
from dhq_brevitas.export.exact_sums import WIDE_SUFFIX, exact_tensor, with_exact_sums
from dhq_brevitas.export.graph import describe, library_call, variables
from dhq_brevitas.export.inference import check_shapes, infer_shapes
from dhq_brevitas.export.validation import checked

BATCH_SIZE = 4096
# Shapes in attributes of FINN's layers, samples first: of most layers, of width converters and
# FIFOs, of elementwise layers.
BATCH_ATTRIBUTES = (
    *("numInputVectors", "inShape", "outShape", "normal_shape", "folded_shape"),
    *("lhs_shape", "rhs_shape", "out_shape"),
)
# What may stand behind the last integers of a graph: scale and bias.
TRAILING_OPS = ("Mul", "Add", "Sub", "Div", "Cast", "Identity")

Array = np.ndarray | torch.Tensor
Samples = Array | Sequence[Array]


@overload
def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: Literal[True],
    batch_size: int = ...,
    progress: bool = ...,
    description: str = ...,
) -> tuple[Any, Any]: ...


@overload
def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: Literal[False] = ...,
    batch_size: int = ...,
    progress: bool = ...,
    description: str = ...,
) -> Any: ...


def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
    description: str = "QONNX",
) -> Any:
    """Output of a QONNX graph, for any number of samples.

    Nodes run as in ``qonnx.core.onnx_exec``, with two differences: sums, and what a Quant makes of
    them, are exact up to 53 bits (:func:`with_exact_sums`), and tensors are not rounded to their
    annotated datatypes.

    Args:
        graph: a QONNX graph, or one of which some nodes are FINN's layers already; left as it is,
            and may be of any batch size.
        inputs: [N, …], an array or a tensor, or a sequence of them, one for each graph input;
            taken as float32, or as float64 where the input is annotated with an integer datatype.
        codes: return the integers ahead of the scale and bias at the end of the graph, too.
        batch_size: samples executed at once.
        progress: show a progress bar.
        description: label of the progress bar.

    Returns the outputs [N, m], float32, or float64 where the output is itself a sum. With
    ``codes``: (codes int64 [N, m], outputs float32 [N, m]). Where a graph has several outputs, each
    of these is a tuple of arrays in the order of the graph's outputs.

    Raises ValueError for inputs of another shape or without a sample, for a graph that is not sound
    (:mod:`~dhq_brevitas.export.validation`), for a node that is not
    to be executed (:func:`~dhq_brevitas.export.domains.check_executable`) or fails, and with
    ``codes`` for a graph that is not in integer form.
    """
    graph = checked(graph)
    check_executable(graph)
    _check_ends(graph)
    samples = check_samples(graph, inputs)
    batch_size = min(batch_size, len(samples[0]))
    batched = with_exact_sums(_batched(graph, batch_size))
    outputs = [output.name for output in batched.graph.output]
    integers = [last_integer_tensor(batched, name) for name in outputs] if codes else []
    results: list[list[np.ndarray]] = [[] for _ in outputs + integers]
    samples = [
        array.astype(np.float64 if _is_wide(tensor) else np.float32)
        for array, tensor in zip(samples, batched.graph.input, strict=True)
    ]
    for batch, used in batches(samples, batch_size, progress, description):
        context = batched.make_empty_exec_context()
        context |= {t.name: array for t, array in zip(batched.graph.input, batch, strict=True)}
        _execute(batched, context, outputs + integers)
        for name, result in zip(outputs + integers, results, strict=True):
            result.append(exact_tensor(context, name)[:used])
    whole = [np.concatenate(result) for result in results]
    if not codes:
        return one_or_all(whole)
    found = [_integers(*pair) for pair in zip(whole[len(outputs) :], integers, strict=True)]
    return one_or_all(found), one_or_all([y.astype(np.float32) for y in whole[: len(outputs)]])


def _execute(model: ModelWrapper, context: dict[str, np.ndarray], wanted: Sequence[str]) -> None:
    """Adds to ``context`` what nodes compute; leaves ``wanted``, and float64 twins, of all that.

    ValueError, naming the node, if one fails.
    """
    opsets, default_opset = model.get_opset_imports(), get_preferred_qonnx_opset()
    kept = {*wanted, *(name + WIDE_SUFFIX for name in wanted)}
    last_reader = {name: i for i, node in enumerate(model.graph.node) for name in node.input}
    for i, node in enumerate(model.graph.node):
        with library_call(f"{describe(node)} cannot be executed"):
            opset = opsets.get(node.domain, default_opset)
            if is_custom_op(node.domain, node.op_type):
                execute_custom_node(node, context, model.graph, opset)
            else:
                _execute_onnx_node(node, context, opset)
        for name in {name for name in node.input if last_reader[name] == i} - kept:
            del context[name]


def _execute_onnx_node(node: NodeProto, context: dict[str, np.ndarray], opset: int) -> None:
    """Adds to ``context`` what ONNX Runtime computes, on as many threads as PyTorch has.

    QONNX's ``execute_node`` would start threads for each node, and look through all tensors.
    """
    given = {name: context[name] for name in node.input if name}
    outputs = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in given.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    model = qonnx_make_model(graph)
    model.opset_import[0].version = opset
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    context |= dict(zip(outputs, session.run(outputs, given), strict=True))


def one_or_all(arrays: Sequence[Any]) -> Any:
    """The only one, or a tuple of all."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def listed(arrays: Any) -> list[np.ndarray]:
    """Inverse of :func:`one_or_all`."""
    return list(arrays) if isinstance(arrays, tuple) else [arrays]


def _is_wide(tensor: ValueInfoProto) -> bool:
    return bool(tensor.type.tensor_type.elem_type == TensorProto.DOUBLE)


def _integers(values: np.ndarray, name: str) -> np.ndarray:
    if np.any(values != np.rint(values)):
        raise ValueError(
            f"{name}, ahead of the scale at the end of the graph, holds no integers; bring the "
            "graph to integer form with dhq_brevitas.export.to_integer_form"
        )
    return values.astype(np.int64)


def last_integer_tensor(graph: ModelWrapper, name: str) -> str:
    """Name of the tensor ahead of the elementwise operations with constants that end in ``name``,
    an output of the graph."""
    while (node := graph.find_producer(name)) is not None and node.op_type in TRAILING_OPS:
        operands = variables(graph, node)
        if len(operands) != 1:
            break
        name = operands[0]
    return name


def _check_ends(graph: ModelWrapper) -> None:
    """ValueError unless the graph has inputs, and inputs and outputs an axis of samples."""
    if not graph.graph.input:
        raise ValueError("the graph has no inputs; it must have at least one")
    for tensor in graph.graph.input:
        if graph.get_initializer(tensor.name) is not None:
            raise ValueError(
                f"the graph input {tensor.name} is a constant, too; remove the constant"
            )
    for tensor in (*graph.graph.input, *graph.graph.output):
        if not graph.get_tensor_shape(tensor.name):
            raise ValueError(
                f"{tensor.name} has no known shape; the first axis must be that of samples"
            )


def _batched(graph: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy for ``batch_size`` samples, ready to be executed; ValueError where it mixes axes up."""
    batched = set_batch_size(graph, batch_size)
    check_shapes(batched)
    remove_execution(batched)
    for output in batched.graph.output:
        shape = batched.get_tensor_shape(output.name)
        if shape is None or shape[:1] != [batch_size]:
            raise ValueError(
                f"for {batch_size} samples the graph output {output.name} has the shape {shape}; "
                "its first axis must be that of the samples"
            )
    return batched


def check_samples(graph: ModelWrapper, inputs: Samples) -> list[np.ndarray]:
    """``inputs`` as one array for each graph input; ValueError unless they are of the shapes that
    the graph takes, equally many samples and at least one."""
    names = [tensor.name for tensor in graph.graph.input]
    given: list[Any] = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    axes = min(2, len(graph.get_tensor_shape(names[0])))
    if len(names) == 1 and not (len(given) == 1 and _is_array(given[0], axes)):
        given = [inputs]  # numbers in nested lists
    arrays = [_array(x) for x in given]
    if len(arrays) != len(names):
        raise ValueError(
            f"inputs hold {len(arrays)} arrays for the {len(names)} inputs of the graph "
            f"({', '.join(names)}); give a sequence with one array for each"
        )
    for name, samples in zip(names, arrays, strict=True):
        expected = graph.get_tensor_shape(name)
        if samples.ndim != len(expected) or list(samples.shape[1:]) != list(expected[1:]):
            which = "" if len(names) == 1 else f" for {name}"
            raise ValueError(
                f"inputs{which} of shape {list(samples.shape)} do not fit the graph, which takes "
                f"[samples, {', '.join(map(str, expected[1:]))}]"
            )
    if len({len(samples) for samples in arrays}) > 1:
        raise ValueError(
            f"inputs hold {[len(samples) for samples in arrays]} samples; give equally many for "
            "every input of the graph"
        )
    if len(arrays[0]) == 0:
        raise ValueError("inputs hold no sample; give at least one")
    for samples in arrays:
        if samples.dtype.kind not in "biuf" or not np.isfinite(samples).all():
            raise ValueError(
                "inputs hold NaN, infinity, or what is no number; remove those samples"
            )
    return arrays


def batches(
    samples: Sequence[np.ndarray], batch_size: int, progress: bool = False, description: str = ""
) -> Iterator[tuple[list[np.ndarray], int]]:
    """Batches of ``batch_size`` of each array, the last one filled up, each with its number of real
    samples."""
    total = len(samples[0])
    with tqdm(
        total=total, desc=description, unit="sample", disable=not progress, leave=False
    ) as bar:
        for start in range(0, total, batch_size):
            used = min(batch_size, total - start)
            # Beyond the end the first sample of the batch stands in.
            index = start + np.where(np.arange(batch_size) < used, np.arange(batch_size), 0)
            yield [array[index] for array in samples], used
            bar.update(used)


def set_batch_size(graph: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy of a graph for inputs of ``batch_size`` samples along the first axis.

    Sets the shapes of all tensors, those that FINN's layers hold as attributes, and the first entry
    of the constant shape of a Reshape where that is the number of samples so far.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    graph = ModelWrapper(graph.model, True, fix_missing_initializer_valueinfo=False)
    inputs = {tensor.name: graph.get_tensor_shape(tensor.name) for tensor in graph.graph.input}
    samples = {shape[0] for shape in inputs.values()}
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name in BATCH_ATTRIBUTES and attribute.ints:
                attribute.ints[0] = batch_size
        target = graph.get_initializer(node.input[1]) if node.op_type == "Reshape" else None
        if target is not None and target.size and target[0] in samples:
            # A new constant: another node may read the old one.
            node.input[1] = f"{node.output[0]}_shape"
            graph.set_initializer(node.input[1], np.array([batch_size, *target[1:]]))
    for output in graph.graph.output:
        output.type.tensor_type.ClearField("shape")
    for name, shape in inputs.items():
        graph.set_tensor_shape(name, [batch_size, *shape[1:]])
    with library_call(f"shapes for {batch_size} samples cannot be inferred"):
        infer_shapes(graph)
    return graph


def _is_array(value: Any, axes: int) -> bool:
    return isinstance(value, np.ndarray | torch.Tensor) and value.ndim >= axes


def _array(samples: Any) -> np.ndarray:
    if isinstance(samples, torch.Tensor):
        return samples.detach().cpu().numpy()
    return np.asarray(samples)
