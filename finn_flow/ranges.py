# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Which integers each tensor can hold, per channel.

Starting from the datatype of the graph input, exact ranges are propagated through the layers that
keep integers integers. They are tighter than datatypes (INT20 holds 2^20 values, an accumulator
of given weights often far fewer), which decides whether arithmetic is exact and how large a table
has to be.

==================================  ==============================================================
node                                range of its output
==================================  ==============================================================
graph input with integer datatype   that of the datatype
MatMul, MVAU; constant weights      Σ_i min or max of w_ij·low_i, w_ij·high_i; behind an
                                    unnormalized HadamardTransform without requantizer
                                    with the weights D H W and the range before it
HadamardTransform, unnormalized     (1 + H)/2 and (1 - H)/2 applied to low and high; requantized
Quant; scale 1, zero point 0        rounded and clipped ends if the input is known, else datatype
Thresholding, MultiThreshold        number of thresholds at or below the ends, plus the bias
LookupActivation                    smallest and largest table entry
sum, product, concatenation, fork   of known tensors; a product with a constant if that is
                                    annotated as integer: :mod:`~dhq_brevitas.finn_flow.ops.joints`
Identity                            that of its input
anything else                       unknown
==================================  ==============================================================
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import max_int, min_int, resolve_rounding_mode
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, IndexedGraph, attribute
from dhq_brevitas.export.passes.integer_form.values import rotated_weights
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops import HadamardTransform, layer_kind
from dhq_brevitas.nn.hadamard import hadamard_transform_int

# float32 holds every integer up to this magnitude.
MAX_FLOAT32_INTEGER = 1 << FLOAT_INTEGER_BITS[TensorProto.FLOAT]


@dataclass(frozen=True)
class IntegerRange:
    """Closed range of each channel of a tensor whose last axis are the channels; int64 [C]."""

    low: np.ndarray
    high: np.ndarray

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return len(self.low)

    @property
    def magnitude(self) -> int:
        """Largest absolute value over all channels."""
        return int(max(np.abs(self.low).max(), np.abs(self.high).max()))

    def whole(self) -> tuple[int, int]:
        """Range of all channels together."""
        return int(self.low.min()), int(self.high.max())


def integer_ranges(model: ModelWrapper) -> dict[str, IntegerRange]:
    """Range of every tensor of a topologically sorted graph that is known to hold integers.

    FlowError for sums that may have more than 53 bits.
    """
    ranges: dict[str, IntegerRange] = {}
    model = IndexedGraph(model)
    for graph_input in model.graph.input:
        datatype = model.get_tensor_datatype(graph_input.name)
        if datatype.is_integer():
            ranges[graph_input.name] = _constant_range(
                int(datatype.min()), int(datatype.max()), _channels(model, graph_input.name)
            )
    for node in model.graph.node:
        kind = layer_kind(node)
        rule = _RULES.get(kind)
        joined = _joint(model, node, kind, ranges)
        if joined is not None:
            ranges.update(dict.fromkeys(node.output, joined))
            continue
        result = rule(model, node, ranges.get(node.input[0])) if rule and node.input else None
        if rule is _matmul and result is not None:
            result = _behind_rotation(model, node, ranges) or result
        if result is not None:
            ranges[node.output[0]] = result
    return ranges


def quant_parameters(model: ModelWrapper, node: NodeProto) -> tuple[np.ndarray, int] | None:
    """(scale, bits) of a Quant with constant parameters and zero point 0, else None."""
    scale, zero_point, bits = (model.get_initializer(name) for name in list(node.input)[1:4])
    if scale is None or zero_point is None or bits is None or np.any(zero_point != 0):
        return None
    return scale, int(bits.item())


def quant_code_range(model: ModelWrapper, node: NodeProto) -> tuple[int, int]:
    """Lowest and highest code of a Quant node with constant bit width."""
    op = getCustomOp(node)
    bits = int(model.get_initializer(node.input[3]).item())
    signed, narrow = op.get_nodeattr("signed"), op.get_nodeattr("narrow")
    return int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits))


def _channels(model: ModelWrapper, tensor: str) -> int:
    shape = model.get_tensor_shape(tensor)
    return int(shape[-1]) if shape else 1


def _constant_range(low: int, high: int, channels: int) -> IntegerRange:
    return IntegerRange(
        np.full(channels, low, dtype=np.int64), np.full(channels, high, dtype=np.int64)
    )


def _matmul(model: ModelWrapper, node: NodeProto, x: IntegerRange | None) -> IntegerRange | None:
    weights = model.get_initializer(node.input[1])
    if x is None or weights is None or weights.ndim != 2 or np.any(weights != np.round(weights)):
        return None
    if node.op_type.startswith("MVAU") and not getCustomOp(node).get_nodeattr("noActivation"):
        return None
    _check_bits(node, float(np.abs(weights).sum(axis=0).max()) * x.magnitude)
    return _product(x, weights.astype(np.int64))


def _check_bits(node: NodeProto, magnitude: float) -> None:
    bits = FLOAT_INTEGER_BITS[TensorProto.DOUBLE]
    if magnitude >= 1 << bits:
        raise FlowError(
            f"node {node.name} (op_type {node.op_type}): its sums may reach "
            f"{math.ceil(math.log2(magnitude)) + 1} bits, more than the {bits} that float64 "
            "carries exactly; use fewer weight or activation bits"
        )


def _product(x: IntegerRange, w: np.ndarray) -> IntegerRange:
    positive, negative = np.maximum(w, 0), np.minimum(w, 0)
    return IntegerRange(x.low @ positive + x.high @ negative, x.high @ positive + x.low @ negative)


def _behind_rotation(
    model: ModelWrapper, node: NodeProto, ranges: dict[str, IntegerRange]
) -> IntegerRange | None:
    """Range of x D H · W = x · (D H W), where the input of ``node`` is made by such a transform."""
    transform = model.find_producer(node.input[0])
    if transform is None or not transform.op_type.startswith("HadamardTransform"):
        return None
    op = getCustomOp(transform)
    if isinstance(op, HadamardTransform) and op.get_nodeattr("requantShift") >= 0:
        return None
    rotation, before = _rotation(model, transform), ranges.get(transform.input[0])
    if rotation is None or before is None:
        return None
    weights = model.get_initializer(node.input[1])
    return _product(before, rotated_weights(weights, *rotation))


def _rotation(model: ModelWrapper, node: NodeProto) -> tuple[int, np.ndarray | None] | None:
    """Order and signs of an unnormalized transform, else None."""
    op = getCustomOp(node)
    if isinstance(op, HadamardTransform):
        return op.order, op.signs
    if op.get_nodeattr("normalize"):
        return None
    return op.get_nodeattr("order"), op.signs(model)


def _hadamard(model: ModelWrapper, node: NodeProto, x: IntegerRange | None) -> IntegerRange | None:
    op, rotation = getCustomOp(node), _rotation(model, node)
    if rotation is None or x is None:
        return None
    order, signs = rotation
    _check_bits(node, float(x.magnitude) * order)
    low, high = x.low, x.high
    if signs is not None:
        negated = signs < 0
        low, high = np.where(negated, -high, low), np.where(negated, -low, high)
    # Σ(±x_i) is centered at H(low + high)/2 with radius Σ(high - low)/2, the same in a whole block.
    center = hadamard_transform_int(low + high, order=order)
    radius = np.repeat((high - low).reshape(-1, order).sum(axis=1), order)
    low, high = (center - radius) // 2, (center + radius) // 2
    if isinstance(op, HadamardTransform):
        low, high = op.requantize(low), op.requantize(high)
    return IntegerRange(low, high)


def _quant(model: ModelWrapper, node: NodeProto, x: IntegerRange | None) -> IntegerRange | None:
    parameters = quant_parameters(model, node)
    if parameters is None or np.any(parameters[0] != 1):
        return None
    low, high = quant_code_range(model, node)
    if x is None:
        return _constant_range(low, high, _channels(model, node.output[0]))
    rounding = resolve_rounding_mode(getCustomOp(node).get_nodeattr("rounding_mode"))
    ends = [np.clip(rounding(end.astype(np.float64)), low, high) for end in (x.low, x.high)]
    return IntegerRange(ends[0].astype(np.int64), ends[1].astype(np.int64))


def _thresholding(
    model: ModelWrapper, node: NodeProto, x: IntegerRange | None
) -> IntegerRange | None:
    thresholds = model.get_initializer(node.input[1])
    op = getCustomOp(node)
    if thresholds is None or x is None:
        return None
    if node.op_type == "MultiThreshold":
        if op.get_nodeattr("out_scale") != 1.0:
            return None
        bias = int(op.get_nodeattr("out_bias"))
    else:
        bias = int(op.get_nodeattr("ActVal"))
    return IntegerRange(
        *(
            (end[:, None] >= thresholds).sum(axis=1).astype(np.int64) + bias
            for end in (x.low, x.high)
        )
    )


def _lookup(model: ModelWrapper, node: NodeProto, x: IntegerRange | None) -> IntegerRange | None:
    table = model.get_initializer(node.input[3])
    channels = getCustomOp(node).channels
    return _constant_range(int(table.min()), int(table.max()), channels)


def _joint(
    model: ModelWrapper, node: NodeProto, kind: str, ranges: dict[str, IntegerRange]
) -> IntegerRange | None:
    """Range of the outputs of a node that joins or forks tensors, None for any other node."""
    if kind not in _JOINTS:
        return None
    given = [ranges.get(name) or _annotated(model, node, name) for name in node.input]
    known = [x for x in given if x is not None]
    if len(known) < len(node.input):
        return None
    if kind == "DuplicateStreams":
        return known[0]
    if kind in ("Concat", "StreamingConcat"):
        factors = list(attribute(node, "factors", [])) or [1] * len(known)
        known = [_times(x, factor) for x, factor in zip(known, factors, strict=True)]
        return IntegerRange(*(np.concatenate(ends) for ends in _ends(known)))
    a, b = known
    if kind in ("Mul", "ElementwiseMul", "StreamMultiply"):
        _check_bits(node, float(a.magnitude) * b.magnitude)
        products = np.stack([x * y for x in (a.low, a.high) for y in (b.low, b.high)])
        return IntegerRange(products.min(axis=0), products.max(axis=0))
    a = _times(a, attribute(node, "lhs_factor", 1))
    b = _times(b, attribute(node, "rhs_factor", 1))
    _check_bits(node, float(a.magnitude) + b.magnitude)
    return IntegerRange(a.low + b.low, a.high + b.high)


def _annotated(model: ModelWrapper, node: NodeProto, name: str) -> IntegerRange | None:
    """The values of a constant that is annotated as integer, for each channel of the output."""
    values = model.get_initializer(name)
    if values is None or not model.get_tensor_datatype(name).is_integer():
        return None
    whole = np.broadcast_to(values.reshape(-1).astype(np.int64), _channels(model, node.output[0]))
    return IntegerRange(whole, whole)


def _times(x: IntegerRange, factor: int) -> IntegerRange:
    ends = (x.low, x.high) if factor > 0 else (x.high, x.low)
    return IntegerRange(*(end * factor for end in ends))


def _ends(ranges: list[IntegerRange]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [x.low for x in ranges], [x.high for x in ranges]


def _identity(model: ModelWrapper, node: NodeProto, x: IntegerRange | None) -> IntegerRange | None:
    return x


_JOINTS = (
    "Add",
    "Mul",
    "Concat",
    "DuplicateStreams",
    "ElementwiseAdd",
    "ElementwiseMul",
    "StreamAdd",
    "StreamMultiply",
    "StreamingConcat",
)
_RULES = {
    "MatMul": _matmul,
    "MVAU": _matmul,
    "HadamardTransform": _hadamard,
    "Quant": _quant,
    "IntQuant": _quant,
    "Thresholding": _thresholding,
    "MultiThreshold": _thresholding,
    "LookupActivation": _lookup,
    "Identity": _identity,
}
