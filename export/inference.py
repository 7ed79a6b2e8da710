# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Shapes and datatypes of a graph: bounded, and inferred rather than believed."""

import copy
import re

import numpy as np
import onnx
from onnx import GraphProto, helper, numpy_helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import _infer_node_datatype

from dhq_brevitas.export.domains import HARDWARE
from dhq_brevitas.export.graph import IndexedGraph, check_unique, describe, library_call

__all__ = [
    "check_annotations",
    "check_shapes",
    "check_size",
    "infer_datatypes",
    "infer_shapes",
    "named_datatype",
]

#: Numbers in a tensor: 1 GiB of float32.
MAX_ELEMENTS = 1 << 28
MAX_BITS = 64
DATATYPE = "finn_datatype"


def check_annotations(graph: GraphProto) -> None:
    """Checks the datatypes of what a graph is given; forgets those of what it computes."""
    constants = {constant.name: constant for constant in graph.initializer}
    kept = {tensor.name for tensor in graph.input} | constants.keys()
    # What a layer of FINN puts out is known from nothing else.
    kept |= {n for node in graph.node if node.domain.startswith(HARDWARE) for n in node.output}
    annotations = [a for a in graph.quantization_annotation if a.tensor_name in kept]
    check_unique("annotation of", (a.tensor_name for a in annotations))
    for annotation in annotations:
        name = annotation.tensor_name
        entries = [e for e in annotation.quant_parameter_tensor_names if e.key]
        check_unique(f"annotation of {name} with", (e.key for e in entries))
        for entry in entries:
            if entry.key != DATATYPE:
                continue
            datatype = named_datatype(entry.value, name)
            if name in constants and datatype.is_integer():
                values = numpy_helper.to_array(constants[name])
                if not np.all(datatype.allowed(values)):
                    readers = [describe(node) for node in graph.node if name in node.input]
                    raise ValueError(
                        f"{name}, which {', '.join(readers) or 'no node'} reads, holds values that "
                        f"are no {datatype.name}, the datatype it is annotated with; annotate the "
                        "datatype that holds them"
                    )
    copies = [copy.deepcopy(annotation) for annotation in annotations]
    del graph.quantization_annotation[:]
    graph.quantization_annotation.extend(copies)


def named_datatype(name: str, where: str) -> BaseDataType:
    """The datatype ``name``; ValueError if there is none, or if it is of more than MAX_BITS."""
    numbers = [int(number) for number in re.findall(r"\d+", name[:40])]
    if len(name) <= 40 and all(number <= 2 * MAX_BITS for number in numbers):
        try:
            datatype = DataType[name]
            if 1 <= datatype.bitwidth() <= MAX_BITS:
                datatype.min(), datatype.max()
                return datatype
        except Exception:  # whatever QONNX makes of a name that is none
            pass
    raise ValueError(
        f"{where}: {name[:40]!r} is no datatype of 1 to {MAX_BITS} bits; write for example INT8"
    )


def check_shapes(model: ModelWrapper) -> None:
    """ValueError for an inferred shape that is not known to the last number."""
    for tensor in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        if not all(_sizes(tensor.type)):
            raise ValueError(
                f"the shape of {tensor.name} depends on values, or has an axis of size 0; export "
                "the network with a fixed input shape"
            )


def infer_shapes(model: ModelWrapper) -> None:
    """Infers the shape of every tensor that is computed; ValueError for shapes that do not fit.

    Sizes may stay unknown, but of constants.
    """
    graph = model.graph
    for given in graph.input:
        tensor = given.type.tensor_type
        if not given.type.HasField("tensor_type") or not tensor.HasField("shape"):
            raise ValueError(f"the graph input {given.name} has no shape; give it one")
        check_size(given.name, _sizes(given.type))
    del graph.value_info[:]
    plain = copy.deepcopy(model)
    del plain.graph.output[:]
    for node in plain.graph.node:
        if node.domain:
            with library_call(f"{describe(node)}: its shape cannot be inferred"):
                stand_in = getCustomOp(node).make_shape_compatible_op(plain)
            stand_in.name = node.name
            node.CopyFrom(stand_in)
    for output in graph.output:
        plain.graph.output.add().name = output.name
    with library_call("the shapes of the graph do not fit together, mend the node"):
        inferred = onnx.shape_inference.infer_shapes(plain.model, True, True, True).graph
    # What a layer of FINN says of its further outputs stands among the inner tensors.
    types = {tensor.name: tensor.type for tensor in (*inferred.output, *inferred.value_info)}
    outputs = {output.name: output for output in graph.output}
    constant = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        folds = constant.issuperset(filter(None, node.input))
        for name in filter(None, node.output):
            known = types.get(name)
            if known is not None and known.tensor_type.HasField("shape"):
                check_size(name, _sizes(known))
                tensor = outputs.get(name) or graph.value_info.add()
                tensor.name = name
                tensor.type.CopyFrom(known)
            elif folds:
                raise ValueError(
                    f"{describe(node)}: the shape of the constant {name} is not known; fold the "
                    "constants before"
                )
            if folds:
                constant.add(name)
    # QONNX wants the shapes of constants, too; its own search for each of them takes long.
    tensors = (*graph.input, *graph.value_info, *graph.output)
    missing = {tensor.name: tensor for tensor in graph.initializer}
    for known in tensors:
        missing.pop(known.name, None)
    for name in [name for node in graph.node for name in node.input]:
        if (constant := missing.pop(name, None)) is not None:
            shape = list(constant.dims)
            graph.value_info.append(helper.make_tensor_value_info(name, constant.data_type, shape))


def infer_datatypes(model: ModelWrapper) -> None:
    """Annotates, in place, the datatypes that QONNX's InferDataTypes finds."""
    indexed = IndexedGraph(model)
    while sum(_infer_node_datatype(indexed, node, False) for node in model.graph.node):
        pass


def _sizes(tensor: onnx.TypeProto) -> list[int]:
    """Sizes of a tensor, 0 for what is not known."""
    return [dim.dim_value for dim in tensor.tensor_type.shape.dim]


def check_size(name: str, sizes: list[int]) -> None:
    count = 1
    for size in sizes:
        if size < 0:
            raise ValueError(f"{name} has the shape {sizes}; sizes must be positive")
        count *= max(1, size)
    if count > MAX_ELEMENTS:
        raise ValueError(
            f"{name} has the shape {sizes}, more than {MAX_ELEMENTS} numbers; use a smaller batch "
            "or network"
        )
