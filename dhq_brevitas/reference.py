# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The finished quantized network: what PyTorch says its integers are.

Every later level, QONNX to hardware, is compared with these, code for code.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.calibration import LEARNED, set_scale
from dhq_brevitas.inr import QuantInr
from dhq_brevitas.proxies import HadamardWeightQuantProxy, rotate_back
from dhq_brevitas.specs import ScaleKind, Side

__all__ = [
    "FLOAT_MANTISSA_BITS",
    "Reference",
    "evaluate",
    "finalise",
    "odd_mantissa",
    "settle_scales",
]

# Two scales of 8 bits make an accumulator scale of 16, which leaves an exporter with 24-bit
# multipliers a factor of 256 between the scales of channels; a scale changes by at most 1/256.
FLOAT_MANTISSA_BITS = 8


@torch.no_grad()
def finalise(model: QuantInr) -> None:
    """Settles a trained network in place, so that every tool derives the same integers from it.

    * Float scales are rounded up, so that nothing is clipped, to odd mantissas of 8 bits. The
      product of a weight and an activation scale is then exactly the integer multiplier M/2^s of
      the hardware, rather than a number that each level rounds in its own way; and no integer
      divided by an odd mantissa falls half way between two codes.
    * Weights and biases are replaced by what their quantizers make of them. The output stays; but
      the sums in the rotation of an unquantized weight depend on the precision, and can round to
      another code in float64.
    """
    training = model.training
    model.eval()
    settle_scales(model)
    x: Any = torch.zeros(1, model.spec.in_features)
    for module in model:
        following = module(x)
        if isinstance(module, qnn.QuantLinear):
            _write_back(module, x)
        x = following
    model.train(training)


@torch.no_grad()
def settle_scales(model: QuantInr) -> None:
    """Rounds float scales up to odd mantissas of 8 bits, in place; see :func:`finalise`."""
    for plan, linear in zip(model.plans, model.linears, strict=True):
        if plan.scale == ScaleKind.FLOAT:
            for quantizer, step in _learned(linear):
                set_scale(quantizer, odd_mantissa(step, FLOAT_MANTISSA_BITS))


def _learned(model: nn.Module) -> Iterator[tuple[Any, Tensor]]:
    """Every ``tensor_quant`` with a learned scale, and the scale."""
    for module in model.modules():
        scaling = getattr(module, "scaling_impl", None)
        if isinstance(scaling, LEARNED):
            quantizer: Any = module
            threshold = quantizer.int_scaling_impl(quantizer.msb_clamp_bit_width_impl())
            yield quantizer, scaling(scaling.value, threshold)


def odd_mantissa(step: Tensor, bits: int) -> Tensor:
    """The next m·2^e from above with m an odd integer of ``bits`` bits."""
    mantissa, exponent = torch.frexp(step)
    rounded = torch.ceil(mantissa * 2**bits)
    return torch.ldexp(rounded + (rounded % 2 == 0), exponent - bits)


def _write_back(layer: qnn.QuantLinear, inputs: Any) -> None:
    x = layer.input_quant(inputs)
    weight = layer.quant_weight(x)
    bias = layer.bias_quant(layer.bias, x, weight)
    proxy, value = layer.weight_quant, weight.value
    if isinstance(proxy, HadamardWeightQuantProxy) and proxy.rotation.side == Side.INPUT:
        rotation = proxy.rotation
        value = rotate_back(
            value, rotation.order, proxy.hadamard_signs, rotation.other_scale, proxy.axis
        )
    layer.weight.copy_(value)
    layer.bias.copy_(bias.value)


@dataclass(frozen=True)
class Reference:
    """Evaluation of a quantized network on a whole signal.

    Attributes:
        accumulators: output codes, int64 [N, m]: the integer sums of the last layer before bias and
            scale, which is what the hardware emits.
        outputs: float32 [N, m].
        dtype: "float32", or "float64" where float32 would round: with float scales, or with sums
            beyond 24 bits.
    """

    accumulators: np.ndarray
    outputs: np.ndarray
    dtype: str


def evaluate(model: QuantInr, codes: Tensor) -> Reference:
    """Exact evaluation of a model settled by :func:`finalise`, on ``codes`` float32 [N, n]."""
    exact = model.exact_in_float32(codes)
    if not exact:
        model, codes = copy.deepcopy(model).double(), codes.double()
    last = model.integer_layers(codes)[-1]
    model.eval()
    with torch.no_grad():
        outputs = model(codes).to(torch.float32)
    return Reference(
        last.accumulators().numpy(), outputs.numpy(), "float32" if exact else "float64"
    )
