# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Mul, Div, Add, Sub with a constant, BatchNormalization, Transpose and Identity: they change what
is known, and leave no node."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from dhq_brevitas.export.graph import attribute, describe
from dhq_brevitas.export.passes.integer_form.joints import convert_product, convert_sum
from dhq_brevitas.export.passes.integer_form.values import (
    Constant,
    Scaled,
    Value,
    last_axis,
    transposed,
)
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter


def convert_mul(writer: GraphWriter, node: NodeProto, a: Value, b: Value) -> Value | None:
    """x · c, or the product of two integer tensors."""
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return convert_product(writer, node, a, b)
    return _arithmetic(node, a, b, lambda x, c: (x.scale * c, x.offset * c))


def convert_div(writer: GraphWriter, node: NodeProto, a: Value, b: Value) -> Value | None:
    """x / c; None for c / x, which is not linear in x."""
    if isinstance(a, Constant):
        return None
    return _arithmetic(node, a, b, lambda x, c: (x.scale / c, x.offset / c))


def convert_add(writer: GraphWriter, node: NodeProto, a: Value, b: Value) -> Value | None:
    """x + c, or the sum of two integer tensors."""
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return convert_sum(writer, node, a, b, 1)
    return _arithmetic(node, a, b, lambda x, c: (x.scale, x.offset + c))


def convert_sub(writer: GraphWriter, node: NodeProto, a: Value, b: Value) -> Value | None:
    """x - c, or the difference of two integer tensors; None for c - x."""
    if isinstance(a, Scaled) and isinstance(b, Scaled):
        return convert_sum(writer, node, a, b, -1)
    if isinstance(a, Constant):
        return None
    return _arithmetic(node, a, b, lambda x, c: (x.scale, x.offset - c))


def _arithmetic(
    node: NodeProto,
    a: Value,
    b: Value,
    update: Callable[[Scaled, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> Value | None:
    """The new scale and offset of the operand that is no constant; None if both are none."""
    if isinstance(a, Constant) and (a.codes is None or not isinstance(b, Constant)):
        a, b = b, a
    if not isinstance(b, Constant):
        return None
    if isinstance(a, Constant) and a.transform is not None and node.op_type == "Mul":
        return replace(a, transform_scale=a.transform_scale * b.values.astype(np.float64))
    if not isinstance(a, Scaled) or b.values.ndim > 1:
        return None
    scale, offset = update(a, last_axis(b.values.astype(np.float64), describe(node)))
    return replace(a, scale=scale, offset=offset)


def convert_batch_norm(
    writer: GraphWriter, node: NodeProto, x: Value, *parameters: Value
) -> Value | None:
    """(x - mean) / √(variance + epsilon) · weight + bias for x [N, channels]; None for others."""
    shape = writer.model.get_tensor_shape(node.input[0])
    constant = [p.values.astype(np.float64) for p in parameters if isinstance(p, Constant)]
    if not isinstance(x, Scaled) or len(constant) < 4 or shape is None or len(shape) != 2:
        return None
    weight, bias, mean, variance = constant
    factor = weight / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return replace(x, scale=x.scale * factor, offset=(x.offset - mean) * factor + bias)


def convert_transpose(writer: GraphWriter, node: NodeProto, x: Value) -> Value | None:
    """The transpose of a matrix of constants; None for anything else."""
    permutation = list(attribute(node, "perm", [1, 0]))
    if isinstance(x, Constant) and x.values.ndim == 2 and permutation == [1, 0]:
        return transposed(x)
    return None


def convert_identity(writer: GraphWriter, node: NodeProto, x: Value) -> Value:
    """What is known of x."""
    return x
