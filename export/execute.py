# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``run_qonnx``: any number of samples through a QONNX graph, in batches, with exact sums."""

from collections.abc import Iterator
from typing import Literal, overload

import numpy as np
import torch
from onnx import TensorProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_node
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import get_preferred_qonnx_opset
from tqdm import tqdm

from dhq_brevitas.export.domains import check_executable, remove_execution
from dhq_brevitas.export.exact_sums import exact_tensor, with_exact_sums
from dhq_brevitas.export.graph import describe, library_call, variables
from dhq_brevitas.export.inference import check_shapes
from dhq_brevitas.export.validation import checked

BATCH_SIZE = 4096
# Shapes in attributes of FINN's layers, samples first; the last four are of width converters and
# FIFOs.
BATCH_ATTRIBUTES = ("numInputVectors", "inShape", "outShape", "normal_shape", "folded_shape")
# What may stand behind the last integers of a graph: scale and bias.
TRAILING_OPS = ("Mul", "Add", "Sub", "Div", "Cast", "Identity")

Samples = np.ndarray | torch.Tensor


@overload
def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: Literal[True],
    batch_size: int = ...,
    progress: bool = ...,
    description: str = ...,
) -> tuple[np.ndarray, np.ndarray]: ...


@overload
def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: Literal[False] = ...,
    batch_size: int = ...,
    progress: bool = ...,
    description: str = ...,
) -> np.ndarray: ...


def run_qonnx(
    graph: ModelWrapper,
    inputs: Samples,
    *,
    codes: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
    description: str = "QONNX",
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Output of a QONNX graph with one input and one output, for any number of samples.

    Nodes run as in ``qonnx.core.onnx_exec``, with two differences: sums, and what a Quant makes of
    them, are exact up to 53 bits (:func:`with_exact_sums`), and tensors are not rounded to their
    annotated datatypes.

    Args:
        graph: a QONNX graph, or one of which some nodes are FINN's layers already; left as it is,
            and may be of any batch size.
        inputs: [N, …], an array or a tensor; taken as float32, or as float64 where the input is
            annotated with an integer datatype.
        codes: return the integers ahead of the scale and bias at the end of the graph, too.
        batch_size: samples executed at once.
        progress: show a progress bar.
        description: label of the progress bar.

    Returns the outputs [N, m], float32, or float64 where the output is itself a sum. With
    ``codes``: (codes int64 [N, m], outputs float32 [N, m]).

    Raises ValueError for inputs of another shape or without a sample, for a graph that is not sound
    (:mod:`~dhq_brevitas.export.validation`) or has other inputs and outputs, for a node that is not
    to be executed (:func:`~dhq_brevitas.export.domains.check_executable`) or fails, and with
    ``codes`` for a graph that is not in integer form.
    """
    graph = checked(graph)
    check_executable(graph)
    _check_ends(graph)
    samples = _array(inputs)
    check_samples(graph, samples)
    batch_size = min(batch_size, len(samples))
    batched = with_exact_sums(_batched(graph, batch_size))
    opsets, default_opset = batched.get_opset_imports(), get_preferred_qonnx_opset()
    output = batched.graph.output[0].name
    wanted = [output, last_integer_tensor(batched)] if codes else [output]
    results: list[list[np.ndarray]] = [[] for _ in wanted]
    (graph_input,) = batched.graph.input
    wide = graph_input.type.tensor_type.elem_type == TensorProto.DOUBLE
    samples = samples.astype(np.float64 if wide else np.float32)
    for batch, used in batches(samples, batch_size, progress, description):
        context = batched.make_empty_exec_context()
        context[graph_input.name] = batch
        for node in batched.graph.node:
            with library_call(f"{describe(node)} cannot be executed"):
                opset = opsets.get(node.domain, default_opset)
                execute_node(node, context, batched.graph, opset)
        for name, result in zip(wanted, results, strict=True):
            result.append(exact_tensor(context, name)[:used])
    outputs, *integers = map(np.concatenate, results)
    return (_integers(integers[0], wanted[1]), outputs.astype(np.float32)) if codes else outputs


def _integers(values: np.ndarray, name: str) -> np.ndarray:
    if np.any(values != np.rint(values)):
        raise ValueError(
            f"{name}, ahead of the scale at the end of the graph, holds no integers; bring the "
            "graph to integer form with dhq_brevitas.export.to_integer_form"
        )
    return values.astype(np.int64)


def last_integer_tensor(graph: ModelWrapper) -> str:
    """Name of the tensor ahead of the trailing elementwise operations with constants."""
    name = graph.graph.output[0].name
    while (node := graph.find_producer(name)) is not None and node.op_type in TRAILING_OPS:
        operands = variables(graph, node)
        if len(operands) != 1:
            break
        name = operands[0]
    return name


def _check_ends(graph: ModelWrapper) -> None:
    """ValueError unless the graph has one input and one output with an axis of samples."""
    for kind, tensors in (("inputs", graph.graph.input), ("outputs", graph.graph.output)):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise ValueError(f"the graph has {len(tensors)} {kind} ({names}); it must have one")
    (graph_input,) = graph.graph.input
    if graph.get_initializer(graph_input.name) is not None:
        raise ValueError(
            f"the graph input {graph_input.name} is a constant, too; remove the constant"
        )
    for name in (graph_input.name, graph.graph.output[0].name):
        if not graph.get_tensor_shape(name):
            raise ValueError(f"{name} has no known shape; the first axis must be that of samples")


def _batched(graph: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy for ``batch_size`` samples, ready to be executed; ValueError where it mixes axes up."""
    batched = set_batch_size(graph, batch_size)
    check_shapes(batched)
    remove_execution(batched)
    name = batched.graph.output[0].name
    shape = batched.get_tensor_shape(name)
    if shape is None or shape[:1] != [batch_size]:
        raise ValueError(
            f"for {batch_size} samples the graph output {name} has the shape {shape}; its first "
            "axis must be that of the samples"
        )
    return batched


def check_samples(graph: ModelWrapper, samples: np.ndarray) -> None:
    """ValueError unless ``samples`` are at least one of the shape that the graph takes."""
    expected = graph.get_tensor_shape(graph.graph.input[0].name)
    if samples.ndim != len(expected) or list(samples.shape[1:]) != list(expected[1:]):
        raise ValueError(
            f"inputs of shape {list(samples.shape)} do not fit the graph, which takes "
            f"[samples, {', '.join(map(str, expected[1:]))}]"
        )
    if len(samples) == 0:
        raise ValueError("inputs hold no sample; give at least one")
    if samples.dtype.kind not in "biuf" or not np.isfinite(samples).all():
        raise ValueError("inputs hold NaN, infinity, or what is no number; remove those samples")


def batches(
    samples: np.ndarray, batch_size: int, progress: bool = False, description: str = ""
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


def set_batch_size(graph: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy of a graph for inputs of ``batch_size`` samples along the first axis.

    Sets the shapes of all tensors, those that FINN's layers hold as attributes, and the first entry
    of the constant shape of a Reshape where that is the number of samples so far.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    graph = ModelWrapper(graph.model, make_deepcopy=True)
    graph_input = graph.graph.input[0].name
    shape = graph.get_tensor_shape(graph_input)
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name in BATCH_ATTRIBUTES and attribute.ints:
                attribute.ints[0] = batch_size
        target = graph.get_initializer(node.input[1]) if node.op_type == "Reshape" else None
        if target is not None and list(target[:1]) == [shape[0]]:
            # A new constant: another node may read the old one.
            node.input[1] = f"{node.output[0]}_shape"
            graph.set_initializer(node.input[1], np.array([batch_size, *target[1:]]))
    del graph.graph.value_info[:]
    graph.graph.output[0].type.tensor_type.ClearField("shape")
    graph.set_tensor_shape(graph_input, [batch_size, *shape[1:]])
    with library_call(f"shapes for {batch_size} samples cannot be inferred"):
        return graph.transform(InferShapes())


def _array(samples: Samples) -> np.ndarray:
    if isinstance(samples, torch.Tensor):
        return samples.detach().cpu().numpy()
    return np.asarray(samples)
