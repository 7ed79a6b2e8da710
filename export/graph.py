# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Questions about the nodes of a graph, edits and checks that several modules share."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import (
    NodeProto,
    StringStringEntryProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import get_by_name

# Bits of the integers that a floating-point format holds one by one.
FLOAT_INTEGER_BITS = {TensorProto.FLOAT: 24, TensorProto.DOUBLE: 53}
# QONNX's quantizer, under its older and its newer name.
QUANT_OPS = ("Quant", "IntQuant")


def describe(node: NodeProto) -> str:
    """Name and operator of a node for messages, behind its module where that is known."""
    module = f"{node.doc_string}: " if node.doc_string else ""
    return f"{module}node {node.name or '(unnamed)'} (op_type {node.op_type})"


def check_unique(kind: str, names: Iterable[str]) -> None:
    """ValueError for a name that is there twice, or empty."""
    for name, count in Counter(names).items():
        if count > 1 or not name:
            what = f"{count} times" if name else "without a name"
            raise ValueError(f"the {kind} {name!r} is there {what}; keep one, with a name")


@contextmanager
def library_call(what: str) -> Iterator[None]:
    """Exceptions of a call of ONNX or QONNX become ValueErrors that begin with ``what``."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = " ".join(lines)[:300] or type(error).__name__
        raise ValueError(f"{what}: {message}") from error


def read_graph(path: str | os.PathLike[str]) -> ModelWrapper:
    """The graph of an ONNX file; ValueError that names the file if it holds none."""
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a file; give the path of an ONNX graph")
    with library_call(f"{path} cannot be read as ONNX"):
        model = ModelWrapper(os.fspath(path))
    if not model.graph.node:
        raise ValueError(f"{path} cannot be read as ONNX: it holds no node")
    return model


class IndexedGraph(ModelWrapper):
    """A view of a graph in which everything is found by name at once.

    A ModelWrapper looks through all tensors, or all nodes, for every name, so that passes over a
    deep network are quadratic. Of ``model`` nothing but datatypes may change while it is in use.
    """

    def __init__(self, model: ModelWrapper) -> None:
        self.model, self.fix_float64 = model.model, model.fix_float64
        graph = model.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._infos = {x.name: x for x in (*graph.input, *graph.output, *graph.value_info)}
        self._annotations = {a.tensor_name: a for a in graph.quantization_annotation}
        self._producers: dict[str, NodeProto] = {}
        self._consumers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.output:
                self._producers.setdefault(name, node)
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)

    def get_initializer(self, tensor_name: str, return_dtype: bool = False) -> Any:
        tensor = self._constants.get(tensor_name)
        values = None if tensor is None else numpy_helper.to_array(tensor)
        return (values, tensor and tensor.data_type) if return_dtype else values

    def get_tensor_valueinfo(self, tensor_name: str) -> ValueInfoProto | None:
        return self._infos.get(tensor_name)

    def get_tensor_shape(
        self, tensor_name: str, fix_missing_init_shape: bool = False
    ) -> list[int] | None:
        info, constant = self._infos.get(tensor_name), self._constants.get(tensor_name)
        if info is not None:
            return [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        return None if constant is None else list(constant.dims)

    def get_tensor_datatype(self, tensor_name: str) -> BaseDataType:
        entry = self._datatype_entry(tensor_name)
        if entry is not None:
            return DataType[entry.value]
        info, constant = self._infos.get(tensor_name), self._constants.get(tensor_name)
        kind = info.type.tensor_type.elem_type if info else constant and constant.data_type
        return DataType["FLOAT16" if kind == TensorProto.FLOAT16 else "FLOAT32"]

    def set_tensor_datatype(self, tensor_name: str, datatype: BaseDataType | None) -> None:
        entry = self._datatype_entry(tensor_name)
        if datatype is None:
            if entry is not None:
                entry.Clear()
            return
        if entry is None:
            if tensor_name not in self._annotations:
                annotation = self.graph.quantization_annotation.add(tensor_name=tensor_name)
                self._annotations[tensor_name] = annotation
            entries = self._annotations[tensor_name].quant_parameter_tensor_names
            entry = entries.add(key="finn_datatype")
        entry.value = datatype.name

    def _datatype_entry(self, tensor_name: str) -> StringStringEntryProto | None:
        annotation = self._annotations.get(tensor_name)
        entries = [] if annotation is None else annotation.quant_parameter_tensor_names
        return next((entry for entry in entries if entry.key == "finn_datatype"), None)

    def find_producer(self, tensor_name: str) -> NodeProto | None:
        return self._producers.get(tensor_name)

    def find_consumers(self, tensor_name: str) -> list[NodeProto]:
        return list(self._consumers.get(tensor_name, []))


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Value of a node attribute, or ``default``."""
    found = get_by_name(node.attribute, name)
    return default if found is None else helper.get_attribute_value(found)


def constants(model: ModelWrapper, node: NodeProto) -> list[np.ndarray]:
    """Values of those inputs of ``node`` that are constant, in order."""
    values = (model.get_initializer(name) for name in node.input if name)
    return [value for value in values if value is not None]


def variables(model: ModelWrapper, node: NodeProto) -> list[str]:
    """Names of those inputs of ``node`` that are given and not constant, in order."""
    return [name for name in node.input if name and model.get_initializer(name) is None]


def fans_out(model: ModelWrapper, tensor: str) -> bool:
    """Whether ``tensor`` is a graph output or has more than one consumer."""
    outputs = {output.name for output in model.graph.output}
    return tensor in outputs or len(model.find_consumers(tensor)) > 1


def only_consumer(model: ModelWrapper, tensor: str) -> NodeProto | None:
    """The node that alone reads ``tensor``; None if it is a graph output or is read elsewhere."""
    consumers = model.find_consumers(tensor)
    return None if not consumers or fans_out(model, tensor) else consumers[0]


def replace_nodes(model: ModelWrapper, old: Sequence[NodeProto], new: Sequence[NodeProto]) -> None:
    """Puts ``new`` where the last of ``old`` stands and removes ``old``."""
    nodes = model.graph.node
    index = max(model.get_node_index(node) for node in old) + 1
    for offset, node in enumerate(new):
        nodes.insert(index + offset, node)
    for node in old:
        nodes.remove(node)


def rename_quantizers(model: ModelWrapper) -> None:
    """Gives, in place, every IntQuant its older name Quant: the operator is the same.

    QONNX's clean-up passes know the older name alone and would fold a quantized weight into values
    without codes.
    """
    for node in model.graph.node:
        if node.op_type == "IntQuant":
            node.op_type = "Quant"
