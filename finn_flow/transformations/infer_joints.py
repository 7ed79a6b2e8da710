# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Where branches meet and part: the layers of :mod:`dhq_brevitas.finn_flow.ops.joints`.

=========================================  =====================================================
nodes                                      become
=========================================  =====================================================
Add of two integer tensors, either behind  ElementwiseAdd, the factors as attributes
a Mul with one annotated integer
Mul of two integer tensors                 ElementwiseMul
Concat of such along the last axis         StreamingConcat, the factors as an attribute
a tensor with several readers, a graph     DuplicateStreams (:class:`InferForks`)
output among them
anything else                              left alone
=========================================  =====================================================
"""

from typing import Any

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.graph import attribute, only_consumer, replace_nodes, variables
from dhq_brevitas.finn_flow.elementwise import NotConvertible
from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.ops.joints import smallest_datatype
from dhq_brevitas.finn_flow.ranges import IntegerRange, integer_ranges

NAMES = {"Add": "sum", "Mul": "product", "Concat": "concatenation"}


class InferJoints(Transformation):
    """See the module docstring. ``reasons`` maps the name of a node left alone to the cause."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        ranges = integer_ranges(model)
        changed = False
        for node in list(model.graph.node):
            if node.op_type not in NAMES or node.domain or len(variables(model, node)) < 2:
                continue
            try:
                _replace(model, node, ranges)
                changed = True
            except NotConvertible as reason:
                self.reasons[node.name] = str(reason)
        return model, changed


def _check(model: ModelWrapper, node: NodeProto, ranges: dict[str, IntegerRange]) -> None:
    """NotConvertible unless ``node`` joins integer tensors, channel by channel or one by one."""
    shapes = [model.get_tensor_shape(name) for name in node.input]
    for name in node.input:
        if name not in ranges:
            raise NotConvertible(
                f"it is the {NAMES[node.op_type]} of several branches, and {name} holds no "
                "integers of one scale (the output of a layer with a weight scale for each "
                "channel, or in a product with a bias, is none); put a quantizer, for example "
                "QuantIdentity, at the end of each branch"
            )
    if node.op_type == "Concat":
        if attribute(node, "axis", 0) not in (-1, len(shapes[0]) - 1):
            raise NotConvertible("it concatenates along another axis than the last, the channels")
    elif shapes[0] != shapes[1]:
        raise NotConvertible(
            f"its branches {node.input[0]} and {node.input[1]} give {shapes[0]} and {shapes[1]} "
            "values a sample, and streams are joined one by one; give both the same shape"
        )


def _replace(model: ModelWrapper, node: NodeProto, ranges: dict[str, IntegerRange]) -> None:
    _check(model, node, ranges)
    sources, factors, removed = [], [], [node]
    for name in node.input:
        before = model.find_producer(name)
        factor = None if before is None else _factor(model, before, node.op_type != "Mul")
        if before is not None and factor is not None:
            removed.append(before)
            (name,) = variables(model, before)
        sources.append(name)
        factors.append(1 if factor is None else factor)
    types = [_type(model, name, ranges) for name in sources]
    if node.op_type == "Concat":
        attributes = _concat_attributes(model, node, types, factors)
        kind = "StreamingConcat"
    else:
        attributes = _elementwise_attributes(model, node, types, factors)
        attributes["out_dtype"] = _type(model, node.output[0], ranges)
        kind = f"Elementwise{node.op_type}"
    layer = helper.make_node(
        kind,
        sources,
        list(node.output),
        name=f"{kind}_{node.name}",
        domain=DOMAIN,
        backend="fpgadataflow",
        inFIFODepths=[2] * len(sources),
        **attributes,
    )
    replace_nodes(model, removed, [layer])


def _concat_attributes(
    model: ModelWrapper, node: NodeProto, types: list[str], factors: list[int]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "SIMD": 1,
        "ChannelsPerStream": [int(model.get_tensor_shape(name)[-1]) for name in node.input],
        "inputDataTypes": types,
        "numInputVectors": [int(n) for n in model.get_tensor_shape(node.output[0])[:-1]],
    }
    return attributes if set(factors) == {1} else attributes | {"factors": factors}


def _elementwise_attributes(
    model: ModelWrapper, node: NodeProto, types: list[str], factors: list[int]
) -> dict[str, Any]:
    shape = [int(n) for n in model.get_tensor_shape(node.output[0])]
    attributes: dict[str, Any] = {"PE": 1, "lhs_dtype": types[0], "rhs_dtype": types[1]}
    attributes |= dict.fromkeys(("lhs_shape", "rhs_shape", "out_shape"), shape)
    if node.op_type == "Add":
        attributes |= {"lhs_factor": factors[0], "rhs_factor": factors[1]}
    return attributes


def _factor(model: ModelWrapper, node: NodeProto, scaled: bool) -> int | None:
    """The integer by which ``node``, read by one other, multiplies its input; 1 for an Identity."""
    if only_consumer(model, node.output[0]) is None:
        return None
    if node.op_type == "Identity":
        return 1
    if node.op_type != "Mul" or not scaled:
        return None
    for name in node.input:
        values = model.get_initializer(name)
        if values is not None and values.size == 1 and model.get_tensor_datatype(name).is_integer():
            return int(values.item())
    return None


def _type(model: ModelWrapper, name: str, ranges: dict[str, IntegerRange]) -> str:
    """The datatype that the producing layer has, or else the smallest one."""
    annotated = model.get_tensor_datatype(name)
    producer = model.find_producer(name)
    if producer is None or producer.domain:
        return str(annotated.name)
    return str(smallest_datatype(ranges[name].whole()).name)


class InferForks(Transformation):
    """A DuplicateStreams behind every tensor that several nodes, or a node and the host, read."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        tensors = [tensor.name for tensor in model.graph.input]
        tensors += [name for node in model.graph.node for name in node.output]
        outputs = {output.name for output in model.graph.output}
        changed = False
        for name in tensors:
            readers = model.find_consumers(name)
            if len(readers) + (name in outputs) > 1:
                _fork(model, name, readers, name in outputs)
                changed = True
        return model, changed


def _fork(model: ModelWrapper, name: str, readers: list[NodeProto], is_output: bool) -> None:
    shape = [int(n) for n in model.get_tensor_shape(name)]
    datatype = model.get_tensor_datatype(name)
    source, producer = name, model.find_producer(name)
    copies = [f"{name}_copy{i}" for i in range(len(readers))]
    if is_output and producer is not None:
        # The name of the output stays.
        source = f"{name}_before_fork"
        producer.output[list(producer.output).index(name)] = source
    for copy in (*copies, *([source] if is_output else [])):
        model.set_tensor_shape(copy, shape)
        model.set_tensor_datatype(copy, datatype)
    for copy, reader in zip(copies, readers, strict=True):
        reader.input[list(reader.input).index(name)] = copy
    outputs = [*copies, *([name] if is_output else [])]
    fork = helper.make_node(
        "DuplicateStreams",
        [source],
        outputs,
        name=f"DuplicateStreams_{name}",
        domain=DOMAIN,
        backend="fpgadataflow",
        NumChannels=shape[-1],
        PE=1,
        NumOutputStreams=len(outputs),
        inputDataType=datatype.name,
        numInputVectors=shape[:-1],
        outFIFODepths=[2] * len(outputs),
    )
    index = 0 if producer is None else model.get_node_index(producer) + 1
    model.graph.node.insert(index, fork)
