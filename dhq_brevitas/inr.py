# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SIREN networks (Sitzmann et al., 2020, arXiv:2006.09661), float and quantized.

Both are built from one description.

The float network maps coordinates x to samples:

    z_0 = x,  z_{i+1} = sin(ω_i (W_i z_i + b_i)),  y = W_L z_L + b_L.

The quantized one is made of ordinary Brevitas layers and computes what the hardware computes:

    pixel codes -> QuantLinear -> QuantSine -> ... -> QuantLinear -> y

* Its input are the integer codes of :func:`dhq_brevitas.signals.pixel_codes`; the coordinate step
  is folded into W_0, so nothing is lost at the input.
* Pre-activations are in turns: ω_i/2π is folded into W_i and b_i, and since whole turns do not
  matter, b_i is taken to [-1/2, 1/2].
* Biases are integers on the scale of the accumulator. With power-of-two or dyadic scales every
  value is then an integer times a scale, and float32 computes it exactly as long as the sums are
  small enough: see :meth:`QuantSiren.exact_in_float32`.
* The last layer has no output quantizer: hardware emits its integer accumulator, the host applies
  scale and bias.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant.fixed_point import (
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerTensorFixedPoint,
)
from brevitas.quant.scaled_int import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from dhq_brevitas import quantizers
from dhq_brevitas.activations import QuantSine
from dhq_brevitas.specs import (
    MAX_COORDINATE_BITS,
    MIN_BITS,
    LayerPlan,
    QuantSpec,
    ScaleKind,
    Side,
    SirenSpec,
    check_bits,
    plan_layers,
)

__all__ = ["FAMILIES", "Family", "IntegerLayer", "QuantSiren", "Siren"]


class Siren(nn.Module):
    """Float SIREN: coordinates float32 [N, in_features] in [-1, 1] to [N, out_features].

    Initialised as in the paper, section 3.2: W_0 uniform in ±1/n, the others in ±√(6/n)/ω (the last
    with ω_hidden, too), biases uniform in ±1/√n; ``seed`` makes it reproducible.
    """

    def __init__(self, spec: SirenSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        generator = torch.Generator().manual_seed(seed)
        linears = []
        for index, (n_in, n_out) in enumerate(spec.sizes):
            # Without PyTorch's own initialisation, which would draw from the global generator.
            linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
            weight_bound = 1 / n_in if index == 0 else math.sqrt(6 / n_in) / spec.omega_hidden
            bias_bound = 1 / math.sqrt(n_in)
            with torch.no_grad():
                linear.weight.uniform_(-weight_bound, weight_bound, generator=generator)
                linear.bias.uniform_(-bias_bound, bias_bound, generator=generator)
            linears.append(linear)
        self.layers = nn.ModuleList(linears)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, coordinates: Tensor) -> Tensor:
        x = coordinates
        *hidden, last = self.layers
        for linear, omega in zip(hidden, self.spec.omegas, strict=True):
            x = torch.sin(omega * linear(x))
        return last(x)


class QuantSiren(nn.Sequential):
    """Quantized SIREN; see the module docstring. Build it with :meth:`from_float`.

    Children: ``codes``, then ``linear0``, ``sine0``, ``linear1``, …, the last ``linear``.
    Input: pixel codes as float32 [N, in_features], integers of ``coordinate_bits`` signed bits.
    Output: float32 [N, out_features].

    Attributes: ``spec``, ``quant``, ``plans`` (one LayerPlan a linear layer), and ``fold_factors``
    (what the weights of each linear layer were multiplied with).
    """

    def __init__(
        self, spec: SirenSpec, quant: QuantSpec, coordinate_step: float, coordinate_bits: int
    ) -> None:
        if not coordinate_step > 0:
            raise ValueError(f"coordinate_step={coordinate_step} must be positive")
        check_bits("coordinate_bits", coordinate_bits, MIN_BITS, MAX_COORDINATE_BITS)
        plans = plan_layers(spec, quant, coordinate_bits)
        children: OrderedDict[str, nn.Module] = OrderedDict()
        children["codes"] = qnn.QuantIdentity(
            act_quant=quantizers.IntegerCodes, bit_width=coordinate_bits, return_quant_tensor=True
        )
        for index, plan in enumerate(plans):
            children[plan.name] = _quant_linear(plan)
            if plan.sine_bits is not None and plan.phase_bits is not None:
                children[f"sine{index}"] = QuantSine(
                    phase_bit_width=plan.phase_bits,
                    period=1.0,
                    bit_width=plan.sine_bits,
                    return_quant_tensor=True,
                )
        super().__init__(children)
        self.spec, self.quant, self.plans = spec, quant, plans
        turns = [omega / (2 * math.pi) for omega in spec.omegas]
        self.fold_factors = [turns[0] * coordinate_step, *turns[1:], 1.0]
        self.bias_factors = [*turns, 1.0]

    @classmethod
    def from_float(
        cls, siren: Siren, quant: QuantSpec, coordinate_step: float, coordinate_bits: int
    ) -> "QuantSiren":
        """The quantized counterpart of a trained float network, its scales not yet calibrated.

        ``coordinate_step``: float coordinate of code 1. Without quantization the two agree:
        quantized(codes) = siren(codes · coordinate_step).
        """
        model = cls(siren.spec, quant, coordinate_step, coordinate_bits)
        with torch.no_grad():
            for index, (source, target) in enumerate(
                zip(siren.linears, model.linears, strict=True)
            ):
                # In float64, so that the folded value is rounded once.
                weight = source.weight.double() * model.fold_factors[index]
                bias = source.bias.double() * model.bias_factors[index]
                if index < len(model.linears) - 1:
                    bias = bias - torch.round(bias)
                target.weight.copy_(weight)
                target.bias.copy_(bias)
        return model

    @property
    def linears(self) -> list[qnn.QuantLinear]:
        """The linear layers in order."""
        return [self.get_submodule(plan.name) for plan in self.plans]

    def integer_layers(self, codes: Tensor) -> list["IntegerLayer"]:
        """Integers that every linear layer multiplies in evaluation mode, for input ``codes``.

        The model must be calibrated; it is left in the mode it was in.
        """
        training = self.training
        self.eval()
        layers: list[IntegerLayer] = []
        try:
            with torch.no_grad():
                x: Any = codes
                for module in self:
                    if isinstance(module, qnn.QuantLinear):
                        layers.append(_integer_layer(module, x))
                    x = module(x)
        finally:
            self.train(training)
        return layers

    def accumulators(self, codes: Tensor) -> Tensor:
        """Output codes: the last layer's integer sums before bias and scale, int64 [N, out].

        They are what the hardware emits; the output is accumulator · scale + bias.
        """
        return self.integer_layers(codes)[-1].accumulators()

    def accumulator_bits(self, codes: Tensor) -> list[int]:
        """Signed bits that hold every partial sum and the bias of each linear layer."""
        return [int(layer.bound().max()).bit_length() + 1 for layer in self.integer_layers(codes)]

    def exact_in_float32(self, codes: Tensor) -> bool:
        """Whether float32 evaluates this network exactly, whatever the order of its sums.

        A sum is exact if its bound, in units of the power of two that divides its scale, is at most
        2^24. Power-of-two scales leave accumulators of 25 bits, dyadic scales fewer by the bits of
        their mantissas, float scales none.
        """
        return all(layer.float32_units() <= 2**24 for layer in self.integer_layers(codes))


@dataclass(frozen=True)
class IntegerLayer:
    """A linear layer as integers, in float64: x [N, n], weight [m, n], bias [m], scale [1 or m].

    The layer's output is scale · (x Wᵀ + bias).
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    scale: Tensor

    def accumulators(self) -> Tensor:
        """x Wᵀ as int64 [N, m]; exact, since float64 carries 53 bits."""
        return (self.x @ self.weight.T).to(torch.int64)

    def bound(self) -> Tensor:
        """Σ|w|·max|x| + |bias| for each output, float64 [m]: no partial sum exceeds it."""
        return self.weight.abs().sum(dim=1) * self.x.abs().max() + self.bias.abs()

    def float32_units(self) -> float:
        """Largest bound in units of the power of two that divides its scale."""
        mantissa = (torch.frexp(self.scale)[0] * 2.0**53).to(torch.int64)
        odd_part = mantissa // (mantissa & -mantissa)
        return float((self.bound() * odd_part).max())


def _integer_layer(layer: qnn.QuantLinear, inputs: Any) -> IntegerLayer:
    x = layer.input_quant(inputs)
    weight = layer.quant_weight(x)
    bias = layer.bias_quant(layer.bias, x, weight)
    return IntegerLayer(_codes(x), _codes(weight), _codes(bias), bias.scale.double().reshape(-1))


def _codes(tensor: IntQuantTensor) -> Tensor:
    return torch.round(tensor.value.double() / tensor.scale.double())


def _quant_linear(plan: LayerPlan) -> qnn.QuantLinear:
    """The Brevitas layer of a plan, with learned scales and an integer bias on their product."""
    kind = {ScaleKind.PO2: "FixedPoint", ScaleKind.DYADIC: "Dyadic", ScaleKind.FLOAT: "Float"}
    suffix = f"Per{plan.granularity.capitalize()}{kind[plan.scale]}"
    options: dict[str, Any] = {
        "weight_bit_width": plan.weight_bits,
        "weight_scaling_impl_type": ScalingImplType.PARAMETER_FROM_STATS,
        "bias_quant": Int32Bias,
    }
    if plan.rotation == Side.NONE:
        options["weight_quant"] = _STOCK_WEIGHTS[f"Weight{suffix}"]
    else:
        options["weight_quant"] = getattr(quantizers, f"Int8DHQWeight{suffix}")
        options["weight_hadamard_side"] = str(plan.rotation)
        options["weight_hadamard_order"] = plan.order
        options["weight_hadamard_signs"] = plan.signs_seed
    if plan.rotation == Side.INPUT:
        options["input_quant"] = getattr(quantizers, f"Int8DHQActPerTensor{kind[plan.scale]}")
        options["input_bit_width"] = plan.act_bits
    return qnn.QuantLinear(plan.in_features, plan.out_features, bias=True, **options)


_STOCK_WEIGHTS = {
    "WeightPerTensorFixedPoint": Int8WeightPerTensorFixedPoint,
    "WeightPerChannelFixedPoint": Int8WeightPerChannelFixedPoint,
    "WeightPerTensorDyadic": quantizers.Int8WeightPerTensorDyadic,
    "WeightPerChannelDyadic": quantizers.Int8WeightPerChannelDyadic,
    "WeightPerTensorFloat": Int8WeightPerTensorFloat,
    "WeightPerChannelFloat": Int8WeightPerChannelFloat,
}


@dataclass(frozen=True)
class Family:
    """An INR family the command line can build: its description, float and quantized network."""

    spec: Callable[..., Any]
    float_network: Callable[..., nn.Module]
    quant_network: Callable[..., nn.Module]


FAMILIES: dict[str, Family] = {"siren": Family(SirenSpec, Siren, QuantSiren)}
