# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""MatMul and Gemm: a product of integers with integer weights."""

import math
import warnings
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.core.datatype import DataType

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, attribute, describe, fans_out
from dhq_brevitas.export.passes.integer_form.rotation import transformed
from dhq_brevitas.export.passes.integer_form.values import (
    ZERO,
    Constant,
    Scaled,
    Value,
    check_sum,
    integer,
    last_axis,
    transposed,
)
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter


class InexactAccumulatorWarning(UserWarning):
    """An accumulator can outgrow the 24 bits that float32 tools carry exactly."""


def convert_matmul(writer: GraphWriter, node: NodeProto, x: Value, weight: Value) -> Value | None:
    """x W; see :func:`_linear`."""
    return _linear(writer, node, x, weight, None)


def convert_gemm(
    writer: GraphWriter, node: NodeProto, x: Value, weight: Value, bias: Value | None = None
) -> Value | None:
    """x W + b; None for factors of its own, or a transposed x."""
    plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
    if not plain or attribute(node, "transA", 0) or not isinstance(weight, Constant):
        return None
    if attribute(node, "transB", 0):
        weight = transposed(weight)
    return _linear(writer, node, x, weight, bias)


def _linear(
    writer: GraphWriter, node: NodeProto, x: Value, weight: Value, bias: Value | None
) -> Value | None:
    """MatMul of the codes; None where x has no single scale or W is not quantized."""
    if not isinstance(x, Scaled) or x.scale.size > 1 or x.offset.size > 1:
        return None
    if not isinstance(weight, Constant) or weight.codes is None or weight.codes.ndim != 2:
        return None
    if bias is not None and not isinstance(bias, Constant):
        return None
    assert weight.scale is not None
    columns = weight.codes.shape[1]
    if weight.scale.size > 1 and weight.scale.shape[-1] != columns:
        raise ValueError(
            f"{describe(node)}: a weight scale for each input channel is not supported"
        )
    weight_scale = last_axis(weight.scale, describe(node))
    codes = weight.codes.astype(np.float64)
    low, high, largest = _sums(x, codes)
    _check_accumulator(node, largest)
    name = writer.emit(
        "MatMul", [x.name, writer.parameter(weight.codes, weight.datatype)], node.output[0]
    )
    value = replace(
        integer(name, low, high),
        scale=x.scale * weight_scale,
        offset=x.offset * weight_scale * codes.sum(axis=0) if np.any(x.offset) else ZERO,
    )
    if weight.transform is not None:
        if weight.transform_axis != 1:
            raise ValueError(f"{describe(node)}: the weight's transform is not along its outputs")
        value = transformed(writer, node, value, *weight.transform)
        value = replace(value, scale=value.scale * weight.transform_scale.reshape(-1))
    if bias is not None:
        value = replace(value, offset=value.offset + bias.values.astype(np.float64).reshape(-1))
    return value


def flipped(writer: GraphWriter, tensor: str, x: Scaled, negative: np.ndarray) -> Scaled:
    """x, which ``tensor`` of the old graph is, with the matrix before it negated in some columns.

    x itself where there is no such matrix, others read its result, or a weight has no negative.
    """
    layer = writer.model.find_producer(tensor)
    made = next((node for node in writer.nodes if x.name in node.output), None)
    if not negative.any() or layer is None or made is None or made.op_type != "MatMul":
        return x
    if layer.op_type not in ("MatMul", "Gemm") or fans_out(writer.model, tensor):
        return x
    codes, datatype = writer.constant(made.input[1])
    signs = np.where(negative, -1.0, 1.0)
    codes = (codes * signs).astype(np.float32)
    if codes.max() > DataType[datatype].max() or codes.min() < DataType[datatype].min():
        return x
    made.input[1] = writer.parameter(codes, datatype)
    low, high = min(x.low, -x.high), max(x.high, -x.low)
    return replace(x, low=low, high=high, scale=x.scale * signs)


def _sums(x: Scaled, codes: np.ndarray) -> tuple[int, int, float]:
    """Range of q · codes over all columns, and a bound of every partial sum."""
    largest = float(np.abs(codes).sum(axis=0).max()) * x.magnitude
    if x.rotation is None:
        low = np.where(codes > 0, codes * x.low, codes * x.high).sum(axis=0)
        high = np.where(codes > 0, codes * x.high, codes * x.low).sum(axis=0)
    else:
        low, high = x.rotation.product_range(codes)
        largest = min(largest, x.rotation.largest_sum(codes))
    return int(low.min()), int(high.max()), largest


def _check_accumulator(node: NodeProto, magnitude: float) -> None:
    check_sum(describe(node), magnitude)
    exact_bits = FLOAT_INTEGER_BITS[TensorProto.FLOAT]
    if magnitude >= 1 << exact_bits:
        warnings.warn(
            f"{describe(node)}: the accumulator may reach {math.ceil(math.log2(magnitude)) + 1} "
            f"bits; tools that add up in float32 carry {exact_bits} exactly, so codes could "
            "differ there (run_qonnx and build checks are exact); fewer weight "
            "or activation bits avoid this",
            InexactAccumulatorWarning,
            stacklevel=2,
        )
