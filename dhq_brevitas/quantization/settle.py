# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What makes a trained network final: every tool derives the same integers from it."""

from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.nn.scales import learned_scales, scale_of, set_scale, step_of
from dhq_brevitas.util.hooks import evaluating, pre_hooked

__all__ = ["settle", "settle_scales", "write_back"]


@torch.no_grad()
def settle(model: nn.Module, inputs: Tensor) -> None:
    """Settles a trained network of Brevitas layers in place; ``inputs`` as it takes them.

    * Scales are settled as their kind does (:meth:`dhq_brevitas.nn.scales.Scale.settled`).
    * Weights and biases are replaced by what their quantizers make of them. The output stays; but
      the sums in the rotation of an unquantized weight depend on the precision, and can round to
      another code in float64.
    """
    settle_scales(model)
    write_back(model, inputs)


@torch.no_grad()
def write_back(model: nn.Module, inputs: Tensor) -> None:
    """Replaces weights and biases by what their quantizers make of them, in place."""
    layers = [(m, _write_back) for m in model.modules() if isinstance(m, qnn.QuantLinear)]
    with evaluating(model), pre_hooked(layers):
        model(inputs[:1])


@torch.no_grad()
def settle_scales(model: nn.Module) -> None:
    """Rounds the scales that cannot be held exactly, in place: float ones, to 8 bit mantissas."""
    for quantizer in learned_scales(model):
        step = step_of(quantizer)
        settled = scale_of(quantizer).settled(step)
        if settled is not step:
            set_scale(quantizer, settled)


def _write_back(layer: Any, args: tuple[Any, ...]) -> None:
    """A forward pre-hook; what the layer computes does not change."""
    if not layer.weight_quant.is_quant_enabled:
        return
    x = layer.input_quant(args[0])
    weight = layer.quant_weight(x)
    if layer.bias is not None:
        bias = layer.bias_quant(layer.bias, x, weight)
        layer.bias.copy_(getattr(bias, "value", bias))
    value, rotation = weight.value, weight_rotation(layer)
    # On the output side the quantizer has rotated back itself.
    layer.weight.copy_(rotation.unrotate_weight(value) if rotation.side.of_inputs else value)
