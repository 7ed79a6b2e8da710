# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What rotation does to the tensors of a quantized network: kurtosis and SQNR, before and after."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.proxies import HadamardWeightQuantProxy
from dhq_brevitas.quantize.calibration import SMALLEST_STEP, restriction, sqnr, step_of_least_error

__all__ = ["kurtosis", "measure_layers"]

MAX_SAMPLES = 4096


def kurtosis(x: Tensor) -> float | None:
    """E[(x - μ)⁴] / E[(x - μ)²]² over all values (normal 3, uniform 1.8); None if constant."""
    centred = x.double() - x.double().mean()
    variance = centred.square().mean()
    if variance == 0:
        return None
    return float((centred**4).mean() / variance**2)


def measure_layers(model: QuantInr, codes: Tensor) -> list[dict[str, Any]]:
    """One dictionary a linear layer of a calibrated network, on input ``codes`` (at most 4096).

    Keys: ``name``, ``rotation``, ``hadamard_order``, ``weight_bits``, ``act_bits``, and for
    ``weight`` and ``act``: ``…_kurtosis_before`` and ``…_sqnr_before`` of the unrotated tensor, and
    where that tensor is rotated before it is quantized, ``…_kurtosis_after`` and ``…_sqnr_after``.
    The SQNR in dB of the tensor the layer quantizes is with the layer's own scale. The other one,
    for comparison, is with a stock quantizer of the same width: for weights with the scale of least
    error (of the same kind), for activations with the range and sign of their function. What does
    not apply (pixel codes are not rounded) is absent.
    """
    stride = math.ceil(len(codes) / MAX_SAMPLES)
    inputs = _layer_inputs(model, codes[::stride])
    return [_measure(model, plan, index, inputs[index]) for index, plan in enumerate(model.plans)]


def _layer_inputs(model: QuantInr, codes: Tensor) -> list[Tensor]:
    """What each linear layer is fed with, before that is rounded."""
    seen: dict[str, Tensor] = {}

    def note(name: str, module: Any, args: tuple[Tensor, ...]) -> None:
        if args[0].ndim:
            seen[name] = args[0].detach()

    activations: dict[str, Any] = _activations(model)
    handles = []
    for name, activation in activations.items():
        quantizer = activation.act_quant.fused_activation_quant_proxy.tensor_quant
        handles.append(quantizer.register_forward_pre_hook(partial(note, name)))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(codes)
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    return [codes, *(seen[name] for name in activations)]


def _activations(model: QuantInr) -> dict[str, QuantLookupActivation]:
    """The activations by name, in order."""
    return {n: m for n, m in model.named_children() if isinstance(m, QuantLookupActivation)}


def _measure(model: QuantInr, plan: LayerPlan, index: int, x: Tensor) -> dict[str, Any]:
    layer = model.linears[index]
    proxy, weight = layer.weight_quant, layer.weight.detach()
    result: dict[str, Any] = {
        "name": plan.name,
        "rotation": str(plan.rotation),
        "hadamard_order": plan.order,
        "weight_bits": plan.weight_bits,
        "act_bits": plan.act_bits,
    }
    high = 2 ** (plan.weight_bits - 1) - 1  # Brevitas's weights are narrow: -high … high
    with torch.no_grad():
        step = _step(proxy.tensor_quant, weight)
        rotated = isinstance(proxy, HadamardWeightQuantProxy) and plan.order > 1
        if rotated:
            after = proxy.rotate_weight(weight)
            result |= _pair("weight", "after", after, step, -high, high)
            step = _stock_weight_step(proxy.tensor_quant, weight, step, high)
        result |= _pair("weight", "before", weight, step, -high, high)
        if index == 0:
            return result
        half = 2 ** (plan.act_bits - 1)
        activation = list(_activations(model).values())[index - 1]
        levels, lowest = (half, -half) if activation.act_quant.is_signed else (2 * half, 0)
        stock_step = torch.tensor([activation.peak / levels])
        result |= _pair("act", "before", x, stock_step, lowest, levels - 1)
        low, high = -half, half - 1
        if plan.rotation == Side.INPUT:
            after = layer.input_quant.rotate_input(x)
            quantizer = layer.input_quant.fused_activation_quant_proxy.tensor_quant
            result |= _pair("act", "after", after, _step(quantizer, after), low, high)
    return result


def _step(quantizer: Any, x: Tensor) -> Tensor:
    """The scale in use, [1] or [rows]."""
    return quantizer(x)[1].detach().reshape(-1)


def _stock_weight_step(quantizer: Any, weight: Tensor, like: Tensor, high: int) -> Tensor:
    rows = _rows(weight, like)
    largest = (rows.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    bit_width = quantizer.msb_clamp_bit_width_impl()
    restrict: Callable[[Tensor], Tensor] = restriction(
        quantizer.scaling_impl, float(quantizer.int_scaling_impl(bit_width))
    )
    return step_of_least_error(rows, largest, -high, high, restrict)


def _rows(x: Tensor, step: Tensor) -> Tensor:
    return x if step.numel() > 1 else x.reshape(1, -1)


def _pair(kind: str, when: str, x: Tensor, step: Tensor, low: int, high: int) -> dict[str, float]:
    values = {"kurtosis": kurtosis(x), "sqnr": sqnr(_rows(x, step), step, low, high)}
    return {
        f"{kind}_{name}_{when}": round(value, 3)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
