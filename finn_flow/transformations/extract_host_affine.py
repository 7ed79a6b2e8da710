# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Leaves the float operations at both ends of a graph to the host.

    graph_input -> [Mul, Div, Add, Sub]* -> Quant(scale 1) -> … -> integers -> [Mul, Div, Add, Sub]*
                   `--------- host.encode ----------'               `------ host.decode ------'

Transpose, Reshape, Squeeze, Unsqueeze, Flatten and Expand may be among them where the samples stay
on the first axis.

Both ends are removed from the graph, whose inputs and outputs become the integer tensors, and are
recorded in its metadata as a :class:`~dhq_brevitas.finn_flow.host_affine.HostAffine`. Of several
inputs and outputs each is treated by itself.

=====================================================  ===========================================
case                                                   effect
=====================================================  ===========================================
input annotated as integer                             nothing to remove at the input
float input without such a Quant, or used otherwise    input left alone
Quant with another scale at the input                  left alone: not in integer form
last tensor not computed from integers by such a tail  output left alone
=====================================================  ===========================================

A second run finds an integer input and an integer output and changes nothing.
"""

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.graph import QUANT_OPS, constants, fans_out, only_consumer, variables
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import (
    OPERATORS,
    HostAffine,
    HostInput,
    HostOutput,
    HostStep,
    InputQuantizer,
)
from dhq_brevitas.finn_flow.ranges import integer_ranges, quant_parameters


class ExtractHostAffine(Transformation):
    """See the module docstring."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        known = HostAffine.from_model(model)
        inputs = [tensor.name for tensor in model.graph.input]
        outputs = [tensor.name for tensor in model.graph.output]
        before = known or HostAffine((HostInput(),) * len(inputs), (HostOutput(),) * len(outputs))
        host = HostAffine(
            tuple(_head(model, *pair) for pair in zip(inputs, before.inputs, strict=True)),
            tuple(_tail(model, *pair) for pair in zip(outputs, before.outputs, strict=True)),
        )
        changed = any(
            new is not old
            for new, old in zip(
                host.inputs + host.outputs, before.inputs + before.outputs, strict=True
            )
        )
        if changed or known is None:
            host.save_to(model)
        return model, changed


def _head(model: ModelWrapper, tensor: str, known: HostInput) -> HostInput:
    """What the host computes for the graph input ``tensor``, which is taken out of the graph."""
    nodes = _input_nodes(model, tensor)
    if not nodes:
        return known
    steps = tuple(_step(model, node) for node in nodes[:-1])
    result = HostInput(steps, _quantizer(model, nodes[-1]))
    _move_input(model, tensor, nodes)
    return result


def _tail(model: ModelWrapper, tensor: str, known: HostOutput) -> HostOutput:
    """What the host computes for the graph output ``tensor``, which is taken out of the graph."""
    nodes = _output_nodes(model, tensor)
    if not nodes:
        return known
    result = HostOutput((*(_step(model, node) for node in nodes), *known.steps))
    _move_output(model, tensor, nodes)
    return result


def _is_affine_step(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether ``node`` combines one variable, on the left where it matters, with one constant."""
    if node.op_type not in OPERATORS:
        return False
    constant = [model.get_initializer(name) is not None for name in node.input]
    if node.op_type in ("Sub", "Div"):
        return constant == [False, True]
    return sorted(constant) == [False, True]


def _input_nodes(model: ModelWrapper, tensor: str) -> list[NodeProto]:
    """The nodes from the graph input ``tensor`` to its Quant, in order, or none."""
    if model.get_tensor_datatype(tensor).is_integer():
        return []
    nodes = []
    while (node := only_consumer(model, tensor)) is not None:
        nodes.append(node)
        if node.op_type in QUANT_OPS and node.input[0] == tensor:
            parameters = quant_parameters(model, node)
            if parameters is None or np.any(parameters[0] != 1) or parameters[1] < 2:
                return []
            return nodes
        if not _is_affine_step(model, node) and _arranged(model, node) is None:
            break
        tensor = node.output[0]
    return []


def _output_nodes(model: ModelWrapper, output: str) -> list[NodeProto]:
    """The nodes from the last integer tensor to the graph output, in order, or none."""
    integers, tensor = integer_ranges(model), output
    nodes: list[NodeProto] = []
    while tensor not in integers:
        node = model.find_producer(tensor)
        if node is None:
            return []
        if not _is_affine_step(model, node) and _arranged(model, node) is None:
            return []
        if nodes and fans_out(model, tensor):
            return []
        nodes.append(node)
        tensor = variables(model, node)[0]
    # The constants of these steps must not widen the integers.
    ends = [model.get_tensor_shape(name) for name in (tensor, output)]
    widened = ends[0] != ends[1] and all(_arranged(model, node) is None for node in nodes)
    outputs = {end.name for end in model.graph.output}
    if tensor in outputs and nodes:
        raise FlowError(
            f"the graph outputs {tensor} and {output} are one result, up to what the host adds and "
            "multiplies; return it once, and compute the other from it"
        )
    if tensor in outputs or model.find_producer(tensor) is None or widened:
        return []
    nodes.reverse()
    return nodes


def _arranged(model: ModelWrapper, node: NodeProto) -> HostStep | None:
    """A node that moves values within a sample, for one sample; None for any other."""
    if node.op_type not in ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand"):
        return None
    before, after = (model.get_tensor_shape(name) for name in (node.input[0], node.output[0]))
    if model.get_initializer(node.input[0]) is not None or not before or not after:
        return None
    if node.op_type == "Transpose":
        axes = list(node.attribute[0].ints) if node.attribute else list(range(len(before)))[::-1]
        return None if axes[0] else HostStep("Transpose", np.array(axes))
    if before[0] != after[0]:
        return None
    kind = "Expand" if node.op_type == "Expand" else "Reshape"
    return HostStep(kind, np.array([-1, *after[1:]]))


def _step(model: ModelWrapper, node: NodeProto) -> HostStep:
    arranged = _arranged(model, node)
    if arranged is not None:
        return arranged
    return HostStep(node.op_type, constants(model, node)[0])


def _quantizer(model: ModelWrapper, node: NodeProto) -> InputQuantizer:
    op = getCustomOp(node)
    return InputQuantizer(
        bits=int(model.get_initializer(node.input[3]).item()),
        signed=bool(op.get_nodeattr("signed")),
        narrow=bool(op.get_nodeattr("narrow")),
        rounding=op.get_nodeattr("rounding_mode"),
    )


def _move_input(model: ModelWrapper, graph_input: str, head: list[NodeProto]) -> None:
    """Lets the consumers of the Quant read the graph input, whose name stays."""
    codes = head[-1].output[0]
    datatype = getCustomOp(head[-1]).get_integer_datatype(model)
    for consumer in model.find_consumers(codes):
        for index, name in enumerate(consumer.input):
            if name == codes:
                consumer.input[index] = graph_input
    shape = model.get_tensor_shape(codes)
    for node in head:
        model.graph.node.remove(node)
    model.set_tensor_shape(graph_input, shape)
    model.set_tensor_datatype(graph_input, datatype)


def _move_output(model: ModelWrapper, graph_output: str, tail: list[NodeProto]) -> None:
    """Lets the producer of the last integers write the graph output, whose name stays."""
    integers = variables(model, tail[0])[0]
    datatype = model.get_tensor_datatype(integers)
    shape = model.get_tensor_shape(integers)
    producer = model.find_producer(integers)
    producer.output[list(producer.output).index(integers)] = graph_output
    for node in tail:
        model.graph.node.remove(node)
    for consumer in model.find_consumers(integers):
        for index, name in enumerate(consumer.input):
            if name == integers:
                consumer.input[index] = graph_output
    model.set_tensor_shape(graph_output, shape)
    model.set_tensor_datatype(graph_output, datatype)
