# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``with_exact_sums``: a QONNX graph whose sums, and decisions on sums, are taken in float64."""

import math
from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, QUANT_OPS, IndexedGraph, attribute
from dhq_brevitas.export.hadamard_op import is_hadamard

WIDE_SUFFIX = "_float64"
AFFINE_OPS = ("Mul", "Add", "Sub", "Div", "Neg", "Cast", "Identity")
# Functions that are monotone to the last bit in any implementation.
MONOTONE_OPS = ("Relu", "Clip", "Max", "Min", "Floor", "Ceil", "Round")
PRODUCTS = ("MatMul", "Gemm", "MVAU")
FINN_DOMAIN = "finn.custom_op.fpgadataflow"
FINN_SUMS = ("HadamardTransform", "LookupActivation", "MVAU")
# What joins tensors, or hands one on to several readers.
ADDERS = ("Add", "Sub", "ElementwiseAdd")
MULTIPLIERS = ("Mul", "ElementwiseMul")
COLLECTORS = ("Concat", "StreamingConcat", "DuplicateStreams")
# No bound is larger: the width of a datatype may be anything in a damaged file.
MAX_BITS = 64


def with_exact_sums(graph: ModelWrapper) -> ModelWrapper:
    """Copy of a QONNX graph that adds up in float64, and decides on wide sums in float64.

    In float64, integers are exact up to 53 bits. Computed in it are

    * the sums of a MatMul or Gemm with constant weights, of a HadamardTransform in front of it, and
      of FINN's layers;
    * where sums of integer codes can outgrow float32's 24 bits (:func:`code_bounds`), what stands
      between them and the next Quant, as far as it is affine or monotone in one tensor: Mul, Add,
      Relu, …, but no Cast to float32; and the division, clipping and rounding of that Quant;
    * sums, products and concatenations of integer tensors whose result can outgrow 24 bits.

    All else is float32, as QONNX has it. A tensor x of float64 is named x_float64, with a Cast to x
    for nodes that stay in float32; :func:`exact_tensor` finds it. So is a graph input that is
    annotated with an integer datatype of more than 24 bits. Shapes must be annotated and nodes
    sorted.
    """
    model = ModelWrapper(graph.model, True, fix_missing_initializer_valueinfo=False)
    widener = _Widener(model)
    before = len(model.graph.node)
    model.graph.node.extend(widener.rewritten())
    del model.graph.node[:before]
    return model


def exact_tensor(context: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The tensor ``name`` of an execution of a graph that :func:`with_exact_sums` made."""
    return context.get(name + WIDE_SUFFIX, context[name])


def is_wide(bound: int) -> bool:
    """Whether float32 does not hold all integers up to ``bound``."""
    return bound > 1 << FLOAT_INTEGER_BITS[TensorProto.FLOAT]


def code_bounds(model: ModelWrapper) -> dict[str, int]:
    """A bound of the integer codes behind every tensor that is computed from quantized values only.

    ===================================  =========================================================
    tensor                               bound
    ===================================  =========================================================
    graph input, or output of a layer    2^(b-1), or 2^b if unsigned
    of FINN, of an integer datatype
    Quant                                the same plus the zero point, and that of its constant
    MatMul, Gemm, MVAU                   times the largest Σ|w| of an output, w the weights' codes
    HadamardTransform                    times its order
    sum, product of two integer tensors  sum, product of the two; so Mul by annotated integers
    Concat, DuplicateStreams of such     the largest of their operands
    affine or monotone functions         that of their operand: the codes they are computed from
    ===================================  =========================================================

    By its definition the bound is the same for the layer that FINN has for a node. Nodes must be
    sorted and shapes annotated.
    """
    bounds = {}
    model = IndexedGraph(model)
    constant, joints = _constant_tensors(model), integer_joints(model)
    for graph_input in model.graph.input:
        datatype = model.get_tensor_datatype(graph_input.name)
        if datatype.is_integer():
            bounds[graph_input.name] = _largest(datatype.bitwidth(), datatype.signed())
    for initializer in model.graph.initializer:
        values = numpy_helper.to_array(initializer)
        if values.dtype == np.float32 and np.all(np.isfinite(values) & (values == np.rint(values))):
            bounds[initializer.name] = 0 if values.size == 0 else int(np.abs(values).max())
    for node in model.graph.node:
        bound = _bound(model, node, bounds, constant, joints)
        if bound is not None:
            bounds.update(dict.fromkeys(node.output, bound))
    return bounds


def _largest(bits: int, signed: bool) -> int:
    return 1 << min(max(bits - signed, 0), MAX_BITS)


def _constant_tensors(model: ModelWrapper) -> set[str]:
    """Initializers and what is computed from them only."""
    constant = {initializer.name for initializer in model.graph.initializer}
    for node in model.graph.node:
        if constant.issuperset(filter(None, node.input)):
            constant.update(node.output)
    return constant


def _bound(
    model: ModelWrapper,
    node: NodeProto,
    bounds: Mapping[str, int],
    constant: set[str],
    joints: set[str],
) -> int | None:
    if node.op_type in QUANT_OPS:
        return _quant_bound(model, node)
    kind = node.op_type.removesuffix("_rtl")
    if kind in ("Thresholding", "LookupActivation") or attribute(node, "requantShift", -1) >= 0:
        datatype = model.get_tensor_datatype(node.output[0])
        return _largest(datatype.bitwidth(), datatype.signed())
    before = bounds.get(node.input[0]) if node.input else None
    if kind in PRODUCTS:
        return None if before is None else _product_bound(model, node, bounds, before)
    operands = [name for name in node.input if name and name not in constant]
    if node.output[0] in joints:
        return _joint_bound(node, kind, bounds)
    operands = operands or list(node.input)[:1]
    if len(operands) != 1 or operands[0] not in bounds:
        return None
    before = bounds[operands[0]]
    if kind == "HadamardTransform":
        return before * int(attribute(node, "order", None) or attribute(node, "Order", 1))
    return before if kind in (*AFFINE_OPS, *MONOTONE_OPS, "Transpose") else None


def integer_joints(model: ModelWrapper) -> set[str]:
    """First outputs of the nodes that join or fork integer tensors, or multiply one by annotated
    integers; nodes must be sorted."""
    model = IndexedGraph(model)
    constant = _constant_tensors(model)
    inputs = [tensor.name for tensor in model.graph.input]
    integers = {name for name in inputs if model.get_tensor_datatype(name).is_integer()}
    joints = set()
    for node in model.graph.node:
        variable = [name for name in node.input if name and name not in constant]
        joins = integers.issuperset(variable) and _joins(model, node, variable)
        if joins or _holds_integers(model, node, integers.issuperset(variable)):
            integers.update(node.output)
        if joins:
            joints.add(node.output[0])
    return joints


def _joins(model: ModelWrapper, node: NodeProto, variable: list[str]) -> bool:
    kind = node.op_type.removesuffix("_rtl")
    if len(variable) == 1 and kind in MULTIPLIERS:
        others = [name for name in node.input if name != variable[0]]
        return all(model.get_tensor_datatype(name).is_integer() for name in others)
    if kind in COLLECTORS:
        return variable == list(node.input)
    return len(variable) == 2 and kind in ADDERS + MULTIPLIERS


def _holds_integers(model: ModelWrapper, node: NodeProto, given: bool) -> bool:
    """Whether another node puts out integers; ``given``: whether it takes them."""
    if node.domain.startswith(FINN_DOMAIN):
        return model.get_tensor_datatype(node.output[0]).is_integer()
    if node.op_type in QUANT_OPS:
        scale, zero = (model.get_initializer(name) for name in list(node.input)[1:3])
        known = scale is not None and zero is not None
        return known and bool(np.all(scale == 1)) and not np.any(zero)
    if node.op_type in PRODUCTS:
        weights = model.get_initializer(node.input[1])
        return given and weights is not None and bool(np.all(weights == np.rint(weights)))
    return given and (
        node.op_type == "Identity" or (is_hadamard(node) and not attribute(node, "normalize", 0))
    )


def _joint_bound(node: NodeProto, kind: str, bounds: Mapping[str, int]) -> int | None:
    given = [bounds.get(name) for name in node.input]
    known = [bound for bound in given if bound is not None]
    if len(known) < len(given):
        return None
    if kind in COLLECTORS:
        factors = attribute(node, "factors", None) or [1] * len(known)
        return max(abs(m) * bound for m, bound in zip(factors, known, strict=True))
    if kind in MULTIPLIERS:
        return known[0] * known[1]
    return sum(
        abs(attribute(node, name, 1)) * bound
        for name, bound in zip(("lhs_factor", "rhs_factor"), known, strict=True)
    )


def _quant_bound(model: ModelWrapper, node: NodeProto) -> int | None:
    x, scale, zero, bits = (model.get_initializer(name) for name in node.input)
    if scale is None or zero is None or bits is None:
        return None
    bound = _largest(int(bits.item()), attribute(node, "signed", 1)) + int(np.abs(zero).max())
    if x is None:
        return bound
    with np.errstate(all="ignore"):
        largest = float(np.abs(x / scale).max())
    return min(bound, math.ceil(largest)) if math.isfinite(largest) else bound


def _product_bound(
    model: ModelWrapper, node: NodeProto, bounds: Mapping[str, int], before: int
) -> int | None:
    weight = bounds.get(node.input[1])
    values = model.get_initializer(node.input[1])
    if weight is None:
        return None
    if values is None or values.ndim != 2 or attribute(node, "transB", 0):
        return before * weight * model.get_tensor_shape(node.input[0])[-1]
    return before * int(np.abs(values.astype(np.float64)).sum(axis=0).max())


class _Widener:
    """Finds the nodes to be computed in float64 and rewrites them."""

    def __init__(self, model: ModelWrapper) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.bounds = code_bounds(model)
        self.constant = _constant_tensors(model)
        self.joints = integer_joints(model)
        self.sums = {node.output[0] for node in self.nodes if self._is_sum(node)}
        self.wanted: set[str] = set()  # tensors that are read in float64
        self.wide = [self._is_wide(node) for node in reversed(self.nodes)][::-1]
        self.twins: set[str] = set()

    def _is_sum(self, node: NodeProto) -> bool:
        """Whether ``node`` adds up products with constants, or is another such layer of FINN."""
        if node.domain.startswith(FINN_DOMAIN):
            return node.op_type.removesuffix("_rtl") in FINN_SUMS
        factors = list(filter(None, node.input[1:]))
        return node.op_type in PRODUCTS and self.constant.issuperset(factors)

    def _is_wide(self, node: NodeProto) -> bool:
        """Whether ``node`` reads float64; called from the last node to the first."""
        variable = [name for name in node.input if name and name not in self.constant]
        bound = self.bounds.get(variable[0], 0) if len(variable) == 1 else 0
        kind = node.op_type.removesuffix("_rtl")
        if node.output[0] in self.sums or node.op_type.startswith("Thresholding"):
            wide = True
        elif node.output[0] in self.joints:
            wide = is_wide(self.bounds.get(node.output[0], 0))
        elif kind == "Cast":
            known = is_wide(bound) or node.input[0] in self.sums
            wide = known and attribute(node, "to", None) == TensorProto.DOUBLE
        elif kind in QUANT_OPS:
            wide = is_wide(bound)
        else:
            wide = node.output[0] in self.wanted and (
                is_hadamard(node) or (kind in AFFINE_OPS + MONOTONE_OPS and is_wide(bound))
            )
        if wide:
            self.wanted.update(variable)
        return wide

    def rewritten(self) -> list[NodeProto]:
        """The nodes of the new graph, in order."""
        result = []
        for graph_input in self.model.graph.input:
            name = graph_input.name
            if name in self.wanted and is_wide(self.bounds.get(name, 0)):
                shape = self.model.get_tensor_shape(name)
                self.twins.add(name)
                graph_input.name = name + WIDE_SUFFIX
                graph_input.type.tensor_type.elem_type = TensorProto.DOUBLE
                self.model.set_tensor_shape(name, shape)
                result.append(_cast(graph_input.name, name, TensorProto.FLOAT))
        pairs = list(zip(self.nodes, self.wide, strict=True))
        narrow = {name for node, wide in pairs if not wide for name in node.input}
        narrow |= {output.name for output in self.model.graph.output}
        for node, wide in pairs:
            if not wide:
                result.append(node)
                continue
            # The other inputs of operators that are no ONNX operators are parameters.
            # Those of FINN that join streams have no parameters.
            joins = node.op_type.removesuffix("_rtl") in (*ADDERS, *MULTIPLIERS, *COLLECTORS)
            inputs = list(node.input)[: 1 if node.domain and not joins else None]
            for index, name in enumerate(inputs):
                if name:
                    result += self._widened(name)
                    node.input[index] = self._twin(name)
            result.append(node)
            for index, output in enumerate(node.output):
                if not _gives_codes(node) and not self._is_double(output):
                    node.output[index] = self._twin(output)
                    if output in narrow:
                        result.append(_cast(node.output[index], output, TensorProto.FLOAT))
        return result

    def _widened(self, name: str) -> list[NodeProto]:
        """The nodes still needed for the twin of ``name``."""
        if name in self.twins or self._is_double(name):
            return []
        value = self.model.get_initializer(name)
        twin = self._twin(name)
        if value is None:
            return [_cast(name, twin, TensorProto.DOUBLE)]
        self.model.set_initializer(twin, value.astype(np.float64))
        return []

    def _twin(self, name: str) -> str:
        """Name of the tensor ``name`` in float64; makes it known to the graph."""
        if self._is_double(name):
            return name
        if name not in self.twins:
            self.twins.add(name)
            shape = self.model.get_tensor_shape(name)
            twin = helper.make_tensor_value_info(name + WIDE_SUFFIX, TensorProto.DOUBLE, shape)
            self.model.graph.value_info.append(twin)
        return name + WIDE_SUFFIX

    def _is_double(self, name: str) -> bool:
        value = self.model.get_tensor_valueinfo(name)
        return value is not None and value.type.tensor_type.elem_type == TensorProto.DOUBLE


def _gives_codes(node: NodeProto) -> bool:
    """Whether ``node`` puts out float32 from float64: codes of at most 24 bits."""
    return node.op_type in QUANT_OPS or node.op_type.startswith("Thresholding")


def _cast(source: str, target: str, dtype: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], to=dtype)
