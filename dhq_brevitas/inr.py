# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Implicit neural representations, float and quantized, of any family.

Both are built from one description, an :class:`~dhq_brevitas.specs.InrSpec`.

The float network maps coordinates x to samples:

    z_0 = x,  z_{i+1} = f_i(g_i (W_i z_i + b_i)),  y = W_L z_L + b_L.

The quantized one is made of ordinary Brevitas layers and computes what the hardware computes:

    codes -> QuantLinear -> QuantLookupActivation -> ... -> QuantLinear -> y

* Its input are integer codes (:func:`dhq_brevitas.signals.pixel_codes`); the coordinate step is
  folded into W_0, so nothing is lost at the input.
* Pre-activations are in units of the activation's period, or of the limit of its range: g_i and
  the unit are folded into W_i and b_i. Since whole periods do not matter, b_i of a periodic
  activation is taken to half a period on either side of 0.
* Biases are integers on the scale of the accumulator. With power-of-two or dyadic scales every
  value is then an integer times a scale, and float32 computes it exactly as long as the sums are
  small enough: see :meth:`QuantInr.exact_in_float32`.
* The last layer has no output quantizer: hardware emits its integer accumulator, the host applies
  scale and bias.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
from dhq_brevitas.activations import QuantLookupActivation
from dhq_brevitas.families import Activation, get_family
from dhq_brevitas.specs import (
    MAX_COORDINATE_BITS,
    MIN_BITS,
    InrSpec,
    LayerPlan,
    QuantSpec,
    ScaleKind,
    Side,
    check_bits,
    plan_layers,
)

__all__ = ["Inr", "IntegerLayer", "QuantInr"]

MEASURED_SAMPLES = 4096
# A measured limit is rounded up to so many bits, so that the last bit of a sum does not move it.
LIMIT_MANTISSA_BITS = 5


class Inr(nn.Module):
    """Float network: coordinates float32 [N, in_features] in [-1, 1] to [N, out_features].

    Initialised as its family says; ``seed`` makes it reproducible. An encoding is a first linear
    layer without gradients.
    """

    def __init__(self, spec: InrSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.activations = spec.activations
        family, encoding = get_family(spec.family), spec.encoding
        generator = torch.Generator().manual_seed(seed)
        # Without PyTorch's own initialisation, which would draw from the global generator.
        linears = [nn.utils.skip_init(nn.Linear, n_in, n_out) for n_in, n_out in spec.sizes]
        trained = linears
        if encoding is not None:
            with torch.no_grad():
                linears[0].weight.copy_(encoding[0])
                linears[0].bias.copy_(encoding[1])
            linears[0].requires_grad_(False)
            trained = linears[1:]
        for index, linear in enumerate(trained):
            family.initialise(linear, index, len(trained) - 1, spec.parameters, generator)
        self.layers = nn.ModuleList(linears)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, coordinates: Tensor) -> Tensor:
        x = coordinates
        *hidden, last = self.layers
        for linear, activation in zip(hidden, self.activations, strict=True):
            x = activation(linear(x))
        return last(x)

    def measured_limits(self, coordinates: Tensor) -> list[float | None]:
        """For each activation the largest |gain · z| on ``coordinates`` [N, in_features].

        None where the activation has a period or a limit of its own.
        """
        limits: list[float | None] = []
        x = coordinates
        with torch.no_grad():
            for linear, activation in zip(self.layers, self.activations, strict=False):
                z = linear(x)
                own = activation.period is not None or activation.limit is not None
                limits.append(None if own else float((activation.gain * z).abs().max()))
                x = activation(z)
        return limits


class QuantInr(nn.Sequential):
    """Quantized network; see the module docstring. Build it with :meth:`from_float`.

    Children: ``codes``, then ``linear0``, ``activation0``, ``linear1``, …, the last ``linear``.
    Input: codes as float32 [N, in_features], integers of ``coordinate_bits`` signed bits.
    Output: float32 [N, out_features].

    ``limits``: for each activation without period and limit of its own, half its range in units of
    gain · z; None for the others.

    Attributes: ``spec``, ``quant``, ``plans`` (one LayerPlan a linear layer), ``limits``, and
    ``fold_factors`` (what the weights of each linear layer were multiplied with).
    """

    def __init__(
        self,
        spec: InrSpec,
        quant: QuantSpec,
        coordinate_step: float,
        coordinate_bits: int,
        limits: Sequence[float | None] | None = None,
    ) -> None:
        if not coordinate_step > 0:
            raise ValueError(f"coordinate_step={coordinate_step} must be positive")
        check_bits("coordinate_bits", coordinate_bits, MIN_BITS, MAX_COORDINATE_BITS)
        plans = plan_layers(spec, quant, coordinate_bits)
        self_limits = [None] * len(spec.activations) if limits is None else list(limits)
        units = [_unit(*pair) for pair in zip(spec.activations, self_limits, strict=True)]
        children: OrderedDict[str, nn.Module] = OrderedDict()
        children["codes"] = qnn.QuantIdentity(
            act_quant=quantizers.IntegerCodes, bit_width=coordinate_bits, return_quant_tensor=True
        )
        for index, plan in enumerate(plans):
            children[plan.name] = _quant_linear(plan)
            if index < len(units):
                children[f"activation{index}"] = _quant_activation(
                    plan, spec.activations[index], units[index]
                )
        super().__init__(children)
        self.spec, self.quant, self.plans, self.limits = spec, quant, plans, self_limits
        self.units = units
        folded = [a.gain / unit for a, unit in zip(spec.activations, units, strict=True)]
        self.fold_factors = [folded[0] * coordinate_step, *folded[1:], 1.0]
        self.bias_factors = [*folded, 1.0]
        if spec.encoding is not None:
            self.linears[0].requires_grad_(False)

    @classmethod
    def from_float(
        cls,
        inr: Inr,
        quant: QuantSpec,
        coordinate_step: float,
        coordinate_bits: int,
        codes: Tensor | None = None,
    ) -> "QuantInr":
        """The quantized counterpart of a trained float network, its scales not yet calibrated.

        ``coordinate_step``: float coordinate of code 1. Without quantization the two agree:
        quantized(codes) = inr(codes · coordinate_step). ``codes``: inputs on which the ranges of
        activations without a limit are measured (rounded up to 5 bits); by default 4096 random
        ones of all that fit ``coordinate_bits``.
        """
        spec = inr.spec
        if codes is None:
            codes = _random_codes(spec.in_features, coordinate_bits)
        limits = inr.measured_limits(codes.float() * coordinate_step)
        model = cls(spec, quant, coordinate_step, coordinate_bits, [_rounded(x) for x in limits])
        with torch.no_grad():
            for index, (source, target) in enumerate(zip(inr.linears, model.linears, strict=True)):
                # In float64, so that the folded value is rounded once.
                weight = source.weight.double() * model.fold_factors[index]
                bias = source.bias.double() * model.bias_factors[index]
                if index < len(inr.activations) and inr.activations[index].period is not None:
                    bias = bias - torch.round(bias)
                target.weight.copy_(weight)
                target.bias.copy_(bias)
        return model

    @property
    def linears(self) -> list[qnn.QuantLinear]:
        """The linear layers in order."""
        return [self.get_submodule(plan.name) for plan in self.plans]

    def activation_like(self, plan: LayerPlan, index: int) -> QuantLookupActivation:
        """The activation behind layer ``index`` with the table that ``plan`` says."""
        return _quant_activation(plan, self.spec.activations[index], self.units[index]).eval()

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
        """A bound of every partial sum, whatever its order, and the bias; float64 [m], an output.

        The smaller of Σ|w|·max|x| and |w|₂·max|x|₂ (Cauchy-Schwarz), plus |bias|. The second is
        the better one for rotated integers, few of which are large at a time.
        """
        largest = self.weight.abs().sum(dim=1) * self.x.abs().max()
        longest = self.weight.norm(dim=1) * self.x.norm(dim=1).max()
        return torch.minimum(largest, longest) + self.bias.abs()

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


def _random_codes(features: int, bits: int) -> Tensor:
    check_bits("coordinate_bits", bits, MIN_BITS, MAX_COORDINATE_BITS)
    high = 2 ** (bits - 1)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-high, high, (MEASURED_SAMPLES, features), generator=generator)


def _rounded(limit: float | None) -> float | None:
    """``limit`` rounded up to LIMIT_MANTISSA_BITS bits."""
    if limit is None:
        return None
    mantissa, exponent = math.frexp(limit)
    steps = math.ceil(mantissa * 2**LIMIT_MANTISSA_BITS)
    return math.ldexp(max(steps, 1), exponent - LIMIT_MANTISSA_BITS)


def _unit(activation: Activation, measured: float | None) -> float:
    unit = activation.period or activation.limit or measured
    if unit is None:
        raise ValueError(
            "limits: this family's activations have no range of their own; measure it with "
            "Inr.measured_limits, or use QuantInr.from_float, which does"
        )
    return unit


def _quant_activation(
    plan: LayerPlan, activation: Activation, unit: float
) -> QuantLookupActivation:
    """The table of an activation whose input is in units of ``unit``."""
    assert plan.phase_bits is not None
    assert plan.sine_bits is not None
    return QuantLookupActivation(
        partial(_of_units, activation.fn, unit),
        period=None if activation.period is None else 1.0,
        limit=1.0 if activation.period is None else None,
        table_bit_width=plan.phase_bits,
        bit_width=plan.sine_bits,
        return_quant_tensor=True,
    )


def _of_units(fn: Callable[[Tensor], Tensor], unit: float, t: Tensor) -> Tensor:
    return fn(t * unit)


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
        options["weight_hadamard_side"] = "input" if plan.rotation.of_inputs else "output"
        options["weight_hadamard_order"] = plan.order
        options["weight_hadamard_signs"] = plan.signs_seed
    if plan.rotation == Side.INPUT:
        options["input_quant"] = getattr(quantizers, f"Int8DHQActPerTensor{kind[plan.scale]}")
        options["input_bit_width"] = plan.act_bits
    elif plan.rotation == Side.AFTER:
        options["input_quant"] = quantizers.DHQActOfIntegers
    return qnn.QuantLinear(plan.in_features, plan.out_features, bias=True, **options)


_STOCK_WEIGHTS = {
    "WeightPerTensorFixedPoint": Int8WeightPerTensorFixedPoint,
    "WeightPerChannelFixedPoint": Int8WeightPerChannelFixedPoint,
    "WeightPerTensorDyadic": quantizers.Int8WeightPerTensorDyadic,
    "WeightPerChannelDyadic": quantizers.Int8WeightPerChannelDyadic,
    "WeightPerTensorFloat": Int8WeightPerTensorFloat,
    "WeightPerChannelFloat": Int8WeightPerChannelFloat,
}
