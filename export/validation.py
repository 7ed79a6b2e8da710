# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The door for graphs, second part: what is wrong with a graph is said before anything reads it.

:func:`checked` is called once at the start of every public function that takes a graph. What it
lets through is sound:

====================  ==============================================================================
tensors               one name, one definition; all that are read are defined; no cycle
constants             as many values as their shape says, finite, within their annotated datatype
operators             registered, with the operands and attributes that their definition asks for
quantizers            one bit width from 1 to 64, scales that are not zero, a known rounding mode
shapes                inferred anew, fit together, at most MAX_ELEMENTS numbers a tensor
datatypes             of at most 64 bits; kept for what the graph is given, forgotten for what it
                      computes, so that passes infer them anew
====================  ==============================================================================
"""

import copy
from graphlib import CycleError, TopologicalSorter

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.checker import DEFAULT_CONTEXT
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import get_preferred_qonnx_opset

from dhq_brevitas.export.domains import check_nodes
from dhq_brevitas.export.graph import (
    QUANT_OPS,
    IndexedGraph,
    check_unique,
    describe,
    library_call,
)
from dhq_brevitas.export.hadamard_op import is_hadamard
from dhq_brevitas.export.inference import (
    MAX_BITS,
    check_annotations,
    check_size,
    infer_shapes,
    named_datatype,
)

__all__ = ["check_is_graph", "checked"]

# fmt: off
ROUNDING_MODES = (
    "ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN",
)
# fmt: on
REALS = (TensorProto.FLOAT, TensorProto.DOUBLE)
# QONNX's letters for the types of attributes.
ATTRIBUTE_TYPES = {
    "i": AttributeProto.INT,
    "f": AttributeProto.FLOAT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "ints": AttributeProto.INTS,
    "floats": AttributeProto.FLOATS,
    "strings": AttributeProto.STRINGS,
}


def check_is_graph(model: ModelWrapper) -> None:
    """TypeError for anything else, such as a path."""
    if not isinstance(model, ModelWrapper):
        raise TypeError(
            f"the graph must be a ModelWrapper of QONNX, not {type(model).__name__}; "
            "ModelWrapper(path) reads a file"
        )


def checked(model: ModelWrapper) -> ModelWrapper:
    """Copy of a sound graph, its nodes in order and its shapes inferred; see the module docstring.

    ValueError, with the node or tensor and a remedy, for one that is not.
    """
    check_is_graph(model)
    proto = copy.deepcopy(model.model)
    graph = proto.graph
    _check_names(proto)
    _check_constants(graph)
    _check_definitions(graph)
    _remove_constant_inputs(graph)
    check_nodes(model)
    _sort(graph)
    _check_operators(proto)
    check_annotations(graph)
    del graph.value_info[:]
    result = ModelWrapper(proto, fix_missing_initializer_valueinfo=False)
    infer_shapes(result)
    indexed = IndexedGraph(result)
    for node in graph.node:
        if node.op_type in QUANT_OPS:
            _check_quant(indexed, node)
        elif is_hadamard(node):
            _check_hadamard(indexed, node)
    return result


def _remove_constant_inputs(graph: GraphProto) -> None:
    """Takes constants out of the graph inputs, among which PyTorch's exporters list them.

    One that is the only input is left, to be refused where an input is needed. ValueError for a
    constant of another shape or type than it is listed with.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for tensor in graph.input:
        constant, listed = constants.get(tensor.name), tensor.type.tensor_type
        if constant is not None and (
            listed.elem_type != constant.data_type
            or [dim.dim_value for dim in listed.shape.dim] != list(constant.dims)
        ):
            raise ValueError(
                f"the constant {tensor.name} is listed as an input of another shape or type than "
                "its own; take it out of the inputs"
            )
    inputs = [tensor for tensor in graph.input if tensor.name not in constants]
    if inputs:
        kept = [copy.deepcopy(tensor) for tensor in inputs]
        del graph.input[:]
        graph.input.extend(kept)


# -- tensors ---------------------------------------------------------------------------------------


def _check_names(proto: ModelProto) -> None:
    """ValueError for names that cannot be printed; a damaged file may even have bytes there."""
    graph = proto.graph
    names = [entry.domain for entry in proto.opset_import]
    names += [tensor.name for tensor in (*graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for annotation in graph.quantization_annotation:
        entries = annotation.quant_parameter_tensor_names
        names += [annotation.tensor_name, *(text for e in entries for text in (e.key, e.value))]
    for name in names:
        if not isinstance(name, str) or not name.isprintable():
            raise ValueError(f"the name {name!r} in the graph cannot be printed; give it another")


def _check_constants(graph: GraphProto) -> None:
    if graph.sparse_initializer:
        raise ValueError("the graph has sparse constants, which are not supported; make them dense")
    for constant in graph.initializer:
        if constant.data_location == TensorProto.EXTERNAL:
            raise ValueError(
                f"the values of {constant.name} are in another file; load the graph from its file, "
                "which reads them in"
            )
        check_size(constant.name, list(constant.dims))
        with library_call(f"the constant {constant.name} is damaged, export the network again"):
            onnx.checker.check_tensor(constant, DEFAULT_CONTEXT)
            numpy_helper.to_array(constant)


def _check_definitions(graph: GraphProto) -> None:
    """ValueError unless every tensor that is read is defined, and none twice."""
    check_unique("graph input", (tensor.name for tensor in graph.input))
    check_unique("constant", (tensor.name for tensor in graph.initializer))
    check_unique("graph output", (tensor.name for tensor in graph.output))
    given = {tensor.name for tensor in (*graph.input, *graph.initializer)}
    computed: dict[str, NodeProto] = {}
    for node in graph.node:
        if not node.output or not node.output[0]:
            raise ValueError(f"{describe(node)} has no output; remove it")
        for name in filter(None, node.output):
            if name in given or name in computed:
                other = "is given" if name in given else f"{describe(computed[name])} computes"
                raise ValueError(
                    f"{describe(node)} computes {name}, which {other}, too; give each tensor a "
                    "name of its own"
                )
            computed[name] = node
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in given and name not in computed:
                raise ValueError(
                    f"{describe(node)} reads {name}, which nothing defines; connect it to the "
                    "tensor that is meant"
                )
    for output in graph.output:
        if output.name not in computed:
            raise ValueError(
                f"no node computes the graph output {output.name}; make it the output of a node"
            )
    if not graph.output:
        raise ValueError("the graph has no output; name the tensor that it is to compute")


def _sort(graph: GraphProto) -> None:
    """Puts nodes behind those that they read from; ValueError for a cycle."""
    nodes = list(graph.node)
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    before = {
        index: {maker[name] for name in node.input if name in maker}
        for index, node in enumerate(nodes)
    }
    if all(first < index for index, firsts in before.items() for first in firsts):
        return
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError as error:
        cycle = " -> ".join(describe(nodes[index]) for index in error.args[1][:5])
        raise ValueError(f"nodes read from each other in a cycle: {cycle}; break it") from error
    graph.node.extend([nodes[index] for index in order])
    del graph.node[: len(nodes)]


# -- operators -------------------------------------------------------------------------------------


def _check_operators(proto: ModelProto) -> None:
    """ValueError for a node whose operands or attributes are not those of its operator."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    version = versions.get("", get_preferred_qonnx_opset())
    if not 1 <= version <= onnx.defs.onnx_opset_version():
        raise ValueError(
            f"the graph asks for version {version} of the ONNX operators; this ONNX knows 1 to "
            f"{onnx.defs.onnx_opset_version()}"
        )
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {**versions, "": version}
    for node in proto.graph.node:
        where = describe(node)
        check_unique(f"attribute of {where}", (a.name for a in node.attribute))
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            raise ValueError(
                f"{where} holds a graph of its own, which is not supported; export the network "
                "without control flow"
            )
        if node.domain:
            _check_custom(node, versions.get(node.domain))
        else:
            with library_call(f"{where} does not fit its operator, mend it"):
                onnx.checker.check_node(node, context)


def _check_custom(node: NodeProto, version: int | None) -> None:
    where = describe(node)
    with library_call(f"{where} is not to be had in version {version} of its domain"):
        op = getCustomOp(node, version)
    for name, (kind, *_) in op.get_nodeattr_types().items():
        given = next((a for a in node.attribute if a.name == name), None)
        if given is not None and given.type != ATTRIBUTE_TYPES.get(kind, given.type):
            raise ValueError(f"{where}: its attribute {name} is of another type than {kind!r}")
        with library_call(f"{where}: its attribute {name} is not as the operator needs it"):
            value = op.get_nodeattr(name)
        if isinstance(value, str) and value and name.lower().endswith(("datatype", "dtype")):
            named_datatype(value, f"{where}, attribute {name}")
    if node.op_type in QUANT_OPS:
        _check_operands(node, 4, 4)
        for name in ("signed", "narrow"):
            if op.get_nodeattr(name) not in (0, 1):
                raise ValueError(f"{where}: {name}={op.get_nodeattr(name)} must be 0 or 1")
        mode = op.get_nodeattr("rounding_mode")
        if mode.upper() not in ROUNDING_MODES:
            raise ValueError(
                f"{where}: rounding_mode={mode!r} is not known; use {', '.join(ROUNDING_MODES)}"
            )
    elif is_hadamard(node):
        _check_operands(node, 1, 2)
        op.checked_order()


def _check_operands(node: NodeProto, fewest: int, most: int) -> None:
    given = [*node.input]
    if not fewest <= len(given) <= most or not all(given[:fewest]) or len(node.output) != 1:
        count = fewest if fewest == most else f"{fewest} or {most}"
        raise ValueError(
            f"{describe(node)} has the inputs {given} and the outputs {[*node.output]}; it takes "
            f"{count} and gives one"
        )


# -- operands --------------------------------------------------------------------------------------


def _check_quant(model: ModelWrapper, node: NodeProto) -> None:
    """ValueError for parameters that no quantizer has, as far as they are constants."""
    where = describe(node)
    _check_real(model, node)
    scale, zero, bits = (model.get_initializer(name) for name in list(node.input)[1:])
    if bits is not None:
        if bits.size != 1:
            raise ValueError(f"{where}: bit widths {bits.tolist()} differ by channel; give it one")
        width = float(bits.reshape(-1)[0])
        if not 1 <= width <= MAX_BITS or width != int(width):
            raise ValueError(
                f"{where}: bit width {width:g} must be an integer from 1 to {MAX_BITS}"
            )
    if scale is not None and not np.all(np.abs(scale) >= np.finfo(np.float32).tiny):
        raise ValueError(f"{where}: a scale is zero, or next to it; use a positive one")
    if zero is not None and np.any(np.abs(zero) > 2.0**MAX_BITS):
        raise ValueError(f"{where}: a zero point has more than {MAX_BITS} bits")
    shape = model.get_tensor_shape(node.input[0])
    others = [np.shape(value) for value in (scale, zero, bits) if value is not None]
    if shape is not None and all(shape):
        with library_call(f"{where}: its parameters do not fit its input"):
            broadcast = np.broadcast_shapes(tuple(shape), *others)
        if broadcast != tuple(shape):
            raise ValueError(
                f"{where}: parameters of the shapes {others} do not fit an input of {shape}"
            )


def _check_hadamard(model: ModelWrapper, node: NodeProto) -> None:
    """ValueError for an order that does not divide the last axis, and for signs that are none."""
    _check_real(model, node)
    op = getCustomOp(node)
    shape = model.get_tensor_shape(node.input[0])
    if shape is None:
        return
    if not shape:
        raise ValueError(f"{describe(node)} has a scalar as input; it transforms the last axis")
    op.checked_order(shape[-1])
    signs = op.signs(model)
    if signs is not None and (list(signs.shape) != shape[-1:] or not np.all(np.abs(signs) == 1)):
        raise ValueError(
            f"{describe(node)}: its signs must be {shape[-1]} numbers 1 or -1, one for each channel"
        )


def _check_real(model: ModelWrapper, node: NodeProto) -> None:
    """ValueError unless all operands of ``node`` are float32 or float64, as far as known."""
    for name in filter(None, node.input):
        tensor = model.get_tensor_valueinfo(name)
        constant, kind = model.get_initializer(name, return_dtype=True)
        if constant is None and tensor is not None:
            kind = tensor.type.tensor_type.elem_type
        if kind not in (None, *REALS):
            raise ValueError(
                f"{describe(node)} reads {name} of the type {TensorProto.DataType.Name(kind)}; it "
                "takes float32 or float64"
            )
