# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sum, difference, product and concatenation of integer tensors: exact integers again.

===============  ================================================================================
a ± b            q = M_a·q_a ± M_b·q_b with the smallest integers M that stand for the ratio of the
                 scales: 1 and 1 for equal ones, a power of two where both are; others are rounded
                 to ``multiplier_bits`` bits, at most 24, and nothing else is
a · b            q = q_a·q_b, scale s_a·s_b
concatenation    q as it is, a scale and offset for each channel; in front of a MatMul or a
                 HadamardTransform, which take one scale, M·q as above
===============  ================================================================================

Left as real numbers are operands of other shapes, ratios of scales that differ by channel, and the
product of a tensor with an offset, as that of a layer with a bias which no quantizer follows.
"""

import math
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, attribute, describe
from dhq_brevitas.export.passes.integer_form.values import (
    Scaled,
    Value,
    check_sum,
    dyadic_parameters,
    integer,
    integer_type,
)
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter

#: What reads a tensor of one scale only.
ONE_SCALE_OPS = ("MatMul", "Gemm", "HadamardTransform")


def convert_sum(
    writer: GraphWriter, node: NodeProto, a: Scaled, b: Scaled, sign: int
) -> Scaled | None:
    """a + sign·b."""
    if not _same_shape(writer, node):
        return None
    if a.name == b.name:
        scale = a.scale + sign * b.scale
        return replace(a, scale=scale, offset=a.offset + sign * b.offset) if np.all(scale) else None
    common = _common_unit(writer, [a.scale, sign * b.scale])
    if common is None:
        return None
    unit, factors = common
    a, b = (_multiplied(writer, x, factor) for x, factor in zip((a, b), factors, strict=True))
    low, high = a.low + b.low, a.high + b.high
    check_sum(describe(node), max(abs(low), abs(high)))
    offset = a.offset + sign * b.offset
    name = writer.emit("Add", [a.name, b.name], node.output[0])
    return replace(integer(name, low, high), scale=unit, offset=offset)


def convert_product(writer: GraphWriter, node: NodeProto, a: Scaled, b: Scaled) -> Scaled | None:
    """a · b."""
    if not _same_shape(writer, node) or np.any(a.offset) or np.any(b.offset):
        return None
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    check_sum(describe(node), max(map(abs, ends)))
    name = writer.emit("Mul", [a.name, b.name], node.output[0])
    return replace(integer(name, min(ends), max(ends)), scale=a.scale * b.scale)


def convert_concat(writer: GraphWriter, node: NodeProto, *parts: Value) -> Value | None:
    """Concatenation along the last axis; None along another one, or of anything but integers."""
    shapes = [writer.model.get_tensor_shape(name) for name in node.input]
    if any(
        shape is None or not isinstance(x, Scaled) for shape, x in zip(shapes, parts, strict=True)
    ):
        return None
    axis = attribute(node, "axis", 0)
    if axis not in (-1, len(shapes[0]) - 1):
        return None
    scaled = [x for x in parts if isinstance(x, Scaled)]
    readers = writer.model.find_consumers(node.output[0])
    one_scale = any(reader.op_type in ONE_SCALE_OPS for reader in readers)
    plain = not any(np.any(x.offset) or x.scale.size > 1 for x in scaled)
    common = _common_unit(writer, [x.scale for x in scaled]) if one_scale and plain else None
    if common is not None:
        unit, factors = common
        pairs = zip(scaled, factors, strict=True)
        scaled = [replace(_multiplied(writer, x, m), scale=unit) for x, m in pairs]
    name = writer.emit("Concat", [x.name for x in scaled], node.output[0], axis=axis)
    sizes = [shape[-1] for shape in shapes]
    return replace(
        integer(name, min(x.low for x in scaled), max(x.high for x in scaled)),
        scale=_by_channel([x.scale for x in scaled], sizes),
        offset=_by_channel([x.offset for x in scaled], sizes),
    )


def _same_shape(writer: GraphWriter, node: NodeProto) -> bool:
    first, second = (writer.model.get_tensor_shape(name) for name in node.input)
    return first is not None and first == second


def _common_unit(
    writer: GraphWriter, scales: list[np.ndarray]
) -> tuple[np.ndarray, list[int]] | None:
    """(unit, integers M) with scales ≈ M·unit, the first one exactly; None if there are none."""
    ratios = [scale / scales[0] for scale in scales]
    if any(np.ptp(ratio) > 0 for ratio in ratios):
        return None
    plain = all(scale.size == 1 for scale in scales)
    values = np.array([np.ravel(scale)[0] for scale in (scales if plain else ratios)])
    bits = min(writer.multiplier_bits, FLOAT_INTEGER_BITS[TensorProto.FLOAT])
    rounded, _, shift = dyadic_parameters(values, np.zeros(1), bits)
    factors = [int(m) for m in np.rint(np.ldexp(rounded, shift))]
    if not all(factors):
        return None
    common = math.gcd(*factors)
    factors = [factor // common for factor in factors]
    return scales[0] / factors[0], factors


def _multiplied(writer: GraphWriter, x: Scaled, factor: int) -> Scaled:
    """factor·q, with the offset of x."""
    if factor == 1:
        return x
    constant = writer.parameter(np.float32(factor), integer_type(factor))
    name = writer.emit("Mul", [x.name, constant], x.name)
    ends = sorted((x.low * factor, x.high * factor))
    return replace(integer(name, *ends), offset=x.offset)


def _by_channel(values: list[np.ndarray], sizes: list[int]) -> np.ndarray:
    """One value if all are the same, else one for each channel."""
    whole = np.concatenate([np.broadcast_to(v, (n,)) for v, n in zip(values, sizes, strict=True)])
    return whole[:1].reshape(()) if np.all(whole == whole[0]) else whole
