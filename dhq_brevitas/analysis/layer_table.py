# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What rotation does to the tensors of a quantized network: kurtosis and SQNR, before and after."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layers import Layer, layers_of
from dhq_brevitas.inr.planned import plans_of
from dhq_brevitas.nn.proxies import HadamardWeightQuantProxy
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.scales import scale_of
from dhq_brevitas.quantization.calibration import SMALLEST_STEP, sqnr, step_of_least_error
from dhq_brevitas.util.hooks import evaluating, pre_hooked

__all__ = ["kurtosis", "measure_layers"]

MAX_SAMPLES = 4096


def kurtosis(x: Tensor) -> float | None:
    """E[(x - μ)⁴] / E[(x - μ)²]² over all values (normal 3, uniform 1.8); None if constant."""
    centerd = x.double() - x.double().mean()
    variance = centerd.square().mean()
    if variance == 0:
        return None
    return float((centerd**4).mean() / variance**2)


def measure_layers(model: nn.Module, inputs: Tensor) -> list[dict[str, Any]]:
    """One dictionary a linear layer of a calibrated network, on ``inputs`` (at most 4096).

    Keys: ``name``, ``rotation``, ``hadamard_order``, ``weight_bits``, ``act_bits``, and for
    ``weight`` and ``act``: ``…_kurtosis_before`` and ``…_sqnr_before`` of the unrotated tensor, and
    where that tensor is rotated before it is quantized, ``…_kurtosis_after`` and ``…_sqnr_after``.
    The SQNR in dB of the tensor the layer quantizes is with the layer's own scale. The other one,
    for comparison, is with a stock quantizer of the same width: for weights with the scale of least
    error (of the same kind), for activations with the range and sign of their function. What does
    not apply (coordinates are not rounded) is absent.
    """
    inputs = inputs[:: math.ceil(len(inputs) / MAX_SAMPLES)]
    layers = layers_of(model, inputs[:1])
    unrounded = _unrounded_outputs(model, layers, inputs)
    result = []
    with torch.no_grad():
        for layer, plan in zip(layers, plans_of(layers), strict=True):
            measured = _measure_weight(layer.linear, plan)
            feeder = None if layer.feeder is None else layers[layer.feeder]
            if feeder is not None:
                measured |= _measure_input(layer.linear, plan, feeder, unrounded[feeder.name])
            result.append(measured)
    return result


def _unrounded_outputs(
    model: nn.Module, layers: Sequence[Layer], inputs: Tensor
) -> dict[str, Tensor]:
    """By layer, what the table behind it gives before its output is rounded."""
    seen: dict[str, Tensor] = {}

    def note(name: str, module: Any, args: tuple[Tensor, ...]) -> None:
        if args[0].ndim:
            seen[name] = args[0].detach()

    quantizers = [
        (layer.activation.act_quant.fused_activation_quant_proxy.tensor_quant, layer.name)
        for layer in layers
        if layer.activation is not None
    ]
    hooks = [(quantizer, partial(note, name)) for quantizer, name in quantizers]
    with evaluating(model), torch.no_grad(), pre_hooked(hooks):
        model(inputs)
    return seen


def _measure_weight(linear: Any, plan: LayerPlan) -> dict[str, Any]:
    proxy, weight = linear.weight_quant, linear.weight.detach()
    result: dict[str, Any] = {
        "name": plan.name,
        "rotation": str(plan.rotation),
        "hadamard_order": plan.order,
        "weight_bits": plan.weight_bits,
        "act_bits": plan.act_bits,
    }
    high = 2 ** (plan.weight_bits - 1) - 1  # Brevitas's weights are narrow: -high … high
    step = _step(proxy.tensor_quant, weight)
    if isinstance(proxy, HadamardWeightQuantProxy) and plan.order > 1:
        result |= _pair("weight", "after", proxy.rotate_weight(weight), step, -high, high)
        step = _stock_weight_step(proxy.tensor_quant, weight, step, high)
    return result | _pair("weight", "before", weight, step, -high, high)


def _measure_input(linear: Any, plan: LayerPlan, feeder: Layer, x: Tensor) -> dict[str, Any]:
    activation = feeder.activation
    assert activation is not None
    half = 2 ** (plan.act_bits - 1)
    levels, lowest = (half, -half) if activation.act_quant.is_signed else (2 * half, 0)
    stock_step = torch.tensor([activation.peak / levels], device=x.device)
    result = _pair("act", "before", x, stock_step, lowest, levels - 1)
    if plan.rotation == Side.INPUT:
        after = linear.input_quant.rotate_input(x)
        quantizer = linear.input_quant.fused_activation_quant_proxy.tensor_quant
        result |= _pair("act", "after", after, _step(quantizer, after), -half, half - 1)
    return result


def _step(quantizer: Any, x: Tensor) -> Tensor:
    """The scale in use, [1] or [rows]."""
    return quantizer(x)[1].detach().reshape(-1)


def _stock_weight_step(quantizer: Any, weight: Tensor, like: Tensor, high: int) -> Tensor:
    rows = _rows(weight, like)
    largest = (rows.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    return step_of_least_error(rows, largest, -high, high, scale_of(quantizer).held)


def _rows(x: Tensor, step: Tensor) -> Tensor:
    return x if step.numel() > 1 else x.reshape(1, -1)


def _pair(kind: str, when: str, x: Tensor, step: Tensor, low: int, high: int) -> dict[str, float]:
    values = {"kurtosis": kurtosis(x), "sqnr": sqnr(_rows(x, step), step, low, high)}
    return {
        f"{kind}_{name}_{when}": round(value, 3)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
