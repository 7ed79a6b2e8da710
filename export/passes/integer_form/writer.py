# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The nodes and constants of the new graph, and what is known of the tensors of the old one."""

import math
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS
from dhq_brevitas.export.passes.integer_form.values import (
    Constant,
    Real,
    Scaled,
    Value,
    check_rounding,
    dyadic_parameters,
    integer,
)


class GraphWriter:
    """Builds the new node list of a graph while its old nodes are visited in order.

    Attributes:
        values: what is known of each tensor of the old graph, by its name.
        nodes: nodes of the new graph.
    """

    def __init__(self, model: ModelWrapper, multiplier_bits: int) -> None:
        self.model = model
        self.multiplier_bits = multiplier_bits
        self.values: dict[str, Value] = {}
        self.nodes: list[NodeProto] = []
        self.module = ""  # of the user's, whose node is visited
        self._initializers: dict[str, tuple[np.ndarray, str]] = {}
        self._formed: dict[str, str] = {}
        self._counter = 0
        for initializer in model.graph.initializer:
            array = numpy_helper.to_array(initializer)
            datatype = model.get_tensor_datatype(initializer.name)
            if datatype.is_integer() and array.dtype == np.float32:
                constant = Constant(array, array, np.ones(()), datatype.name)
            else:
                constant = Constant(array)
            self.values[initializer.name] = constant
        for graph_input in model.graph.input:
            name = graph_input.name
            if name in self.values:
                continue
            datatype = model.get_tensor_datatype(name)
            if datatype.is_integer():
                self.values[name] = integer(name, int(datatype.min()), int(datatype.max()))
            else:
                self.values[name] = Real(name)

    def finish(self) -> None:
        """Puts the new nodes and constants into the graph, in place of the old ones."""
        graph = self.model.graph
        for output in graph.output:
            formed = self.form(self.values[output.name])
            if formed != output.name:
                self._rename(formed, output.name)
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.initializer[:]
        used = {name for node in self.nodes for name in node.input}
        imports = self.model.model.opset_import
        domains = {node.domain for node in self.nodes} - {entry.domain for entry in imports}
        imports.extend(helper.make_opsetid(domain, 1) for domain in sorted(domains))
        for name, (array, datatype) in self._initializers.items():
            if name in used:
                self.model.set_initializer(name, array)
                self.model.set_tensor_datatype(name, DataType[datatype])
        # Shapes are inferred anew: PyTorch annotates some wrongly behind custom operators.
        del graph.value_info[:]

    def copy(self, node: NodeProto) -> None:
        """Takes over a node of the old graph; its inputs are formed as real values."""
        copied = NodeProto()
        copied.CopyFrom(node)
        for index, name in enumerate(node.input):
            if name:
                copied.input[index] = self.form(self.values[name], name)
        self.nodes.append(copied)
        for name in node.output:
            self.values[name] = Real(name)

    def affine(self, x: Scaled, factor: np.ndarray, shift: np.ndarray, exact: bool) -> str:
        """Emits q·factor + shift; with ``exact``, as dyadic numbers that no rounding touches."""
        float64 = False
        if exact:
            given = factor, shift
            factor, shift, s = dyadic_parameters(factor, shift, self.multiplier_bits)
            check_rounding(x, given, (factor, shift), self.multiplier_bits)
            largest = x.magnitude * float(np.max(np.abs(factor))) + float(np.max(np.abs(shift)))
            units = int(math.ldexp(largest, s))
            float64 = units >= 1 << FLOAT_INTEGER_BITS[TensorProto.FLOAT]
            if units >= 1 << FLOAT_INTEGER_BITS[TensorProto.DOUBLE]:
                raise ValueError(
                    f"{x.name}: {math.ceil(math.log2(units))} bits are needed to scale this "
                    "accumulator exactly, more than float64 has; lower multiplier_bits"
                )
        dtype = np.float64 if float64 else np.float32
        name = x.name
        trivial = np.all(factor == 1) and not np.any(shift)
        if float64 and not trivial:
            name = self.emit("Cast", [name], x.name, to=TensorProto.DOUBLE)
        if np.any(factor != 1):
            name = self.emit("Mul", [name, self.parameter(factor.astype(dtype))], x.name)
        if np.any(shift):
            name = self.emit("Add", [name, self.parameter(shift.astype(dtype))], x.name)
        return name

    def form(self, value: Value, name: str = "constant") -> str:
        """Name of a tensor of the new graph that holds the real value."""
        if isinstance(value, Real):
            return value.name
        if isinstance(value, Constant):
            if value.transform is not None:
                raise ValueError(f"{name}: a transformed weight is used by an unsupported node")
            quantized = value.codes is not None
            return self.parameter(value.values.astype(np.float32) if quantized else value.values)
        key = f"{value.name}|{value.scale.tobytes()!r}|{value.offset.tobytes()!r}"
        if key not in self._formed:
            self._formed[key] = self.affine(value, value.scale, value.offset, exact=False)
        return self._formed[key]

    def parameter(self, array: np.ndarray | np.generic, datatype: str = "FLOAT32") -> str:
        """Name of a new constant; it gets into the graph if a node reads it."""
        self._counter += 1
        name = f"integer_form_param_{self._counter}"
        self._initializers[name] = (np.asarray(array), datatype)
        return name

    def constant(self, name: str) -> tuple[np.ndarray, str]:
        """Numbers and datatype of a constant of the new graph."""
        return self._initializers[name]

    def emit(self, op_type: str, inputs: list[str], stem: str, **attributes: Any) -> str:
        """Appends a node; returns the name of its output, which begins with ``stem``."""
        self._counter += 1
        output = f"{stem}_{op_type.lower()}_{self._counter}"
        node = helper.make_node(op_type, inputs, [output], **attributes)
        node.doc_string = self.module
        self.nodes.append(node)
        return output

    def _rename(self, old: str, new: str) -> None:
        users = sum(old in node.input for node in self.nodes)
        produced = [node for node in self.nodes if old in node.output]
        if not produced or users:
            self.nodes.append(helper.make_node("Identity", [old], [new]))
            return
        produced[0].output[list(produced[0].output).index(old)] = new
