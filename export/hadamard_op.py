# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The QONNX custom operator ``HadamardTransform``.

The ONNX domain of the operator is the import path of this module, so every QONNX tool resolves it
by importing the installed package; nothing has to be registered.
"""

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import BaseDataType, DataType, ScaledIntType
from qonnx.custom_op.base import CustomOp

from dhq_brevitas.nn.hadamard import MAX_ORDER, hadamard_transform_int

DOMAIN = "dhq_brevitas.export.hadamard_op"
DOMAIN_VERSION = 1
OP_TYPE = "HadamardTransform"


def output_range(
    low: int, high: int, order: int, signs: np.ndarray | None = None
) -> tuple[int, int]:
    """Exact range of the unnormalized transform of integers in ``[low, high]``.

    Row r of H·D has m_r entries -1 and order - m_r entries +1, so its output lies in
    ``[(order - m_r)·low - m_r·high, (order - m_r)·high - m_r·low]``; the union over the rows of all
    blocks is returned. ``signs`` (size n, a multiple of ``order``) are the ±1 of D, default all +1.
    """
    d = np.ones(order, dtype=np.int64) if signs is None else signs.astype(np.int64)
    minus = (order - hadamard_transform_int(d, order=order)) // 2
    plus = order - minus
    return int((plus * low - minus * high).min()), int((plus * high - minus * low).max())


def output_datatype(
    input_datatype: BaseDataType, order: int, signs: np.ndarray | None = None
) -> BaseDataType:
    """Smallest datatype that holds every output of the unnormalized transform.

    Integers give the signed integer of :func:`output_range` (b-bit signed input: exactly
    b + log2(order) bits). A scaled integer grows likewise; its scale is unchanged. Everything else
    is FLOAT32.
    """
    if isinstance(input_datatype, ScaledIntType):
        return DataType[f"SCALEDINT<{input_datatype.bitwidth() + order.bit_length() - 1}>"]
    if not input_datatype.is_integer():
        return DataType["FLOAT32"]
    low, high = output_range(int(input_datatype.min()), int(input_datatype.max()), order, signs)
    bits = max((-low - 1).bit_length(), high.bit_length()) + 1
    return DataType[f"INT{bits}"]


def is_hadamard(node: NodeProto) -> bool:
    """Whether ``node`` is this operator; FINN's layer of the same name has another domain."""
    return node.op_type == OP_TYPE and node.domain == DOMAIN


class HadamardTransform(CustomOp):
    """Block-diagonal Walsh-Hadamard transform of the last axis.

    ``y = (x · D) (I ⊗ H) · c`` with H the ±1 Hadamard matrix of ``order`` in Sylvester order, D the
    optional diagonal of signs, and c = 1/√order if ``normalize`` else 1.

    Inputs: ``x`` float32 of shape [..., n], n a multiple of ``order``; optionally ``signs`` float32
    of shape [n], entries ±1. Output: float32, shape of ``x``. Sums are taken in float64 and rounded
    to float32 once, so integer inputs give exact integers as long as these fit 24 bits; ``x`` in
    float64 gives float64, and 53 bits.

    Attributes: ``order`` (a power of two, 1 to 4096) and ``normalize`` (0 or 1, default 0).
    """

    def get_nodeattr_types(self):
        return {"order": ("i", True, 0), "normalize": ("i", False, 0, {0, 1})}

    def make_shape_compatible_op(self, model):
        return helper.make_node("Identity", [self.onnx_node.input[0]], [self.onnx_node.output[0]])

    def checked_order(self, size: int | None = None) -> int:
        """Attribute ``order``; ValueError unless it is a power of two ≤ 4096 that divides size."""
        order = self.get_nodeattr("order")
        if order < 1 or order & (order - 1) or order > MAX_ORDER:
            raise ValueError(
                f"{self.onnx_node.name or OP_TYPE}: order={order} is not a power of two from 1 to "
                f"{MAX_ORDER}; set it to a block size that divides the last axis"
            )
        if size is not None and size % order:
            raise ValueError(
                f"{self.onnx_node.name or OP_TYPE}: order={order} does not divide the last axis "
                f"of size {size}"
            )
        return order

    def has_signs(self) -> bool:
        """Whether the input ``signs`` is given, as a constant or computed."""
        inputs = self.onnx_node.input
        return len(inputs) > 1 and bool(inputs[1])

    def signs(self, model) -> np.ndarray | None:
        """The constant signs of this node in ``model``, or None."""
        return model.get_initializer(self.onnx_node.input[1]) if self.has_signs() else None

    def infer_node_datatype(self, model):
        node = self.onnx_node
        input_datatype = model.get_tensor_datatype(node.input[0])
        if self.get_nodeattr("normalize"):
            datatype = DataType["FLOAT32"]
        else:
            datatype = output_datatype(input_datatype, self.checked_order(), self.signs(model))
        model.set_tensor_datatype(node.output[0], datatype)

    def execute_node(self, context, graph):
        node = self.onnx_node
        x = context[node.input[0]]
        order = self.checked_order(x.shape[-1])
        y = x.astype(np.float64)
        if self.has_signs():
            y = y * context[node.input[1]]
        y = y.reshape(*x.shape[:-1], -1, order)
        span = 1
        while span < order:
            pairs = y.reshape(*y.shape[:-1], order // (2 * span), 2, span)
            upper, lower = pairs[..., 0, :], pairs[..., 1, :]
            y = np.stack([upper + lower, upper - lower], axis=-2).reshape(y.shape)
            span *= 2
        if self.get_nodeattr("normalize"):
            y = y / np.sqrt(order)
        context[node.output[0]] = y.reshape(x.shape).astype(x.dtype)

    def verify_node(self):
        messages = []
        try:
            self.checked_order()
        except ValueError as error:
            messages.append(str(error))
        if not 1 <= len(self.onnx_node.input) <= 2:
            messages.append(f"{OP_TYPE} takes one input and optional signs")
        return messages
