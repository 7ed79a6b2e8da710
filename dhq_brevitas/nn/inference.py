# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Brevitas's ``quant_inference_mode`` for DHQ quantizers, as for stock ones.

That mode replaces each quantizer by a handler with constant scales. Importing this module, which
the quantizers do, tells Brevitas which handlers rotate.
"""

from brevitas.export.inference.handler import IntInferenceHandler, IntWeightInferencetHandler
from brevitas.export.inference.manager import InferenceManager
from brevitas.function.ops import max_int, min_int
from torch import Tensor

from dhq_brevitas.nn.proxies import HadamardActQuantProxy, HadamardWeightQuantProxy
from dhq_brevitas.nn.rotation import Side

__all__ = ["HadamardActInferenceHandler", "HadamardWeightInferenceHandler"]


class HadamardActInferenceHandler(IntInferenceHandler):
    """Quantizes with a constant scale; the proxy calls :meth:`rotate` before or after."""

    handled_layer = HadamardActQuantProxy

    def prepare_for_export(self, module: HadamardActQuantProxy) -> None:
        super().prepare_for_export(module)
        self.rotation, self.axis = module.weight_proxy.rotation, module.axis

    def rotate(self, x: Tensor) -> Tensor:
        """x R · 2^-⌊k/2⌋."""
        return self.rotation.rotate_input(x, self.axis)


class HadamardWeightInferenceHandler(IntWeightInferencetHandler):
    """Rotates a weight, quantizes it with a constant scale, and on the output side rotates back."""

    handled_layer = HadamardWeightQuantProxy

    def prepare_for_export(self, module: HadamardWeightQuantProxy) -> None:
        super().prepare_for_export(module)
        self.rotation = module.rotation
        weight = module.rotate_weight(module.tracked_module_list[0].weight.detach())
        # The proxy's own answers are those of the weight that was rotated back.
        _, scale, zero_point, bits = module.tensor_quant(weight)
        self.scale, self.zero_point, self.bit_width = scale, zero_point, bits
        self.min_clamp = min_int(module.is_signed, module.is_narrow_range, bits)
        self.max_clamp = max_int(module.is_signed, module.is_narrow_range, bits)

    def inner_forward(self, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        value = super().inner_forward(self.rotation.rotate_weight(x), scale, zero_point)
        if self.rotation.side == Side.OUTPUT:
            return self.rotation.unrotate_weight(value)
        return value


for _handler in (HadamardActInferenceHandler, HadamardWeightInferenceHandler):
    if _handler not in InferenceManager.handlers:
        InferenceManager.handlers.append(_handler)
