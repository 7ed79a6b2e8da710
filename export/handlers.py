# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Export handlers that teach Brevitas's QONNX managers the DHQ proxies.

Importing ``dhq_brevitas.export`` registers them, after which the stock
``brevitas.export.export_qonnx`` works on models with DHQ quantizers, with the TorchScript and the
dynamo exporter. Weights leave as rotated constants before their Quant node; an activation gets a
``HadamardTransform`` node and a power-of-two Mul, before its Quant node or after it.
"""

from typing import Any

import torch
from brevitas.export.onnx.function import DynamoFn
from brevitas.export.onnx.qonnx.handler import (
    BrevitasActQuantProxyHandler,
    BrevitasWeightQuantProxyHandler,
)
from brevitas.export.onnx.qonnx.manager import QONNXManager
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjector
from torch import Tensor
from torch.autograd import Function

from dhq_brevitas.export.hadamard_op import DOMAIN, DOMAIN_VERSION, OP_TYPE
from dhq_brevitas.nn.proxies import HadamardActQuantProxy, HadamardWeightQuantProxy


class _HadamardTorchScriptFn(Function):
    @staticmethod
    def symbolic(g: Any, x: Any, order: int, *signs: Any) -> Any:
        node = g.op(f"{DOMAIN}::{OP_TYPE}", x, *signs, order_i=order, normalize_i=0)
        node.setType(x.type())
        return node

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: int, *signs: Tensor) -> Tensor:
        # A butterfly of its own: the tracer cannot place the cached factors of hadamard_transform.
        y = x * signs[0] if signs else x
        span = 1
        while span < order:
            upper, lower = y.reshape(*x.shape[:-1], -1, 2, span).unbind(-2)
            y = torch.stack([upper + lower, upper - lower], dim=-2).reshape(x.shape)
            span *= 2
        return y


class _HadamardDynamoFn(DynamoFn):
    @staticmethod
    def symbolic(x: Tensor, order: int, *signs: Tensor) -> Tensor:
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OP_TYPE}",
            (x, *signs),
            {"order": order, "normalize": 0},
            dtype=x.dtype,
            shape=x.shape,
            version=DOMAIN_VERSION,
        )


class HadamardOp:
    """The two backends of the node, in the form ``ONNXExportOpMixin.export_op`` expects."""

    torchscript = _HadamardTorchScriptFn
    dynamo = _HadamardDynamoFn


class HadamardActQuantProxyHandler(BrevitasActQuantProxyHandler):
    """Exports x -> HadamardTransform -> Mul(2^-⌊k/2⌋), with the Quant behind or before it.

    The proxy calls :meth:`rotate`, on the side of the Quant where its layer rotates.
    """

    handled_layer = HadamardActQuantProxy

    def prepare_for_export(self, module: HadamardActQuantProxy) -> None:
        super().prepare_for_export(module)
        weight_proxy = module.weight_proxy
        self.rotation = weight_proxy.rotation
        self.signs = weight_proxy.hadamard_signs
        self.axis = module.axis

    def rotate(self, x: Tensor) -> Tensor:
        """x R · 2^-⌊k/2⌋ as nodes of the graph."""
        if self.rotation.order == 1:
            return x
        signs = () if self.signs is None else (self.signs,)
        # Axes counted from the front: torch.onnx writes a negative one into Transpose's perm.
        axis, last = self.axis % x.ndim, x.ndim - 1
        x = x if axis == last else x.movedim(axis, last)
        x = self.export_op(HadamardOp, x, self.rotation.order, *signs)
        x = x if axis == last else x.movedim(last, axis)
        return x * self.rotation.other_scale


class HadamardWeightQuantProxyHandler(BrevitasWeightQuantProxyHandler):
    """Exports the rotated, quantized weight; side ``output`` adds the transform back to W."""

    handled_layer = HadamardWeightQuantProxy

    def prepare_for_export(self, module: HadamardWeightQuantProxy) -> None:
        super().prepare_for_export(module)
        rotated = module.rotate_weight(module.tracked_module_list[0].weight)
        value, scale, zero_point, bit_width = module.tensor_quant(rotated)
        self.rotation = module.rotation
        self.signs = module.hadamard_signs
        # Quantized already, so that rounding it again in the graph changes nothing.
        self.rotated_weight = value.detach()
        self.symbolic_kwargs.update(
            scale=scale.detach(), zero_point=zero_point.detach(), bit_width=bit_width.detach()
        )

    def symbolic_execution(self, x: Tensor) -> tuple[Tensor, ...]:
        weight, scale, zero_point, bit_width = super().symbolic_execution(self.rotated_weight)
        if self.rotation.side == "output" and self.rotation.order > 1:
            k = self.rotation.order.bit_length() - 1
            weight = self.export_op(HadamardOp, weight.t(), self.rotation.order)
            weight = weight if self.signs is None else weight * self.signs
            weight = (weight * self.rotation.other_scale).t()
            scale, bit_width = scale * self.rotation.other_scale, bit_width + k
        return weight, scale, zero_point, bit_width


class RoundedWeightQuantProxyHandler(BrevitasWeightQuantProxyHandler):
    """Exports the weight as its quantizer rounds it, learned rounding and floor included.

    Brevitas's own writes the rounding mode ROUND, for weights that are rounded before, but hands
    over weights that are not. A quantizer of several weights is left to it.
    """

    handled_layer = WeightQuantProxyFromInjector

    def symbolic_execution(self, x: Tensor) -> tuple[Tensor, ...]:
        values = [value.detach() for value in self.quant_weight_values.values()]
        return super().symbolic_execution(values[0] if len(values) == 1 else x)


def register() -> None:
    """Adds the handlers to Brevitas's QONNX managers; repeated calls change nothing."""
    for handler in (
        RoundedWeightQuantProxyHandler,
        HadamardActQuantProxyHandler,
        HadamardWeightQuantProxyHandler,
    ):
        if handler not in QONNXManager.handlers:
            QONNXManager.handlers.insert(0, handler)  # ahead of Brevitas's
